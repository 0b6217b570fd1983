/** T-SQL and the types of its parameters, as any SQL Server would be sent them. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import mssql from 'mssql';
import type { ColumnInfo } from '../../lib/source/columns';
import { mssqlDialect } from '../../lib/source/mssql-dialect';
import { parameterised, type Parameter } from '../../lib/source/mssql-parameters';
import { mssqlColumn } from '../../lib/source/mssql-types';
import { rolesOf } from '../../lib/source/plan';
import type { ReadingsQuery } from '../../lib/source/query';
import { Statements } from '../../lib/source/statements';
import { edgeBound, nativeBound, timeColumn } from '../../lib/source/time-column';

/** What writes the bytes of a parameter: the driver's own. */
const { TYPES } = createRequire(require.resolve('mssql'))('tedious') as {
  TYPES: Record<
    'DateTime' | 'DateTime2' | 'DateTimeOffset',
    { generateParameterData(parameter: object, options: object): Iterable<Buffer> }
  >;
};

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;
const END = START + 3600;
const statements = new Statements(mssqlDialect);

const column = (name: string, type: mssql.ISqlTypeFactory, size: object = {}): ColumnInfo =>
  mssqlColumn({ name, type, ...size });
const SENSOR = column('tag', mssql.VarChar, { length: 50 });
const VALUE = column('val', mssql.Float);
const DATETIME = column('at', mssql.DateTime);

const QUERY: ReadingsQuery = {
  from: 'table',
  table: 'hist.Readings',
  sensorColumn: 'tag',
  timestampColumn: 'at',
  valueColumn: 'val',
};

function windowOf(
  columns: readonly ColumnInfo[],
  query: ReadingsQuery = QUERY,
  { timeZone = 'UTC', from = undefined as string | undefined, start = START, end = END } = {},
): { text: string; parameters: Parameter[] } {
  const roles = rolesOf(query, columns);
  const order = timeColumn(roles.order, undefined, '1767225600');
  const edges = {
    start: edgeBound(start, order, timeZone, roles.order),
    end: edgeBound(end, order, timeZone, roles.order),
  };
  const bound = from === undefined ? undefined : nativeBound(from, order, roles.order);
  return parameterised(statements.window({ query, roles, order }, edges, bound));
}

const typesOf = (parameters: readonly Parameter[]): string[] =>
  parameters.map(({ type, size }) => (size === undefined ? type : `${type}(${size})`));
const timesOf = (parameters: readonly Parameter[]): unknown[] =>
  parameters.map(({ value }) => (value instanceof Date ? value.toISOString() : value));

describe('T-SQL', () => {
  it('trap 1: of a window is half-open, bound as the column’s own type, in order of time', () => {
    const { text, parameters } = windowOf([DATETIME, SENSOR, VALUE], QUERY);
    assert.equal(
      text,
      'SELECT CONVERT(nvarchar(34), readings.[at], 121), CONVERT(nvarchar(50), readings.[tag]), readings.[val] ' +
        'FROM [hist].[Readings] AS readings WHERE readings.[at] >= @p1 AND readings.[at] < @p2 ORDER BY readings.[at]',
    );
    assert.deepEqual(typesOf(parameters), ['datetime', 'datetime']);
    assert.deepEqual(timesOf(parameters), ['2026-01-01T00:00:00.000Z', '2026-01-01T01:00:00.000Z']);
  });

  const TIMES: readonly (readonly [factory: mssql.ISqlTypeFactory, size: object, bound: string])[] = [
    [mssql.DateTime, {}, 'datetime'],
    [mssql.DateTime2, { scale: 7 }, 'datetime2(7)'],
    [mssql.DateTime2, { scale: 0 }, 'datetime2(0)'],
    [mssql.SmallDateTime, {}, 'smalldatetime'],
    [mssql.DateTimeOffset, { scale: 3 }, 'datetimeoffset(3)'],
    [mssql.Date, {}, 'date'],
    [mssql.Int, {}, 'bigint'],
    [mssql.BigInt, {}, 'bigint'],
    [mssql.Float, {}, 'float'],
    [mssql.Real, {}, 'real'],
  ];
  for (const [factory, size, bound] of TIMES) {
    it(`trap 6: edges beside ${column('at', factory, size).type} are ${bound}`, () => {
      const { text, parameters } = windowOf([column('at', factory, size), SENSOR, VALUE]);
      assert.deepEqual(typesOf(parameters), [bound, bound]);
      assert.match(text, /readings\.\[at\] >= @p1 AND readings\.\[at\] < @p2/);
    });
  }

  it('of exact decimals has edges that are no double on the way', () => {
    const at = column('at', mssql.Decimal, { precision: 20, scale: 7 });
    const { text, parameters } = windowOf([at, SENSOR, VALUE], QUERY, { from: '1767225600.1234567' });
    assert.match(text, /readings\.\[at\] >= CONVERT\(decimal\(38, 18\), @p2\)/);
    assert.deepEqual(timesOf(parameters), ['1767225600', '1767225600.1234567', '1767229200']);
    assert.deepEqual(typesOf(parameters), ['varchar(41)', 'varchar(41)', 'varchar(41)']);
  });

  it('trap 6: edges within a minute or a day are the next one of a column that has no finer stamps', () => {
    const within = { start: START + 10, end: END + 1 };
    const minutes = windowOf([column('at', mssql.SmallDateTime), SENSOR, VALUE], QUERY, within);
    assert.deepEqual(timesOf(minutes.parameters), ['2026-01-01T00:01:00.000Z', '2026-01-01T01:01:00.000Z']);
    const days = windowOf([column('at', mssql.Date), SENSOR, VALUE], QUERY, within);
    assert.deepEqual(timesOf(days.parameters), ['2026-01-02T00:00:00.000Z', '2026-01-02T00:00:00.000Z']);
  });

  it('trap 7: edges of a wall clock are the zone’s, of an instant UTC, whatever zone this process is in', () => {
    const naive = windowOf([DATETIME, SENSOR, VALUE], QUERY, { timeZone: 'Asia/Kolkata' });
    assert.deepEqual(timesOf(naive.parameters).slice(0, 1), ['2026-01-01T05:30:00.000Z']);
    const instant = windowOf([column('at', mssql.DateTimeOffset, { scale: 7 }), SENSOR, VALUE], QUERY, {
      timeZone: 'Asia/Kolkata',
    });
    const [{ value } = { value: '' }] = instant.parameters;
    assert(value instanceof Date);
    assert.equal(value.toISOString(), '2026-01-01T00:00:00.000Z');
    // What the driver writes beside it.
    assert.equal(value.getTimezoneOffset(), 0);
  });

  it('trap 5: a read taken up again is bound to the last of its 100 ns', () => {
    for (const [type, size, native] of [
      [TYPES.DateTime2, { scale: 7 }, '2026-01-01 00:00:00.1234567'],
      [TYPES.DateTime2, { scale: 7 }, '2026-01-01 00:00:00.9999999'],
      [TYPES.DateTimeOffset, { scale: 7 }, '2026-01-01 05:30:00.1234567 +05:30'],
    ] as const) {
      const factory = type === TYPES.DateTime2 ? mssql.DateTime2 : mssql.DateTimeOffset;
      const { parameters } = windowOf([column('at', factory, size), SENSOR, VALUE], QUERY, { from: native });
      const [, from] = parameters;
      assert(from);
      const written = Buffer.concat([
        ...type.generateParameterData({ value: from.value, scale: 7 }, { useUTC: true }),
      ]);
      const fraction = /\.(\d+)/.exec(native)?.[1];
      assert.equal(written.readUIntLE(0, 5), Number(fraction), native);
    }
  });

  it('trap 6: a read taken up again at a datetime is bound to its tick', () => {
    for (const [native, ticks] of [
      ['2026-01-01 00:00:00.003', 1],
      ['2026-01-01 00:00:00.007', 2],
      ['2026-01-01 00:00:00.997', 299],
    ] as const) {
      const { parameters } = windowOf([DATETIME, SENSOR, VALUE], QUERY, { from: native });
      const written = Buffer.concat([
        ...TYPES.DateTime.generateParameterData({ value: parameters[1]?.value }, { useUTC: true }),
      ]);
      assert.equal(written.readUInt32LE(4), ticks, native);
    }
  });

  it('of texts of time compares and orders them by their code points', () => {
    const at = column('at', mssql.VarChar, { length: 40 });
    const roles = rolesOf(QUERY, [at, SENSOR, VALUE]);
    const order = timeColumn(at, undefined, '2026-01-01T00:00:00Z');
    const edges = { start: edgeBound(START, order, 'UTC', at), end: edgeBound(END, order, 'UTC', at) };
    const { text, parameters } = parameterised(statements.window({ query: QUERY, roles, order }, edges));
    const binary = (inner: string): string => `CONVERT(nvarchar(4000), ${inner}) COLLATE Latin1_General_BIN2`;
    assert(text.includes(`${binary('readings.[at]')} >= @p1`), text);
    assert.match(text, /ORDER BY CONVERT\(nvarchar\(4000\), LEFT\(readings\.\[at\], CASE/);
    assert.deepEqual(timesOf(parameters), ['2026-01-01T00:00:00', '2026-01-01T01:00:00']);
  });

  describe('of lists of sensors', () => {
    const listed = (sensors: readonly string[], sensor = SENSOR): { text: string; parameters: Parameter[] } =>
      windowOf([DATETIME, sensor, VALUE], { ...QUERY, sensors });

    it('has a parameter for each, of the code page only where all code pages agree', () => {
      const { text, parameters } = listed(["o'clock", 'Ä1', 'K101']);
      assert.match(text, /\(\(readings\.\[tag\] IN \(@p3, @p4\) OR readings\.\[tag\] IN \(@p5\)\)\)/);
      assert.deepEqual(typesOf(parameters.slice(2)), ['varchar(100)', 'varchar(100)', 'nvarchar(100)']);
      assert.deepEqual(timesOf(parameters.slice(2)), ["o'clock", 'K101', 'Ä1']);
      const unicode = listed(['K101'], column('tag', mssql.NVarChar, { length: 100 }));
      assert.deepEqual(typesOf(unicode.parameters.slice(2)), ['nvarchar(100)']);
    });

    for (const length of [1, 450]) {
      it(`trap 12: of more names than SQL Server takes parameters has many in each, of ${length} letters too`, () => {
        const names = Array.from({ length: 20_000 }, (_, index) =>
          `${'X'.repeat(length)}${index}`.slice(-450),
        );
        const { text, parameters } = listed(names);
        const chunks = parameters.slice(2);
        assert(parameters.length < 1100, String(parameters.length));
        assert(text.length < 20_000, String(text.length));
        assert.deepEqual([...new Set(chunks.map(({ type }) => type))], ['nvarchar']);
        const longest = Math.max(...chunks.map(({ value }) => String(value).length));
        for (const { size } of chunks) assert.equal(size, longest > 4000 ? Infinity : 4000);
        const [, width, inEach] =
          /SUBSTRING\(.* \+ 1, (\d+)\) FROM .* < (\d+); SELECT CONVERT/.exec(text) ?? [];
        assert.deepEqual(
          chunks
            .flatMap(({ value }) =>
              Array.from({ length: Number(inEach) }, (_, index) =>
                String(value)
                  .slice(index * Number(width), (index + 1) * Number(width))
                  .trimEnd(),
              ),
            )
            .filter((name) => name !== ''),
          names,
        );
        assert.match(
          text,
          /^DECLARE @names_p3 TABLE \(name nvarchar\(\d+\) COLLATE Latin1_General_BIN2 PRIMARY KEY\); /,
        );
        assert.match(
          text,
          /CASE WHEN EXISTS \(SELECT 1 FROM @names_p3 AS listed WHERE listed\.name = CONVERT\(nvarchar\(4000\), readings\.\[tag\]\)/,
        );
      });
    }

    it('has a parameter for each name of up to a thousand', () => {
      const names = Array.from({ length: 1001 }, (_, index) => `T${index}`);
      assert.equal(listed(names.slice(1)).parameters.length, 1002);
      assert(listed(names).parameters.length < 10);
    });

    it('has the numbers among them where sensors are numbers', () => {
      const { text, parameters } = listed(['17', 'x', '1.5'], column('tag', mssql.Int));
      assert.match(text, /readings\.\[tag\] IN \(@p3\)/);
      assert.deepEqual(typesOf(parameters.slice(2)), ['bigint']);
      assert.match(listed(['x'], column('tag', mssql.Int)).text, /\(1 = 0\)/);
      const guids = listed(
        ['6F1F2C9E-8B0E-4D1C-9D0A-3F5E8F0C1A2B', 'x'],
        column('tag', mssql.UniqueIdentifier),
      );
      assert.deepEqual(typesOf(guids.parameters.slice(2)), ['uniqueidentifier']);
    });

    it('has patterns that LIKE takes literally, but for their wildcards', () => {
      const { text, parameters } = listed(['K[1]%_!*']);
      assert.match(
        text,
        /\(CONVERT\(nvarchar\(50\), readings\.\[tag\]\) COLLATE Latin1_General_BIN2 LIKE @p3 ESCAPE '!'\)/,
      );
      assert.equal(parameters[2]?.value, 'K![1!]!%!_!!%');
      // Blanks at the end are of a varchar's name, and not of a char's.
      const padded = listed(['K1*'], { ...column('tag', mssql.NChar), padded: true }).text;
      assert.match(padded, /\(RTRIM\(readings\.\[tag\]\) COLLATE Latin1_General_BIN2 LIKE @p3/);
    });

    it('leaves no name out that the type of the column holds', () => {
      const bigint = listed(['9223372036854775807', '9223372036854775808'], column('tag', mssql.BigInt));
      assert.deepEqual(
        bigint.parameters.slice(2).map(({ value }) => value),
        ['9223372036854775807'],
      );
      const decimal = { ...column('tag', mssql.Decimal), type: 'decimal(38,4)' };
      assert.match(
        listed(['12345678901234567890.5000'], decimal).text,
        /IN \(CONVERT\(decimal\(38, 18\), @p3\)\)/,
      );
      // As text or as a number of theirs they would be told apart no more.
      const names = Array.from({ length: 1001 }, (_, index) => `${index}.5000`);
      for (const [list, of] of [
        [['123456789012345678901.5'], decimal],
        [names, { ...column('tag', mssql.Money), type: 'money' }],
        [['true'], column('tag', mssql.Bit)],
        [['K1*'], column('tag', mssql.Float)],
      ] as const) {
        assert.match(listed(list, of).text, /AND \(1 = 1\)/, of.type);
      }
      assert.deepEqual(listed(['1e+300', 'x'], column('tag', mssql.Float)).parameters[2]?.value, 1e300);
    });
  });

  it('quotes names, whatever is in them', () => {
    assert.equal(mssqlDialect.quote('a]; DROP TABLE x --'), '[a]]; DROP TABLE x --]');
    const { text } = parameterised(
      statements.describe(
        { ...QUERY, table: 'db.[my.schema].t' },
        {
          start: { as: 'instant', value: '1970-01-01T00:00:00Z' },
          end: { as: 'instant', value: '1970-01-01T00:00:01Z' },
        },
      ),
    );
    assert.match(text, /FROM \[db\]\.\[my\.schema\]\.\[t\] AS readings WHERE 1 = 0$/);
    assert.equal(
      statements.createIndex('hist.Readings', { name: 'at', kind: 'naive' }),
      'CREATE INDEX [Readings_at] ON [hist].[Readings] ([at])',
    );
  });

  const VALUES: readonly (readonly [
    factory: mssql.ISqlTypeFactory,
    size: object,
    kind: string,
    text: string,
  ])[] = [
    [mssql.Bit, {}, 'boolean', 'readings.[val]'],
    [mssql.Int, {}, 'number', 'readings.[val]'],
    [mssql.BigInt, {}, 'integer', 'readings.[val]'],
    [mssql.Real, {}, 'number', 'readings.[val]'],
    [mssql.Decimal, { precision: 38, scale: 10 }, 'decimal', 'CONVERT(nvarchar(41), readings.[val])'],
    [mssql.Money, {}, 'decimal', 'CONVERT(nvarchar(30), CONVERT(decimal(19, 4), readings.[val]))'],
    [mssql.NVarChar, { length: 65_535 }, 'text', 'readings.[val]'],
    [mssql.VarChar, { length: 8000 }, 'text', 'CONVERT(nvarchar(max), readings.[val])'],
    [mssql.Text, { length: 2_147_483_647 }, 'text', 'CONVERT(nvarchar(max), readings.[val])'],
    [mssql.UniqueIdentifier, {}, 'text', 'readings.[val]'],
    [mssql.VarBinary, { length: 16 }, 'text', 'CONVERT(nvarchar(max), readings.[val], 1)'],
    [mssql.DateTimeOffset, { scale: 7 }, 'instant', 'CONVERT(nvarchar(34), readings.[val], 121)'],
    [mssql.Xml, {}, 'text', 'CONVERT(nvarchar(max), readings.[val])'],
  ];
  for (const [factory, size, kind, selected] of VALUES) {
    const value = column('val', factory, size);
    it(`trap 10: selects values of ${value.type} without loss`, () => {
      assert.equal(value.kind, kind);
      const { text } = windowOf([DATETIME, SENSOR, value]);
      assert(text.includes(`, ${selected} FROM`), text);
    });
  }

  it('trap 10: selects floats out of sql_variant as they are, and money with all of its digits', () => {
    const { text } = windowOf([DATETIME, SENSOR, column('val', mssql.Variant)]);
    assert.match(text, /WHEN 'float' THEN readings\.\[val\]/);
    assert.match(
      text,
      /WHEN 'money' THEN CONVERT\(sql_variant, CONVERT\(nvarchar\(30\), CONVERT\(decimal\(19, 4\), readings\.\[val\]\)\)\)/,
    );
  });

  describe('of the user', () => {
    const own = (sql: string): { text: string; parameters: Parameter[] } =>
      windowOf(
        [
          column('timestamp', mssql.DateTime),
          column('sensor_id', mssql.VarChar, { length: 50 }),
          column('value', mssql.Float),
        ],
        {
          from: 'sql',
          sql,
        },
      );

    it('trap 13: is a historian’s function with the edges as its arguments', () => {
      const sql =
        "SELECT tagName AS sensor_id, timestamp, value FROM fn_ReadRawTags('A,B', :start_time, :end_time, 1, ',') WHERE quality = 192";
      const { text, parameters } = own(sql);
      assert(
        text.includes(
          `FROM (SELECT tagName AS sensor_id, timestamp, value FROM fn_ReadRawTags('A,B', @p1, @p2, 1, ',') WHERE quality = 192\n) AS readings WHERE readings.[timestamp] >= @p3 AND readings.[timestamp] < @p4`,
        ),
        text,
      );
      assert.deepEqual(typesOf(parameters), ['datetime2(0)', 'datetime2(0)', 'datetime', 'datetime']);
    });

    it('may have common table expressions, which stand before the statement', () => {
      const sql =
        "WITH tags (id) AS (SELECT 'a;)' -- (\n), [AS] AS (SELECT id FROM tags)\nSELECT id AS sensor_id, at AS timestamp, v AS value FROM x JOIN tags ON 1 = 1 WHERE at > :start_time;";
      const { text } = own(sql);
      assert(
        text.startsWith(
          "WITH tags (id) AS (SELECT 'a;)' -- (\n), [AS] AS (SELECT id FROM tags)\nSELECT CONVERT(",
        ),
        text,
      );
      assert(text.includes('FROM (SELECT id AS sensor_id,'), text);
    });

    it('may have an order, which a derived table has only with a number of rows', () => {
      assert.match(
        own('SELECT a, (SELECT 1 ORDER BY 1) FROM t ORDER BY a').text,
        /ORDER BY a\nOFFSET 0 ROWS\n\) AS readings/,
      );
      assert.match(own('SELECT TOP 5 a FROM t ORDER BY a').text, /ORDER BY a\n\) AS readings/);
      assert.match(
        own('SELECT a, ROW_NUMBER() OVER (ORDER BY b) AS n FROM t').text,
        /FROM t\n\) AS readings/,
      );
    });

    const REFUSED = [
      'DELETE FROM readings',
      'SELECT 1) AS readings DELETE FROM readings SELECT * FROM (SELECT 1',
      'SELECT 1; DELETE FROM readings',
      'SELECT 1 /* ) */) AS readings DROP TABLE x SELECT * FROM (SELECT 1',
      'WITH a AS (SELECT 1) DELETE FROM readings SELECT 1',
      'WITH a AS (SELECT 1), b AS (SELECT 2) INSERT INTO x SELECT 1 FROM b',
      'WITH a AS (SELECT 1 AS one) MERGE x USING a ON 1 = 1 WHEN MATCHED THEN DELETE',
      "EXEC xp_cmdshell N'dir'",
      'DECLARE @x int SELECT 1',
      "SELECT 'a",
      'SELECT [a',
      'SELECT 1 /* SELECT',
      'SELECT (1',
      // A comment to one reader, and its end to another.
      'SELECT 1 --\r) AS readings DELETE FROM readings SELECT * FROM (SELECT 1',
      '',
    ];
    for (const sql of REFUSED) {
      it(`cannot be ${JSON.stringify(sql)}`, () => {
        assert.throws(() => own(sql), { code: 'TM_QUERY_FAILED', message: /must be one SELECT/ });
      });
    }
  });
});
