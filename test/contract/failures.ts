/** TRAPS 14 and 15: results that break off, and reads that last too long. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { BatchBuilder } from '../../lib/batch';
import type { Source } from '../../lib/source/source';
import { until } from '../support/until';
import { batchSettings, longQuery, valuesOf, DAY, type Harness } from './harness';

/** More than sockets and drivers hold at once. */
const MANY = 300_000;

export function failures(harness: Harness): void {
  const { fixture } = harness;
  const { quote } = fixture;
  const fill = async (rows: number): Promise<void> => {
    await harness.table({
      sensor: fixture.types.varchar(20),
      ts: harness.time.type,
      value: fixture.types.double,
    });
    await fixture.execute(`INSERT INTO ${quote('readings')} ${fixture.manyRows(rows)}`);
  };
  const read = (
    source: Source,
    drain: () => Promise<void> | undefined,
    signal = new AbortController().signal,
  ): Promise<void> =>
    source.read(longQuery(), DAY, {
      signal,
      drain,
      sink: (plan) => new BatchBuilder(batchSettings({ maxBytes: 1e9 }), plan),
    });

  const { cut } = fixture;
  if (cut) {
    it('trap 14: a connection that is cut in the middle of a result is not its end', async () => {
      await fill(MANY);
      const source = harness.open();
      let done: Promise<void> | undefined;
      const reading = read(source, () => (done ??= cut()));
      await assert.rejects(reading, { code: 'TM_DATABASE_UNREACHABLE' });
      assert(done);
      const posted = await harness.posted(longQuery(), DAY, { source });
      assert.equal(posted.a?.length, MANY);
    });
  }

  it('trap 15: a read that is given up is cancelled, and the source goes on', async () => {
    await fill(MANY);
    const source = harness.open();
    const controller = new AbortController();
    const reading = read(
      source,
      () => {
        controller.abort(new Error('given up'));
        return undefined;
      },
      controller.signal,
    );
    await assert.rejects(reading, /given up/);
    await until(async () => (await fixture.busy()) === 0);
    assert(Number.isFinite(await source.clock()));
  });

  it('trap 15: a slow consumer holds the read back, and closing ends it', async () => {
    await fill(MANY);
    const source = harness.open();
    let waiting = false;
    const reading = read(source, () => {
      waiting = true;
      return new Promise(() => undefined);
    });
    const ended = assert.rejects(reading, { code: 'TM_CLOSED' });
    await until(() => waiting);
    await source.close();
    await ended;
    await until(async () => (await fixture.busy()) === 0);
  });

  it('what a consumer throws comes out as it is, and the source goes on', async () => {
    await fill(MANY);
    const source = harness.open();
    class Enough extends Error {}
    await assert.rejects(
      read(source, () => {
        throw new Enough('enough');
      }),
      Enough,
    );
    await assert.rejects(
      read(source, () => Promise.reject(new Enough('enough'))),
      Enough,
    );
    assert(Number.isFinite(await source.clock()));
  });

  const { slowSql } = fixture;
  if (slowSql !== undefined) {
    it('trap 15: a query that takes too long is ended and says so', async () => {
      await fill(1);
      const source = harness.open({ statementTimeoutSeconds: 1 });
      await assert.rejects(harness.posted({ from: 'sql', sql: slowSql }, DAY, { source }), {
        code: 'TM_QUERY_TIMEOUT',
      });
      await until(async () => (await fixture.busy()) === 0);
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1]);
    });
  }

  const { wrong } = fixture;
  if (wrong) {
    it('a wrong password and a server that is away have their codes, and no secret is said', async () => {
      const cases = [
        [wrong.unreachable(), 'TM_DATABASE_UNREACHABLE'],
        [wrong.refused(), 'TM_DATABASE_REFUSED'],
      ] as const;
      for (const [settings, code] of cases) {
        if (!settings) continue;
        await assert.rejects(harness.open(settings).clock(), (error: Error & { code?: string }) => {
          assert.equal(error.code, code, error.message);
          assert.doesNotMatch(inspect(error, { depth: 9 }), /geheim/);
          return true;
        });
      }
    });
  }

  it('a pool of one serves reads and clock in turn', async () => {
    await fill(1000);
    const source = harness.open({ poolSize: 1 });
    const [first, clock, second] = await Promise.all([
      harness.posted(longQuery(), DAY, { source }),
      source.clock(),
      harness.posted(longQuery(), DAY, { source }),
    ]);
    assert.equal(first.a?.length, 1000);
    assert.equal(second.a?.length, 1000);
    assert(Number.isFinite(clock));
  });

  it('a read is taken up again where it stood, without loss or repetition', async () => {
    await fill(5000);
    const source = harness.open();
    const resumes: string[] = [];
    const rowsFrom = async (from: string | undefined): Promise<number> => {
      let builder: BatchBuilder | undefined;
      let readings = 0;
      await source.read(longQuery(), DAY, {
        from,
        signal: new AbortController().signal,
        sink: (plan) => (builder = new BatchBuilder(batchSettings(), plan, from)),
        drain: () => undefined,
      });
      for (const batch of builder?.end() ?? []) {
        readings += batch.readings;
        if (from === undefined && batch.resumeAt !== undefined) resumes.push(batch.resumeAt);
      }
      return readings;
    };
    assert.equal(await rowsFrom(undefined), 5000);
    assert.equal(resumes.length, 4);
    for (const [index, from] of resumes.entries()) {
      assert.equal(await rowsFrom(from), 5000 - (index + 1) * 1000);
    }
  });
}
