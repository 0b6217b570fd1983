/**
 * The plant's database is only read. Whatever stands in a custom SQL, a name, a list of sensors or a message, it
 * changes nothing there and is refused by the database in words, or it is a name like any other.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { collect, deploy, inject, messageWhere, useNodeRed, type FlowMessage } from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const RANGE = { start_time: START, end_time: '2026-01-01T00:01:00Z' };
const PROGRAM_FILE = join(tmpdir(), `tm-attack-${process.pid}`);
const READINGS =
  'SELECT sensor_id AS sensor, timestamp, value FROM sensor_data WHERE timestamp >= :start_time AND timestamp < :end_time';

const errorOf = ({ error }: FlowMessage): { code: string; message: string } =>
  error as { code: string; message: string };

const sourceOf = (error: unknown): string => (error as { source: { id: string } }).source.id;

describe('An attack on the database', function () {
  useNodeRed();
  const plant = usePlant();

  beforeEach(async () => {
    await plant.history(START, 60, 2);
    await plant.client.query(`
      drop table if exists victim, stolen;
      create table victim (id int);
      insert into victim values (1), (2), (3);
      drop sequence if exists counter;
      create sequence counter;
      create or replace function write_it() returns double precision language plpgsql as
        $$ begin delete from victim; return 1; end $$;
      create or replace function let_it_write() returns text language sql as
        $$ select set_config('default_transaction_read_only', 'off', false)
               || set_config('transaction_read_only', 'off', false) $$`);
  });

  const state = async (): Promise<unknown> => {
    const { rows } = await plant.client.query(`
      select (select count(*) from victim) as victims, (select last_value from counter) as counted,
             (select count(*) from pg_largeobject_metadata) as objects,
             (select count(*) from pg_tables where tablename = 'stolen') as stolen`);
    return rows[0];
  };
  const fetchFlow = (fetch: object) =>
    plant.flow({
      'cfg-1': { ...plant.flow()[0], poolSize: '2' },
      'fetch-1': fetch,
      'post-1': { wires: [['committed'], ['refused']] },
    });
  /** Reads a window. @returns the error, or undefined where it was delivered */
  const read = async (): Promise<{ code: string; message: string } | undefined> => {
    const [errors, receipts] = [collect('errors'), collect('committed')];
    inject('fetch-1', { payload: RANGE });
    await until(() => errors.length + receipts.length > 0);
    return errors[0] && errorOf(errors[0]);
  };

  const writes: [name: string, sql: string, says: RegExp][] = [
    [
      'INSERT … RETURNING',
      "INSERT INTO victim SELECT 1 WHERE now() > :start_time AND now() > :end_time RETURNING now() AS timestamp, 'a' AS sensor, id AS value",
      /syntax error/,
    ],
    [
      'DELETE inside WITH',
      `WITH gone AS (DELETE FROM victim RETURNING id) ${READINGS}`,
      /data-modifying statement/,
    ],
    ['SELECT … INTO', READINGS.replace(' FROM', ' INTO stolen FROM'), /INTO is not allowed/],
    ['a function that writes', READINGS.replace(', value', ', write_it() AS value'), /read-only/],
    ['nextval', READINGS.replace(', value', ", nextval('counter') AS value"), /read-only/],
    ['setval', READINGS.replace(', value', ", setval('counter', 99) AS value"), /read-only/],
    ['SELECT … FOR UPDATE', `${READINGS} FOR UPDATE`, /read-only/],
    ['a second statement', `${READINGS}; DELETE FROM victim`, /syntax error|multiple commands/],
    [
      'statements around the query’s own',
      `${READINGS}) AS readings; DELETE FROM victim; SELECT * FROM (${READINGS}`,
      /multiple commands/,
    ],
    [
      'COMMIT and a write',
      `${READINGS}) AS readings; COMMIT; DELETE FROM victim; SELECT * FROM (${READINGS}`,
      /multiple commands/,
    ],
    [
      'SET … READ WRITE for the session',
      `${READINGS}) AS readings; SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; COMMIT; DELETE FROM victim; SELECT * FROM (${READINGS}`,
      /multiple commands/,
    ],
    ['SET TRANSACTION READ WRITE', `SET TRANSACTION READ WRITE; ${READINGS}`, /syntax error/],
    [
      'out of COPY by a comment',
      `${READINGS}) AS readings) TO PROGRAM 'touch ${PROGRAM_FILE}' --`,
      /syntax error/,
    ],
    [
      'out of COPY into a second one',
      `${READINGS}) AS readings) TO STDOUT; COPY victim TO PROGRAM 'touch ${PROGRAM_FILE}'; COPY (SELECT * FROM (${READINGS}`,
      /syntax error|multiple commands/,
    ],
    [
      'COPY … TO PROGRAM',
      `COPY victim TO PROGRAM 'touch ${PROGRAM_FILE}' -- :start_time\n/* :end_time */ WHERE :start_time < :end_time`,
      /syntax error/,
    ],
    ['a DO block', `DO $$ BEGIN DELETE FROM victim; END $$ -- \n, :start_time, :end_time`, /syntax error/],
    [
      'a mode switched off inside the query',
      READINGS.replace(', value', ', length(let_it_write()) + write_it() AS value'),
      /read-write mode|read-only/,
    ],
  ];
  for (const [name, sql, says] of writes) {
    it(`${name}: refused by the database, which says so; nothing is written`, async () => {
      const before = await state();
      await deploy(fetchFlow({ from: 'sql', sql }), plant.credentials);
      // A connection that an attack had opened would serve the next window.
      for (let attempt = 0; attempt < 3; attempt++) {
        const error = await read();
        assert(error, 'it was delivered');
        assert.match(error.message, says);
        assert.match(error.code, /^TM_QUERY_/);
      }
      assert.deepEqual(await state(), before);
      assert(!existsSync(PROGRAM_FILE));
    });
  }

  it('a mode switched off for what follows: the next window is read-only again', async () => {
    const before = await state();
    const open = READINGS.replace(
      ', value',
      ", length(set_config('default_transaction_read_only', 'off', false)) AS value",
    );
    await deploy(
      [
        ...fetchFlow({ from: 'sql', sql: open }),
        {
          id: 'fetch-2',
          type: 'tm-fetch',
          config: 'cfg-1',
          from: 'sql',
          sql: READINGS.replace(', value', ', write_it() AS value'),
          wires: [['post-1']],
        },
      ],
      plant.credentials,
    );
    for (let attempt = 0; attempt < 3; attempt++) {
      assert.equal(await read(), undefined);
      const refused = messageWhere('errors', () => true);
      inject('fetch-2', { payload: RANGE });
      assert.match(errorOf(await refused).message, /read-only/);
    }
    assert.deepEqual(await state(), before);
  });

  it('a setting changed by a query does not bend the values of the next', async () => {
    const value = 0.12345678901234566;
    await plant.client.query('update sensor_data set value = $1', [value]);
    const bent = READINGS.replace(
      ', value',
      ", length(set_config('extra_float_digits', '-10', false) || set_config('TimeZone', 'Asia/Kolkata', false)) AS value",
    );
    const flow = fetchFlow({ from: 'sql', sql: bent });
    await deploy(
      [
        ...flow,
        { id: 'fetch-2', type: 'tm-fetch', config: 'cfg-1', table: 'sensor_data', wires: [['post-1']] },
      ],
      plant.credentials,
    );
    for (let attempt = 0; attempt < 3; attempt++) assert.equal(await read(), undefined);
    const before = plant.cloud.exchanges.length;
    const receipt = messageWhere('committed', () => true);
    inject('fetch-2', { payload: RANGE });
    await receipt;
    const posted = plant.cloud.exchanges.slice(before).flatMap((exchange) => exchange.posted?.readings ?? []);
    assert.equal(posted.length, 120);
    for (const reading of posted) {
      assert.equal(reading.value, value);
      assert.match(String(reading.timestamp), /^2026-01-01T00:00:\d\dZ$/);
    }
  });

  it('large objects, which older servers let through, are gone with the query', async () => {
    const before = await state();
    const sql = READINGS.replace(', value', ", lo_from_bytea(0, 'stolen')::bigint AS value");
    await deploy(fetchFlow({ from: 'sql', sql }), plant.credentials);
    await read();
    await read();
    assert.deepEqual(await state(), before);
  });

  describe('by a name', () => {
    const names = [
      `victim"; DELETE FROM victim; --`,
      `victim'; DELETE FROM victim; --`,
      `victim\u0022; DELETE FROM victim; --`,
      'victim\uff02; DELETE FROM victim; --',
      'victim\u2019; DELETE FROM victim; --',
      'victim/*',
      'victim--',
      '$$victim$$',
      '$tag$victim$tag$',
      'victim::text',
      'victim);DELETE FROM victim;SELECT(1',
      `U&"\\0022"`,
      "E'\\'",
      ':start_time',
      'victim\\',
      `"${'x'.repeat(70)}"; DELETE FROM victim; --`,
    ];
    for (const name of names) {
      it(`${JSON.stringify(name.slice(0, 40))} as table, column and sensor changes nothing`, async () => {
        const before = await state();
        const attacks = [
          { table: name },
          { table: 'sensor_data', sensorColumn: name },
          { table: 'sensor_data', timestampColumn: name },
          { table: 'sensor_data', valueColumn: name },
        ].map((fetch, index) => ({
          ...{ id: `attack-${index}`, type: 'tm-fetch', config: 'cfg-1', wires: [['post-1']] },
          ...fetch,
        }));
        await deploy([...fetchFlow({ table: 'sensor_data', sensors: name }), ...attacks], plant.credentials);
        for (const { id } of attacks) {
          const refused = messageWhere('errors', ({ error }) => sourceOf(error) === id);
          inject(id, { payload: RANGE });
          assert.match(errorOf(await refused).code, /^TM_(QUERY_FAILED|QUERY_COLUMNS|SETTING_INVALID)$/);
        }
        await plant.client.query('insert into sensor_data values ($1, $2, 7)', [name, START]);
        assert.equal(await read(), undefined);
        assert.deepEqual(
          plant.cloud.readings().map(({ sensor }) => sensor),
          [name],
          'the sensor of this name, and no other',
        );
        assert.deepEqual(await state(), before);
      });
    }

    for (const fetch of [
      { table: 'sensor_data\u0000' },
      { table: 'sensor_data', sensorColumn: 'sensor_id\u0000' },
      { table: 'sensor_data', sensors: "a\u0000') OR true --" },
      { from: 'sql', sql: `${READINGS} AND 'a\u0000' = 'a'` },
    ]) {
      it(`with a NUL (${JSON.stringify(fetch).slice(0, 60)}): refused in words, and the next query works`, async () => {
        await deploy(
          [
            ...fetchFlow(fetch),
            { id: 'fetch-2', type: 'tm-fetch', config: 'cfg-1', table: 'sensor_data', wires: [['post-1']] },
          ],
          plant.credentials,
        );
        const error = await read();
        assert.equal(error?.code, 'TM_SETTING_INVALID');
        assert.match(error.message, /character that cannot be sent/);
        const receipt = messageWhere('committed', () => true);
        inject('fetch-2', { payload: RANGE });
        await receipt;
        assert.equal(plant.cloud.readings().length, 120);
      });
    }
  });

  describe('by a message', () => {
    for (const bad of [
      "2026-01-01'; DELETE FROM victim; --",
      '2026-01-01T00:00:00Z\u0000',
      '$$',
      { a: 1 },
      ['x'],
    ]) {
      it(`${JSON.stringify(bad)} as a window’s edge is no time`, async () => {
        await deploy(fetchFlow({ table: 'sensor_data' }), plant.credentials);
        for (const payload of [
          { ...RANGE, start_time: bad },
          { ...RANGE, end_time: bad },
        ]) {
          const caught = messageWhere('errors', () => true);
          inject('fetch-1', { payload });
          assert.equal(errorOf(await caught).code, 'TM_WINDOW_INVALID');
        }
        assert.equal(plant.cloud.exchanges.length, 0);
      });
    }
  });
});
