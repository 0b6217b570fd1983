/**
 * Rows that are committed after others with later stamps: inside the settle delay none is missed, and later ones
 * are found where that is asked for.
 */
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { parseInstant } from '../../lib/window';
import type { Reply } from '../../scripts/start/cloud';
import { useDatabaseClock } from '../support/database-clock';
import { deploy, injectUntil, logged, redeploy, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';

const instant = (time: string): number => parseInstant(`2026-01-01T${time}Z`, 'test', 'UTC');

describe('A row that is committed late', () => {
  useNodeRed();
  let reply: Reply | undefined;
  const plant = usePlant({ respond: () => reply });
  const clock = useDatabaseClock(plant);

  it('inside the settle delay arrives, though later ones were there before it', async () => {
    await plant.history('2026-01-01T11:50:00Z', 600);
    await clock.set('2026-01-01T12:00:00Z');
    await deploy(
      plant.flow({
        'bookmark-next': {
          start: 'date',
          startDate: '2026-01-01T11:50:00Z',
          intervalMinutes: '0.0167',
          settleSeconds: '30',
        },
      }),
      plant.credentials,
    );
    const deliveredTo = (time: string) =>
      injectUntil('bookmark-next', async () => (await plant.position()) === instant(time));
    await deliveredTo('11:59:30');

    const historian = new Client(plant.credentials['cfg-1'].databaseUrl);
    await historian.connect();
    try {
      await historian.query('begin');
      await historian.query("insert into sensor_data values ('LATE', '2026-01-01T11:59:41Z', 1)");
      await plant.client.query("insert into sensor_data values ('SOON', '2026-01-01T11:59:44Z', 2)");
      // Were there no settle delay, what is not committed yet would be passed over now.
      await clock.set('2026-01-01T12:00:10Z');
      await deliveredTo('11:59:40');
      await historian.query('commit');
    } finally {
      await historian.end();
    }
    await clock.set('2026-01-01T12:00:30Z');
    await deliveredTo('12:00:00');
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
  });

  it('later than that arrives where the bookmark looks back', async () => {
    await plant.history('2026-01-01T11:50:00Z', 600);
    await clock.set('2026-01-01T12:00:00Z');
    const next = { start: 'date', startDate: '2026-01-01T11:50:00Z', intervalMinutes: '0.0167' };
    await deploy(plant.flow({ 'bookmark-next': { ...next, lookbackMinutes: '5' } }), plant.credentials);
    await injectUntil('bookmark-next', async () => (await plant.position()) === instant('11:59:30'));
    await plant.client.query("insert into sensor_data values ('LATE', '2026-01-01T11:57:00Z', 1)");
    await clock.set('2026-01-01T12:00:50Z');
    await injectUntil('bookmark-next', async () => (await plant.position()) === instant('12:00:20'));
    assert.equal(plant.cloud.readings().filter(({ sensor }) => sensor === 'LATE').length, 1);
  });

  it('by days arrives where rows are tracked by the time of their insertion', async () => {
    await plant.history('2026-01-01T11:50:00Z', 600);
    await plant.client.query('alter table sensor_data add inserted_at timestamptz');
    await plant.client.query('update sensor_data set inserted_at = timestamp');
    await clock.set('2026-01-01T12:00:00Z');
    const flow = plant.flow({
      'bookmark-next': { start: 'date', startDate: '2026-01-01T11:50:00Z', intervalMinutes: '0.0167' },
      'fetch-1': { trackBy: 'inserted_at' },
    });
    await deploy(flow, plant.credentials);
    await injectUntil('bookmark-next', async () => (await plant.position()) === instant('11:59:30'));
    await plant.client.query(
      "insert into sensor_data values ('LATE', '2025-12-29T08:00:00Z', 1, '2026-01-01T12:00:05Z')",
    );
    await clock.set('2026-01-01T12:00:50Z');
    // The stand-in for the cloud takes no stamps from outside of what a batch covers.
    reply = { status: 200 };
    await injectUntil('bookmark-next', async () => (await plant.position()) === instant('12:00:20'));
    reply = undefined;
    const late = plant.cloud.exchanges.filter(({ body }) => body.includes('"LATE":'));
    assert.equal(late.length, 1);
  });

  it('is neither missed nor sent twice where the database’s clock steps back meanwhile', async () => {
    await plant.history('2026-01-01T11:50:00Z', 600);
    await clock.set('2026-01-01T12:00:00Z');
    const flow = plant.flow({
      'bookmark-next': {
        start: 'date',
        startDate: '2026-01-01T11:50:00Z',
        intervalMinutes: '0.0167',
        settleSeconds: '30',
      },
    });
    await deploy(flow, plant.credentials);
    await injectUntil('bookmark-next', async () => (await plant.position()) === instant('11:59:30'));
    await clock.set('2026-01-01T11:00:00Z');
    const { rows } = await plant.client.query<{ since: string }>(
      'select statement_timestamp()::text as since',
    );
    await injectUntil('bookmark-next', async () => {
      const { rowCount } = await plant.client.query(
        "select from pg_stat_activity where application_name = 'turbomechanica-data-connector' and query_start > $1",
        [rows[0]?.since],
      );
      return rowCount;
    });
    assert.equal(await plant.position(), instant('11:59:30'));
    await injectUntil('bookmark-next', () =>
      logged('bookmark-next').some((line) => /was set back by 36\d\d s/.test(line)),
    );
    await clock.set('2026-01-01T12:00:40Z');
    await redeploy(flow, plant.credentials);
    await injectUntil('bookmark-next', async () => (await plant.position()) === instant('12:00:10'));
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
  });
});
