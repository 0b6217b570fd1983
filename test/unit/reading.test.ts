import assert from 'node:assert/strict';
import fc from 'fast-check';
import sinon from 'sinon';
import type { Batch, BatchSettings } from '../../lib/batch';
import { TmError } from '../../lib/errors';
import { readBatches } from '../../lib/reading';
import { CellRows } from '../../lib/source/cells';
import type { ValueKind } from '../../lib/source/columns';
import type { ReadOptions, ReadingsQuery, Source, TableInfo } from '../../lib/source/source';
import type { Window } from '../../lib/window';
import { longPlan } from '../support/reading-plan';

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;
const settings = {
  window: { start: START, end: START + 100 },
  timeZone: 'UTC',
  timestampFormat: 'iso',
  readingsPerBatch: 10,
  nullValues: 'null',
  maxBytes: 1_000_000,
} as const;
const query: ReadingsQuery = {
  from: 'table',
  table: 't',
  sensorColumn: 's',
  timestampColumn: 't',
  valueColumn: 'v',
  sensors: [],
};

const timeout = (): TmError => new TmError('TM_QUERY_TIMEOUT', 'too slow');

/** A database of one hundred readings, one a second unless told otherwise, which may fail where it is told to. */
class HundredReadings implements Source {
  readonly id = 'hundred';
  /** How many sensors, and so readings, there are at each second. */
  sensors = 1;
  value = (second: number): string | null => String(second);
  /** Of the values, from the n-th read on. */
  kinds: readonly ValueKind[] = ['number'];
  readonly froms: (string | undefined)[] = [];
  /** Fails a read after so many rows; each once. */
  failures: { readonly afterRows: number; readonly error: Error }[] = [];
  /** Times out where a read, from its start on, takes more than this. */
  mostRows = Infinity;
  mostSeconds = Infinity;
  readonly parts: string[] = [];

  async read(
    _query: ReadingsQuery,
    window: Window,
    { from, sink, drain, signal }: ReadOptions,
  ): Promise<void> {
    this.froms.push(from);
    this.parts.push(`${window.start - START}-${window.end - START}`);
    const failure = this.failures.shift();
    const kind = this.kinds[this.parts.length - 1] ?? this.kinds.at(-1) ?? 'number';
    const rowsOf = new CellRows(sink(longPlan(kind)), 3);
    let rows = 0;
    if (window.end - window.start > this.mostSeconds) throw timeout();
    for (let second = window.start; second < window.end; second++) {
      signal.throwIfAborted();
      const native = new Date(second * 1000).toISOString().replace('T', ' ').replace('.000Z', '+00');
      if (from !== undefined && native < from) continue;
      for (let sensor = 1; sensor <= this.sensors; sensor++) {
        if (rows === this.mostRows) throw timeout();
        if (rows++ === failure?.afterRows) throw failure.error;
        rowsOf.row([native, `K10${sensor}`, this.value(second)]);
        await drain();
      }
    }
  }
  clock(): Promise<number> {
    return Promise.resolve(START);
  }
  identify(): Promise<never> {
    return Promise.reject(new Error('not asked'));
  }
  oldest(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  newest(): Promise<void> {
    return Promise.resolve();
  }
  tables(): Promise<never[]> {
    return Promise.resolve([]);
  }
  table(): Promise<TableInfo> {
    return Promise.resolve({ isView: false, columns: [], indexes: [] });
  }
  createIndexSql(): string {
    return '';
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('Reading a window', () => {
  let source: HundredReadings;
  let sent: { batch: Batch; count: number | undefined }[];
  let room: () => Promise<void>;
  const controller = (): AbortController => new AbortController();
  const read = (signal = controller().signal, overrides: Partial<BatchSettings> = {}) =>
    readBatches(
      source,
      query,
      { ...settings, ...overrides },
      {
        room: () => room(),
        send: (batch, count) => {
          sent.push({ batch, count });
        },
      },
      signal,
    );
  const bodies = (): string[] => sent.map(({ batch }) => batch.body.toString());

  beforeEach(() => {
    source = new HundredReadings();
    sent = [];
    room = () => Promise.resolve();
  });
  afterEach(() => {
    sinon.restore();
  });

  it('gives its batches in order and says on the last how many there were', async () => {
    const { batches } = await read();
    assert.equal(batches, 10);
    assert.deepEqual(
      sent.map(({ count }) => count),
      [...Array<undefined>(9).fill(undefined), 10],
    );
    assert.equal(sent[0]?.batch.start_time, '2026-01-01T00:00:00Z');
    assert.equal(sent[9]?.batch.end_time, '2026-01-01T00:01:40Z');
  });

  it('waits for room before each batch', async () => {
    let asked = 0;
    room = () => {
      assert.equal(asked++, sent.length);
      return Promise.resolve();
    };
    await read();
    assert.equal(asked, 10);
  });

  it('lets go of the database while the downstream is busy, and goes on where it stood', async () => {
    await read();
    const expected = bodies();
    sent = [];
    source.froms.length = 0;
    const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let free: () => void = () => undefined;
    const busy = new Promise<void>((resolve) => {
      free = resolve;
    });
    room = () => (sent.length === 3 ? busy : Promise.resolve());
    const reading = read();
    await clock.tickAsync(9_999);
    assert.equal(source.froms.length, 1);
    await clock.tickAsync(1);
    assert.equal(sent.length, 3);
    free();
    await clock.tickAsync(1);
    await reading;
    assert.equal(source.froms.length, 2);
    assert.deepEqual(bodies(), expected);
  });

  it('goes on after a statement timeout where batches were made before it', async () => {
    await read();
    const expected = bodies();
    sent = [];
    source.failures = [
      { afterRows: 35, error: timeout() },
      { afterRows: 25, error: timeout() },
    ];
    await read();
    assert.deepEqual(bodies(), expected);
  });

  it('sends no piece of a crowded timestamp twice when it goes on behind it', async () => {
    source.sensors = 5;
    const pieces = { maxBytes: 120 };
    await read(undefined, pieces);
    const expected = bodies();
    assert(expected.length > 200, `${expected.length} pieces`);
    sent = [];
    source.failures = [{ afterRows: 52, error: new TmError('TM_QUERY_TIMEOUT', 'too slow') }];
    await read(undefined, pieces);
    assert.deepEqual(bodies(), expected);
    assert.equal(sent.at(-1)?.count, expected.length);
  });

  it('counts what was not posted as it stood once, however often the read is taken up again', async () => {
    source.value = (second) => (second % 2 === 0 ? 'NaN' : null);
    source.failures = [
      { afterRows: 35, error: timeout() },
      { afterRows: 25, error: timeout() },
    ];
    const { counts } = await read();
    assert.equal(counts.nullValues, 50);
    assert.equal(counts.notFinite, 50);
  });

  it('takes a table that was altered as it is while all of the window is still to be read, and not behind that', async () => {
    source.mostSeconds = 50;
    source.kinds = ['number', 'text', 'text'];
    await read();
    assert.match(bodies()[0] ?? '', /"value":"/);
    source = new HundredReadings();
    source.mostSeconds = 50;
    source.sensors = 0;
    source.kinds = ['number', 'number', 'text'];
    await assert.rejects(read(), { code: 'TM_QUERY_FAILED', message: /was altered/ });
    assert.deepEqual(source.parts.slice(-1), ['50-100']);
  });

  it('of an empty window is one batch, the first and the last', async () => {
    source.sensors = 0;
    assert.equal((await read()).batches, 1);
    assert.equal(sent[0]?.count, 1);
    assert.equal(
      bodies()[0],
      '{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-01T00:01:40Z","data":{}}',
    );
  });

  describe('whose query takes too long', () => {
    // How long a part took, beside one that took too long, decides how long the next one is.
    let clock: sinon.SinonFakeTimers;
    beforeEach(() => {
      clock = sinon.useFakeTimers({ toFake: ['performance'] });
    });
    afterEach(() => {
      clock.restore();
    });

    it('is read in halves, and in halves of them, and gives the same batches', async () => {
      await read();
      const expected = bodies();
      sent = [];
      source.parts.length = 0;
      source.mostSeconds = 30;
      await read();
      assert.deepEqual(bodies(), expected);
      assert.deepEqual(source.parts.slice(0, 4), ['0-100', '0-50', '0-25', '25-50']);
    });

    it('begins the next window with what fitted', async () => {
      source.mostSeconds = 30;
      await read();
      source.parts.length = 0;
      await read();
      assert.deepEqual(source.parts[0], '0-25');
    });

    it('fails when a second of it takes too long, and sends nothing; then it begins with all again', async () => {
      source.mostSeconds = 0;
      await assert.rejects(read(), { code: 'TM_QUERY_TIMEOUT' });
      assert.equal(source.parts.at(-1), '0-1');
      assert.equal(sent.length, 0);
      source.mostSeconds = 100;
      source.parts.length = 0;
      await read();
      assert.deepEqual(source.parts, ['0-100']);
    });

    it('fails at once where it is slow before there are rows', async () => {
      source.read = () => Promise.reject(timeout());
      await assert.rejects(read(), { code: 'TM_QUERY_TIMEOUT' });
    });

    it('gives the same batches wherever it times out', async () => {
      const cases = fc.record({
        sensors: fc.integer({ min: 0, max: 4 }),
        perBatch: fc.integer({ min: 1, max: 40 }),
        maxBytes: fc.constantFrom(90, 500, 1_000_000),
        mostRows: fc.integer({ min: 4, max: 500 }),
        mostSeconds: fc.integer({ min: 1, max: 100 }),
        failures: fc.array(fc.option(fc.integer({ min: 0, max: 60 })), { maxLength: 40 }),
      });
      await fc.assert(
        fc.asyncProperty(cases, async ({ sensors, perBatch, maxBytes, mostRows, mostSeconds, failures }) => {
          const overrides = { readingsPerBatch: perBatch, maxBytes };
          source = new HundredReadings();
          source.sensors = sensors;
          sent = [];
          await read(undefined, overrides);
          const expected = bodies();
          sent = [];
          Object.assign(source, { mostRows, mostSeconds });
          source.failures = failures.map((afterRows) => ({ afterRows: afterRows ?? -1, error: timeout() }));
          const batches = await read(undefined, overrides).then(
            (summary) => summary.batches,
            // A second that does not fit.
            (error: unknown) => (error as TmError).code,
          );
          if (batches === 'TM_QUERY_TIMEOUT') assert.deepEqual(bodies(), expected.slice(0, sent.length));
          else
            assert.deepEqual({ bodies: bodies(), batches }, { bodies: expected, batches: expected.length });
        }),
        { numRuns: 300 },
      );
    });
  });

  it('fails with anything else, and sends nothing that would look like the end', async () => {
    source.failures = [{ afterRows: 55, error: new TmError('TM_DATABASE_UNREACHABLE', 'gone') }];
    await assert.rejects(read(), { code: 'TM_DATABASE_UNREACHABLE' });
    assert(sent.every(({ count }) => count === undefined));
  });

  it('ends with the signal’s reason, while it waits for room too', async () => {
    const aborting = controller();
    room = () => {
      aborting.abort(new TmError('TM_CANCELLED', 'enough'));
      return Promise.resolve();
    };
    await assert.rejects(read(aborting.signal), { code: 'TM_CANCELLED' });
    assert.equal(sent.length, 0);
  });
});
