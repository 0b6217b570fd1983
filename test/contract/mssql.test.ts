import { mssqlDialect } from '../../lib/source/mssql-dialect';
import { mssqlDatabase, withoutMssql } from '../support/mssql';
import { until } from '../support/until';
import { writeTime, type EngineFixture } from './fixture';
import { sourceContract } from './source-contract';

describe('A source on SQL Server', () => {
  if (withoutMssql !== undefined) {
    it(withoutMssql);
    return;
  }
  const database = mssqlDatabase();
  const OURS = "program_name = 'turbomechanica-data-connector' AND database_id = DB_ID()";
  const settings = () => ({
    address: database.address,
    timeZone: 'UTC',
    statementTimeoutSeconds: 30,
    poolSize: 4,
  });
  const fixture: EngineFixture = {
    name: 'SQL Server',
    types: {
      text: 'nvarchar(max)',
      varchar: (length) => `nvarchar(${length})`,
      char: (length) => `nchar(${length})`,
      double: 'float',
      integer: 'int',
      bigint: 'bigint',
      instant: 'datetimeoffset(7)',
      naive: 'datetime2(7)',
    },
    times: [
      { type: 'datetime2(7)', kind: 'naive', digits: 7, write: writeTime.local },
      { type: 'datetime2(3)', kind: 'naive', digits: 3, write: writeTime.local },
      { type: 'datetime2(0)', kind: 'naive', digits: 0, write: writeTime.local },
      // It keeps .000, .003 and .007 of a hundredth.
      { type: 'datetime', kind: 'naive', digits: 2, write: writeTime.local },
      { type: 'datetimeoffset(7)', kind: 'instant', digits: 7, write: writeTime.instant },
      { type: 'datetimeoffset(0)', kind: 'instant', digits: 0, write: writeTime.instant },
      { type: 'date', kind: 'date', digits: 0, write: writeTime.date },
      { type: 'int', title: 'seconds', kind: 'epoch', digits: 0, write: writeTime.epochSeconds },
      { type: 'bigint', title: 'milliseconds', kind: 'epoch', digits: 3, write: writeTime.epochMilliseconds },
      { type: 'bigint', title: 'microseconds', kind: 'epoch', digits: 6, write: writeTime.epochMicroseconds },
      { type: 'float', title: 'seconds', kind: 'epoch', digits: 3, write: writeTime.epochSeconds },
      { type: 'decimal(20,7)', title: 'seconds', kind: 'epoch', digits: 7, write: writeTime.epochSeconds },
      { type: 'nvarchar(40)', title: 'ISO 8601 with Z', kind: 'text', digits: 7, write: writeTime.isoUtc },
      {
        type: 'varchar(40)',
        title: 'ISO 8601 with an offset',
        kind: 'text',
        digits: 7,
        write: writeTime.offset,
      },
      {
        type: 'varchar(40)',
        title: 'ISO 8601 without an offset',
        kind: 'text',
        digits: 7,
        write: writeTime.local,
      },
    ],
    values: [
      {
        type: 'float',
        literals: ['0.1', '0.30000000000000004e0', '-1e300', '2.2250738585072014e-308', 'NULL'],
        posted: [0.1, 0.30000000000000004, -1e300, 2.2250738585072014e-308, null],
      },
      { type: 'real', literals: ['0.1', '-2.5', '16777216'], posted: [0.1, -2.5, 16777216] },
      { type: 'tinyint', literals: ['255'], posted: [255] },
      { type: 'smallint', literals: ['-7'], posted: [-7] },
      { type: 'int', literals: ['2147483647'], posted: [2147483647] },
      {
        type: 'bigint',
        literals: ['9007199254740991', '9007199254740993', '-9223372036854775808'],
        posted: [9007199254740991, '9007199254740993', '-9223372036854775808'],
      },
      {
        type: 'decimal(38,19)',
        literals: ['12.340', '0.1234567890123456789', '-0.5'],
        posted: [12.34, '0.1234567890123456789', -0.5],
      },
      {
        type: 'money',
        literals: ['12.34', '922337203685477.5807', '-0.0001'],
        posted: [12.34, '922337203685477.5807', -0.0001],
      },
      { type: 'smallmoney', literals: ['214748.3647'], posted: [214748.3647] },
      { type: 'bit', literals: ['1', '0', 'NULL'], posted: [1, 0, null] },
      {
        type: 'nvarchar(max)',
        literals: ["N'Bad'", "N'tab' + NCHAR(9) + N' \\ \"quoted\" 温度'", "N'12.5'", "N''"],
        posted: ['Bad', 'tab\t \\ "quoted" 温度', '12.5', ''],
      },
      { type: 'varchar(20)', literals: ["'I/O Timeout'"], posted: ['I/O Timeout'] },
      { type: 'char(12)', literals: ["'Bad'"], posted: ['Bad'] },
      { type: 'nchar(12)', literals: ["N'Bad'"], posted: ['Bad'] },
      {
        type: 'uniqueidentifier',
        literals: ["'6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b'"],
        posted: ['6F1F2C9E-8B0E-4D1C-9D0A-3F5E8F0C1A2B'],
      },
      {
        type: 'datetime2(7)',
        literals: ["'2026-01-31 12:00:00.1234567'"],
        posted: ['2026-01-31 12:00:00.1234567'],
      },
      { type: 'date', literals: ["'2026-01-31'"], posted: ['2026-01-31'] },
      { type: 'varbinary(4)', literals: ['0x00ff'], posted: ['0x00FF'] },
      { type: 'xml', literals: ["'<a>1</a>'"], posted: ['<a>1</a>'] },
      {
        type: 'sql_variant',
        literals: [
          'CONVERT(float, 0.1)',
          'CONVERT(int, 7)',
          "N'Bad'",
          'CONVERT(decimal(20,10), 12.34)',
          'CONVERT(money, 1.5)',
          "CONVERT(datetime2(7), '2026-01-31 12:00:00.1234567')",
          'CONVERT(bigint, 9007199254740993)',
          'NULL',
        ],
        posted: [0.1, 7, 'Bad', 12.34, 1.5, '2026-01-31 12:00:00.1234567', '9007199254740993', null],
      },
    ],
    sensors: [
      { type: 'nvarchar(30)', text: '温度/DE:BRG X.Ä' },
      { type: 'varchar(30)', text: 'K101/DE:BRG X.Ä' },
      { type: 'char(12)', text: 'K101' },
      { type: 'nchar(12)', text: 'K101' },
      { type: 'int', text: '17' },
      { type: 'bigint', text: '9223372036854775807' },
      { type: 'decimal(38,4)', text: '1234567890123456789012.5000' },
      { type: 'money', text: '1.5000' },
      { type: 'real', text: '0.1' },
      { type: 'float', text: '1e+300' },
      { type: 'bit', text: '1', posted: 'true' },
      { type: 'varchar(30) COLLATE Danish_Norwegian_CI_AS', text: 'Aarhus K101' },
      {
        type: 'uniqueidentifier',
        text: '6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b',
        posted: '6F1F2C9E-8B0E-4D1C-9D0A-3F5E8F0C1A2B',
      },
    ],
    settings,
    readOnly: undefined,
    quote: (name) => mssqlDialect.quote(name),
    execute: async (statement) => {
      await database.execute(statement);
    },
    literal: (text) => `${/^[ -~]*$/.test(text) ? '' : 'N'}'${text.replaceAll("'", "''")}'`,
    manyRows: (count) => {
      const digits = Array.from(
        { length: 6 },
        (_, place) => `(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) AS d${place} (n)`,
      );
      return `SELECT 'a', DATEADD(millisecond, 10 * n, CONVERT(datetime2(7), '2026-01-01')), n
        FROM (SELECT TOP (${count}) ROW_NUMBER() OVER (ORDER BY d0.n) AS n FROM ${digits.join(' CROSS JOIN ')}) AS numbers`;
    },
    slowSql: `SELECT sensor, ts AS timestamp, value FROM readings
      CROSS JOIN (SELECT COUNT_BIG(*) AS n FROM sys.all_columns a CROSS JOIN sys.all_columns b CROSS JOIN sys.all_columns c) AS slow
      WHERE ts >= :start_time AND ts < :end_time AND slow.n > 0`,
    busy: async () => {
      const rows = await database.execute(
        `SELECT 1 AS busy FROM sys.dm_exec_requests WHERE session_id IN (SELECT session_id FROM sys.dm_exec_sessions WHERE ${OURS})`,
      );
      return rows.length;
    },
    cut: async () => {
      const rows = await database.execute(`SELECT session_id FROM sys.dm_exec_sessions WHERE ${OURS}`);
      for (const { session_id: id } of rows) await database.execute(`KILL ${Number(id)}`);
    },
    wrong: {
      unreachable: () => ({
        ...settings(),
        address: { ...settings().address, password: 'geheim-17', port: 1 },
      }),
      refused: () => ({
        ...settings(),
        address: { ...settings().address, user: 'nobody', password: 'geheim-17' },
      }),
    },
  };

  sourceContract(fixture);
  // After the suite has closed its sources.
  afterEach(() =>
    until(async () => {
      const rows = await database.execute(`SELECT 1 AS one FROM sys.dm_exec_sessions WHERE ${OURS}`);
      return rows.length === 0;
    }),
  );
});
