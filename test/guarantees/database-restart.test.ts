/** The database is restarted, in order or by a crash, between windows and in the middle of a result. */
import assert from 'node:assert/strict';
import { useNodeRed } from '../support/flow';
import { Moment, START, survives } from '../support/fault';
import { ownPostgres } from '../support/own-postgres';
import { usePlant } from '../support/plant';
import { openSource, SENSOR_DATA, windowBodies, windowOf } from '../support/window-bodies';

describe('A restart of the database', () => {
  useNodeRed();
  const database = ownPostgres();
  const moment = new Moment();
  const plant = usePlant({ respond: moment.respond }, { database });

  it('in order moves no bookmark, and delivery goes on by itself', () =>
    survives(plant, moment, {
      strike: () => database.stop(),
      code: 'TM_DATABASE_UNREACHABLE',
      mend: () => database.start(),
    }));

  it('by a crash moves no bookmark, and delivery goes on by itself', () =>
    survives(plant, moment, {
      strike: () => database.crash(),
      code: 'TM_DATABASE_UNREACHABLE',
      mend: () => database.start(),
    }));

  for (const [how, end] of [
    ['in order', () => database.stop()],
    ['by a crash', () => database.crash()],
  ] as const) {
    it(`${how} in the middle of a result is not taken for the result's end`, async () => {
      // More than the sockets between the two hold.
      await plant.history(START, 300_000, 1);
      const window = windowOf(START, '2026-01-05T00:00:00Z');
      const source = openSource(database.url);
      try {
        const sent: string[] = [];
        const settings = {
          sent,
          room: async () => {
            if (sent.length === 3) await end();
          },
        };
        await assert.rejects(windowBodies(source, SENSOR_DATA, window, settings), {
          code: 'TM_DATABASE_UNREACHABLE',
        });
        await database.start();
        const whole = await windowBodies(source, SENSOR_DATA, window);
        assert.equal(whole.length, 300);
        assert.deepEqual(sent, whole.slice(0, sent.length));
        assert(sent.length < whole.length);
      } finally {
        await source.close();
      }
    });
  }
});
