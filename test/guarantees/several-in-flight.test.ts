/** Several windows under way: only the unbroken run of delivered ones is passed, and a failed one is redone alone. */
import assert from 'node:assert/strict';
import type { Exchange, Reply } from '../../scripts/start/cloud';
import { deploy, inject, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const WINDOWS = 100;
const WINDOW_SECONDS = 60;

describe('Several windows in flight', () => {
  useNodeRed();
  let respond: (exchange: Exchange) => Reply | undefined = () => undefined;
  const plant = usePlant({ respond: (exchange) => respond(exchange) });
  const at = (window: number): string =>
    new Date(Date.parse(START) + window * WINDOW_SECONDS * 1000).toISOString().replace('.000Z', 'Z');

  for (const inFlight of [2, 5, 16, 64]) {
    it(`${inFlight} at a time: the bookmark waits for one that fails, which alone is sent again`, async () => {
      const [failing, next] = [at(3), at(4)];
      let failures = 0;
      let mended = false;
      respond = ({ posted }) => {
        if (mended || !posted || posted.start_time < failing || posted.start_time >= next) return undefined;
        failures++;
        // Refused for good, and held: nothing else waits for it.
        return { status: 400, body: 'not now' };
      };
      await plant.history(START, WINDOWS * WINDOW_SECONDS, 1);
      await deploy(
        plant.flow({ 'bookmark-next': { inFlight, longestMinutes: WINDOW_SECONDS / 60 } }),
        plant.credentials,
      );
      inject('bookmark-next');
      // What may be under way beside it is delivered, and it has failed more than once.
      await until(() => plant.cloud.readings().length === (2 + inFlight) * WINDOW_SECONDS && failures > 1);
      assert.equal(await plant.position(), Date.parse(failing) / 1000, 'before the window that fails');
      mended = true;
      await until(() => plant.cloud.readings().length === WINDOWS * WINDOW_SECONDS);
      await plant.assertAllArrived();
      const starts = plant.cloud.exchanges
        .filter(({ status }) => status === 200)
        .map(({ posted }) => posted?.start_time);
      assert.equal(new Set(starts).size, starts.length, 'what was delivered was not sent again');
    });
  }
});
