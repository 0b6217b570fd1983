/**
 * The database server is away for an hour: nothing ends, the bookmark stays, the log says so once and not with
 * every attempt, and delivery goes on by itself when the server is back.
 */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import sinon from 'sinon';
import { parseInstant } from '../../lib/window';
import { collect, deploy, inject, logged, useNodeRed } from '../support/flow';
import { Moment } from '../support/fault';
import { usePlant } from '../support/plant';
import { TcpProxy } from '../support/tcp-proxy';

const START = '2026-01-01T00:00:00Z';
const STEP_MS = 5;
const { setTimeout: realTimeout } = globalThis;
const NODES = ['cfg-1', 'bookmark-next', 'fetch-1', 'post-1', 'bookmark-commit'];

/** What each node has said. */
const said = (): Partial<Record<string, string[]>> => Object.fromEntries(NODES.map((id) => [id, logged(id)]));

describe('A database server that is away for an hour', () => {
  // Before Node-RED is stopped, which clears timers from before.
  afterEach(() => {
    sinon.restore();
  });
  useNodeRed();
  let proxy: TcpProxy | undefined;
  const moment = new Moment();
  const plant = usePlant({ respond: moment.respond }, { databaseUrl: (url) => proxy?.through(url) ?? url });
  beforeEach(async () => {
    proxy = await TcpProxy.start(plant.credentials['cfg-1'].databaseUrl);
  });
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
  });

  for (const [how, leave] of [
    ['refuses connections', (through: TcpProxy) => through.refuse()],
    [
      'does not answer',
      (through: TcpProxy) => {
        through.stopForwarding();
        return Promise.resolve();
      },
    ],
  ] as const) {
    it(`and ${how}`, async () => {
      assert(proxy);
      const through = proxy;
      await plant.history(START, 3600);
      const clock = sinon.useFakeTimers({
        toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance', 'Date'],
        now: Date.now(),
      });
      /** Faster than time that the sockets need, but slower the longer it takes. */
      const passUntil = async (condition: () => boolean, speed: number): Promise<void> => {
        for (let steps = 1; !condition(); steps++) {
          await new Promise((resolve) => realTimeout(resolve, STEP_MS));
          await clock.tickAsync(STEP_MS * speed);
          if (steps % 400 === 0) speed = Math.max(1, speed / 2);
        }
      };
      // Without a Catch node errors go to the log.
      const flow = plant
        .flow({ 'bookmark-next': { start: 'date', startDate: START, longestMinutes: '10' } })
        .filter(({ type }) => type !== 'catch');
      await deploy(flow, plant.credentials);
      let away = false;
      moment.onPost = async ({ posted }) => {
        if (posted?.end_time !== '2026-01-01T00:30:00Z' || away) return;
        away = true;
        await leave(through);
      };
      const committed = collect('committed');
      const isDone = (end: string) => () =>
        committed.some(({ payload }) => (payload as { end_time: string }).end_time === end);
      inject('bookmark-next');
      await passUntil(isDone('2026-01-01T00:30:00Z'), 1);
      for (let minute = 0; minute < 60; minute++) {
        // Heartbeats go on meanwhile.
        inject('bookmark-next');
        for (let second = 0; second < 60; second++) {
          await clock.tickAsync(1000);
          await turn();
        }
      }
      assert.equal(await plant.position(), parseInstant('2026-01-01T00:30:00Z', 'test', 'UTC'));
      // Files take real time, in which an hour of the test's may have passed.
      await passUntil(() => said()['bookmark-next']?.length !== 0, 1000);
      // The fault once, and once the alarm of what comes of it, each by the node that it is about.
      const { 'fetch-1': fault = [], 'bookmark-next': alarm = [], ...others } = said();
      assert.equal(fault.length, 1, fault.join('\n'));
      assert.match(fault[0] ?? '', /cannot be reached/);
      assert.equal(alarm.length, 1, alarm.join('\n'));
      const stood = /"plant" has not moved for (\d+) min from 2026-01-01T00:30:00Z/.exec(alarm[0] ?? '');
      // Looks take real time, in which the test's goes on.
      assert(Number(stood?.[1]) >= 15 && Number(stood?.[1]) < 60, alarm[0]);
      assert.deepEqual(others, { 'cfg-1': [], 'post-1': [], 'bookmark-commit': [] });
      await through.restore();
      await passUntil(isDone('2026-01-01T01:00:00Z'), 20);
      clock.restore();
      await plant.assertAllArrived();
      assert.deepEqual(said()['fetch-1']?.slice(1), ['Reading goes on.']);
      // This machine's clock is the test's, an hour ahead of the database's by now.
      const recovered = (said()['bookmark-next'] ?? [])
        .slice(1)
        .filter((line) => !line.includes("database's clock"));
      assert.equal(recovered.length, 1, recovered.join('\n'));
      assert.match(recovered[0] ?? '', /"plant" moves again\. It was TM_BOOKMARK_STANDS_STILL from /);
    });
  }
});
