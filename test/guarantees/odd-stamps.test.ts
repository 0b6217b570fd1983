/** Stamps that no window can hold are left out by its bounds and hold nothing up; old ones are read as any other. */
import assert from 'node:assert/strict';
import type { Source } from '../../lib/source/source';
import { parseInstant } from '../../lib/window';
import { useDatabaseClock } from '../support/database-clock';
import { deploy, injectUntil, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';
import { openSource, SENSOR_DATA, windowBodies, windowOf } from '../support/window-bodies';

describe('Odd stamps', () => {
  useNodeRed();
  const plant = usePlant();
  const clock = useDatabaseClock(plant);
  let source: Source;
  beforeEach(() => {
    source = openSource(plant.credentials['cfg-1'].databaseUrl);
  });
  afterEach(() => source.close());

  it('of infinity and of years beyond 9999 are in no window, and hold nothing up', async () => {
    await plant.history('2026-01-01T11:50:00Z', 570);
    await clock.set('2026-01-01T12:00:00Z');
    await plant.client.query(
      "insert into sensor_data values ('ODD', 'infinity', 1), ('ODD', '-infinity', 2), ('ODD', '12026-01-01', 3)",
    );
    await deploy(plant.flow({ 'bookmark-next': { intervalMinutes: '0.0167' } }), plant.credentials);
    await injectUntil(
      'bookmark-next',
      async () => (await plant.position()) === parseInstant('2026-01-01T11:59:30Z', 'test', 'UTC'),
    );
    await plant.client.query("delete from sensor_data where sensor_id = 'ODD'");
    await plant.assertAllArrived();
  });

  it('before 1970 are read as they are', async () => {
    await plant.client.query(`insert into sensor_data values
      ('OLD', '1969-12-31T23:59:59.999999Z', 1), ('OLD', '1970-01-01T00:00:00Z', 2), ('OLD', '1900-02-28T12:00:00.5Z', 3)`);
    const stamps = async (start: string, end: string): Promise<string[]> =>
      (await windowBodies(source, SENSOR_DATA, windowOf(start, end))).flatMap(
        (body) => body.match(/(?<="timestamp":")[^"]*/g) ?? [],
      );
    assert.deepEqual(await stamps('1969-12-31T23:00:00Z', '1970-01-01T00:00:00Z'), [
      '1969-12-31T23:59:59.999999Z',
    ]);
    assert.deepEqual(await stamps('1970-01-01T00:00:00Z', '1970-01-02T00:00:00Z'), ['1970-01-01T00:00:00Z']);
    assert.deepEqual(await stamps('1900-01-01T00:00:00Z', '1901-01-01T00:00:00Z'), [
      '1900-02-28T12:00:00.5Z',
    ]);
  });

  it('that were never measured do not have delivery begin with them, and that is said', async () => {
    const warnings: string[] = [];
    const oldest = () => source.oldest(SENSOR_DATA, (message) => warnings.push(message));
    await plant.client.query("insert into sensor_data values ('NEW', '2026-01-01T00:00:00Z', 1)");
    assert.equal(await oldest(), parseInstant('2026-01-01T00:00:00Z', 'test', 'UTC'));
    assert.equal(warnings.length, 0);
    for (const odd of ['0044-03-15 BC', '-infinity', '0001-01-01', '1753-01-01']) {
      await plant.client.query(`insert into sensor_data values ('ODD', '${odd}', 1)`);
      assert.equal(await oldest(), parseInstant('2026-01-01T00:00:00Z', 'test', 'UTC'));
      assert.match(warnings.splice(0).join(), /holds ".*", which is taken for no time/);
      await plant.client.query("delete from sensor_data where sensor_id = 'ODD'");
    }
    await plant.client.query("update sensor_data set timestamp = 'infinity'");
    assert.equal(await oldest(), undefined);
  });
});
