/**
 * The database's machine vanishes, or something between forgets the connection: no packet ever tells. What was
 * asked over it fails in time, and is asked again over another connection.
 */
import assert from 'node:assert/strict';
import sinon from 'sinon';
import type { Source } from '../../lib/source/source';
import { usePlant } from '../support/plant';
import { TcpProxy } from '../support/tcp-proxy';
import { openSource, SENSOR_DATA, windowBodies, windowOf } from '../support/window-bodies';

const START = '2026-01-01T00:00:00Z';
/** More rows than can come in one piece. */
const SECONDS = 6000;
const WINDOW = windowOf(START, '2026-01-01T01:40:00Z');
const TIMEOUT_SECONDS = 30;

describe('A connection to the database that falls silent', () => {
  const plant = usePlant();
  let proxy: TcpProxy;
  let source: Source;
  let clock: sinon.SinonFakeTimers;

  beforeEach(async () => {
    await plant.history(START, SECONDS, 2);
    proxy = await TcpProxy.start(plant.credentials['cfg-1'].databaseUrl);
    source = openSource(proxy.through(plant.credentials['cfg-1'].databaseUrl), {
      statementTimeoutSeconds: TIMEOUT_SECONDS,
    });
    // A connection is in the pool: the next query is sent over it.
    await source.clock();
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldClearNativeTimers: true });
  });
  afterEach(async () => {
    clock.restore();
    await source.close();
    await proxy.close();
  });

  it('fails what was asked over it, later than the statement timeout, and the next is delivered', async () => {
    proxy.stopForwarding();
    let over = false;
    const failed = assert
      .rejects(windowBodies(source, SENSOR_DATA, WINDOW), {
        code: 'TM_DATABASE_UNREACHABLE',
        message: /has not answered for 40 s/,
      })
      .finally(() => {
        over = true;
      });
    // Time begins when the query is sent.
    while (clock.countTimers() === 0) await new Promise(setImmediate);
    await clock.tickAsync(TIMEOUT_SECONDS * 1000);
    assert.equal(over, false);
    await clock.tickAsync(60_000);
    await failed;
    clock.restore();
    await proxy.restore();
    assert.equal((await windowBodies(source, SENSOR_DATA, WINDOW)).length > 0, true);
  });

  it('is not said of one that waits for a slow consumer', async () => {
    let waits = 0;
    let rows = 0;
    await source.read(SENSOR_DATA, WINDOW, {
      signal: new AbortController().signal,
      sink: () => ({
        row: () => {
          rows++;
        },
      }),
      drain: async () => {
        waits++;
        await clock.tickAsync((TIMEOUT_SECONDS + 20) * 1000);
      },
    });
    assert.equal(rows, 2 * SECONDS);
    assert(waits > 0);
  });
});
