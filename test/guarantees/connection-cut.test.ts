/**
 * The connection to the database is cut after any number of bytes: while it is made, in the middle of a row, in
 * the last byte of a result. A window is delivered whole or not at all.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { deploy, inject, messageWhere, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';
import { randomOf } from '../support/random';
import { TcpProxy } from '../support/tcp-proxy';
import { openSource, SENSOR_DATA, windowBodies, windowOf } from '../support/window-bodies';

const START = '2026-01-01T00:00:00Z';
const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

describe(`A connection to the database that is cut (seed ${SEED})`, () => {
  useNodeRed();
  let proxy: TcpProxy | undefined;
  const plant = usePlant({}, { databaseUrl: (url) => proxy?.through(url) ?? url });
  beforeEach(async () => {
    proxy = await TcpProxy.start(plant.credentials['cfg-1'].databaseUrl);
  });
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
  });

  it('is never taken for the end of a result', async () => {
    assert(proxy);
    const through = proxy;
    await plant.history(START, 3600);
    const window = windowOf(START, '2026-01-01T01:00:00Z');
    const url = plant.credentials['cfg-1'].databaseUrl;
    const read = async (cutAfter: number): Promise<string[] | string> => {
      through.cutAfter = () => cutAfter;
      const source = openSource(url);
      try {
        return await windowBodies(source, SENSOR_DATA, window);
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await source.close();
      }
    };
    const before = through.received;
    const whole = await read(Infinity);
    const bytes = through.received - before;
    assert.equal(whole.length, 11);
    // What follows the last row: its end, and that of its transaction. Cut in the latter, the rows are complete.
    const inTheEnd = fc.integer({ min: 1, max: 60 }).map((left) => bytes - left);
    const anywhere = fc.integer({ min: 0, max: bytes - 1 });
    const atTheBeginning = fc.integer({ min: 0, max: 2000 });
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(inTheEnd, anywhere, atTheBeginning), async (cutAfter) => {
        const outcome = await read(cutAfter);
        if (outcome === 'TM_DATABASE_UNREACHABLE') failed++;
        else
          assert(
            isDeepStrictEqual(outcome, whole),
            `cut after ${cutAfter} of ${bytes} bytes: ${whatOf(outcome)}`,
          );
      }),
      { numRuns: 60, seed: SEED },
    );
    assert(failed > 0);
  });

  it('again and again delays delivery, and loses nothing', async () => {
    assert(proxy);
    const through = proxy;
    await plant.history(START, 3600);
    const next = randomOf(SEED);
    await deploy(
      plant.flow({
        'cfg-1': { poolSize: '7' },
        'bookmark-next': { start: 'date', startDate: START, longestMinutes: '10', inFlight: '6' },
        'fetch-1': { readingsPerBatch: '500' },
      }),
      plant.credentials,
    );
    const done = messageWhere(
      'committed',
      ({ payload }) => (payload as { end_time: string }).end_time === '2026-01-01T01:00:00Z',
    );
    // A window is some 90 kB: none of the first connections comes through one.
    through.cutAfter = () => (through.cuts < 6 ? Math.floor(next() * 90_000) : Infinity);
    inject('bookmark-next');
    await done;
    assert(through.cuts >= 6, `${through.cuts} cuts`);
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().conflicts, 0);
  });
});

/** An error's code, or how many batches came through: the bodies would fill the screen. */
function whatOf(outcome: string[] | string): string {
  return typeof outcome === 'string' ? outcome : `${outcome.length} batches`;
}
