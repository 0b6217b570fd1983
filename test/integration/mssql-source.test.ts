/** What only SQL Server has; what every engine does is in test/contract. */
import assert from 'node:assert/strict';
import { openSource } from '../../lib/source/open';
import type { ReadingsQuery } from '../../lib/source/source';
import { parseWindow, type Window } from '../../lib/window';
import { mssqlDatabase, withoutMssql } from '../support/mssql';

const DAY = parseWindow({ start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-02T00:00:00Z' });
const LONG: ReadingsQuery = {
  from: 'table',
  table: 'dbo.readings',
  sensorColumn: 'sensor',
  timestampColumn: 'ts',
  valueColumn: 'value',
};

describe('Readings out of SQL Server', () => {
  if (withoutMssql !== undefined) {
    it(withoutMssql);
    return;
  }
  const database = mssqlDatabase();
  const { address } = database;
  const execute = (sql: string) => database.execute(sql);
  const settings = { address, timeZone: 'UTC', statementTimeoutSeconds: 5, poolSize: 2 };

  /** First column of order, sensor and value of each row. */
  async function rowsOf(query: ReadingsQuery, window: Window = DAY): Promise<string[]> {
    const source = openSource(settings);
    const rows: string[] = [];
    try {
      await source.read(query, window, {
        signal: new AbortController().signal,
        drain: () => undefined,
        sink: ({ order, values }) => ({
          row: (bytes, starts, ends) => {
            const text = (field: number): string => bytes.toString('utf8', starts[field], ends[field]);
            rows.push(`${text(order.field)} ${text(values[0]?.field ?? 0)}`);
          },
        }),
      });
    } finally {
      await source.close();
    }
    return rows;
  }

  async function table(time: string, rows: readonly string[], sensor = 'nvarchar(50)'): Promise<void> {
    await execute('DROP TABLE IF EXISTS readings');
    await execute(`CREATE TABLE readings (sensor ${sensor}, ts ${time}, value float)`);
    if (rows.length > 0) await execute(`INSERT INTO readings VALUES ${rows.join(', ')}`);
  }

  it('trap 6: a datetime between two milliseconds is in the window of its tick, and keeps what is said of it', async () => {
    await table('datetime', [
      "('a', '2026-01-01T11:59:59.997', 1)",
      // Rounded by the server to the next second.
      "('a', '2026-01-01T11:59:59.999', 2)",
      "('a', '2026-01-01T12:00:00.003', 3)",
    ]);
    const noon = '2026-01-01T12:00:00Z';
    assert.deepEqual(
      await rowsOf(LONG, parseWindow({ start_time: '2026-01-01T00:00:00Z', end_time: noon })),
      ['2026-01-01 11:59:59.997 1'],
    );
    assert.deepEqual(
      await rowsOf(LONG, parseWindow({ start_time: noon, end_time: '2026-01-02T00:00:00Z' })),
      ['2026-01-01 12:00:00.000 2', '2026-01-01 12:00:00.003 3'],
    );
  });

  it('trap 6: a smalldatetime is of its minute: in one window, wherever windows are cut', async () => {
    await table('smalldatetime', ["('a', '2026-01-01T11:59:00', 1)", "('a', '2026-01-01T12:00:00', 2)"]);
    for (const cut of ['2026-01-01T11:59:30Z', '2026-01-01T12:00:00Z', '2026-01-01T11:59:01Z']) {
      const before = await rowsOf(LONG, parseWindow({ start_time: '2026-01-01T00:00:00Z', end_time: cut }));
      const after = await rowsOf(LONG, parseWindow({ start_time: cut, end_time: '2026-01-02T00:00:00Z' }));
      assert.deepEqual([before, after], [['2026-01-01 11:59:00 1'], ['2026-01-01 12:00:00 2']], cut);
    }
  });

  it('trap 12: lists of names find rows whatever collation the column has', async () => {
    await table(
      'datetime2(0)',
      ["(N'Ж1', '2026-01-01T00:00:00', 1)", "(N'K1', '2026-01-01T00:00:01', 2)"],
      'varchar(50) COLLATE Cyrillic_General_CS_AS',
    );
    const many = Array.from({ length: 3000 }, (_, index) => `T${index}`);
    for (const sensors of [
      ['Ж1', 'K1'],
      [...many, 'Ж1', 'K1'],
      ['Ж*', 'K*'],
    ]) {
      assert.equal((await rowsOf({ ...LONG, sensors })).length, 2, `${sensors.length}`);
    }
  });

  describe('by SQL of the user', () => {
    beforeEach(() =>
      table('datetime', ["('a', '2026-01-01T00:00:00', 1)", "('a', '2026-01-02T00:00:00', 2)"]),
    );

    it('trap 13: may be a historian’s function, whose arguments have types of their own', async () => {
      await execute('DROP FUNCTION IF EXISTS fn_ReadRawTags');
      await execute(`CREATE FUNCTION fn_ReadRawTags (@tags nvarchar(max), @from datetime, @to datetime, @mode int, @separator char(1))
        RETURNS @rows TABLE (tagName nvarchar(50), timestamp datetime, value float, quality int) AS BEGIN
          INSERT INTO @rows SELECT sensor, ts, value, 192 FROM readings WHERE ts BETWEEN @from AND @to
            AND CHARINDEX(@separator + sensor + @separator, @separator + @tags + @separator) > 0;
          RETURN END`);
      const sql = `SELECT tagName AS sensor_id, timestamp, value
        FROM fn_ReadRawTags('a,b', :start_time, :end_time, 1, ',') WHERE quality = 192`;
      assert.deepEqual(await rowsOf({ from: 'sql', sql }), ['2026-01-01 00:00:00.000 1']);
    });

    it('may have common table expressions and an order', async () => {
      const sql = `WITH all_of_it AS (SELECT sensor, ts, value FROM readings WHERE ts >= :start_time)
        SELECT sensor, ts AS timestamp, value FROM all_of_it WHERE ts < :end_time ORDER BY value DESC;`;
      assert.deepEqual(await rowsOf({ from: 'sql', sql }), ['2026-01-01 00:00:00.000 1']);
    });

    it('cannot write, in whatever it is hidden', async () => {
      for (const sql of [
        'DELETE FROM readings',
        'SELECT sensor, ts AS timestamp, value INTO copied FROM readings',
        'SELECT * FROM (DELETE FROM readings OUTPUT deleted.sensor, deleted.ts AS timestamp, deleted.value) AS gone',
        'SELECT 1 AS x) AS readings; DELETE FROM readings; COMMIT; SELECT * FROM (SELECT 1 AS y',
      ]) {
        await assert.rejects(rowsOf({ from: 'sql', sql }), { code: 'TM_QUERY_FAILED' }, sql);
      }
      assert.equal((await rowsOf(LONG)).length, 1);
      assert.deepEqual(await execute("SELECT 1 AS one FROM sys.tables WHERE name = 'copied'"), []);
    });
  });

  it('waits for no writer where the database allows snapshots', async () => {
    await table('datetime2(7)', ["('a', '2026-01-01T00:00:00', 1)"]);
    await execute('ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON');
    const pool = await database.connect();
    const writer = pool.transaction();
    await writer.begin();
    try {
      await writer
        .request()
        .batch("UPDATE readings SET value = 2; INSERT INTO readings VALUES ('b', '2026-01-01', 3)");
      assert.deepEqual(await rowsOf(LONG), ['2026-01-01 00:00:00.0000000 1']);
    } finally {
      await writer.rollback();
      await pool.close();
    }
  });
});
