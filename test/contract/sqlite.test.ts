import assert from 'node:assert/strict';
import { ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import sinon from 'sinon';
import { parseDatabaseUrl } from '../../lib/database-url';
import { SqlSource } from '../../lib/source/sql-source';
import { SqliteEngine } from '../../lib/source/sqlite';
import { preview } from '../../lib/preview';
import { sqliteDialect, sqliteStatement } from '../../lib/source/sqlite-dialect';
import { SqliteReader } from '../../lib/source/sqlite-reader';
import { until } from '../support/until';
import { writeTime, type EngineFixture } from './fixture';
import { DAY, Harness, longQuery, valuesOf, windowStatement, type Posted } from './harness';
import { sourceContract } from './source-contract';

describe('A source on SQLite', () => {
  let folder: string;
  let file: string;
  let database: InstanceType<typeof Database>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tm sqlite ä-'));
    file = join(folder, 'plant 1%.db');
    database = new Database(file);
  });
  after(async () => {
    database.close();
    await rm(folder, { recursive: true, force: true });
  });

  const settings = () => ({
    address: parseDatabaseUrl(`sqlite:///${file.replaceAll('%', '%25')}`),
    timeZone: 'UTC',
    statementTimeoutSeconds: 30,
    poolSize: 4,
  });
  const fixture: EngineFixture = {
    name: 'SQLite',
    types: {
      text: 'text',
      varchar: (length) => `varchar(${length})`,
      char: (length) => `char(${length})`,
      double: 'real',
      integer: 'integer',
      bigint: 'bigint',
      instant: undefined,
      naive: undefined,
    },
    times: [
      { type: 'text', title: 'ISO 8601 with Z', kind: 'text', digits: 9, write: writeTime.isoUtc },
      { type: 'text', title: 'ISO 8601 with an offset', kind: 'text', digits: 7, write: writeTime.offset },
      {
        type: 'datetime',
        title: 'ISO 8601 without an offset',
        kind: 'text',
        digits: 6,
        write: writeTime.local,
      },
      { type: 'timestamp', title: 'ISO 8601 with T', kind: 'text', digits: 3, write: writeTime.isoLocal },
      { type: 'date', kind: 'date', digits: 0, write: writeTime.date },
      { type: 'integer', title: 'seconds', kind: 'epoch', digits: 0, write: writeTime.epochSeconds },
      {
        type: 'datetime',
        title: 'milliseconds',
        kind: 'epoch',
        digits: 3,
        write: writeTime.epochMilliseconds,
      },
      { type: 'bigint', title: 'microseconds', kind: 'epoch', digits: 6, write: writeTime.epochMicroseconds },
      {
        type: 'bigint',
        title: 'nanoseconds',
        kind: 'epoch',
        digits: 9,
        write: ({ seconds, fraction }) => `${seconds}${fraction.padEnd(9, '0')}`,
      },
      { type: 'real', title: 'seconds', kind: 'epoch', digits: 3, write: writeTime.epochSeconds },
    ],
    values: [
      {
        type: 'real',
        literals: ['0.1', '0.30000000000000004', '20', '1e300', '9e999', 'NULL', "'Bad'"],
        posted: [0.1, 0.30000000000000004, 20, 1e300, null, null, 'Bad'],
      },
      {
        type: 'integer',
        literals: ['-7', '9007199254740993', '-9223372036854775808', '1.5', "'I/O Timeout'"],
        posted: [-7, '9007199254740993', '-9223372036854775808', 1.5, 'I/O Timeout'],
      },
      { type: 'numeric', literals: ['12.50', "'12.50'", "'Bad'"], posted: [12.5, 12.5, 'Bad'] },
      { type: 'boolean', literals: ['TRUE', 'FALSE'], posted: [1, 0] },
      {
        type: 'text',
        literals: ["'Bad'", "'12.50'", '12.5', '\'say "x" \\\'', "''", "'温度'"],
        posted: ['Bad', '12.50', '12.5', 'say "x" \\', '', '温度'],
      },
      { type: 'varchar(20)', literals: ["'I/O Timeout'"], posted: ['I/O Timeout'] },
      { type: 'blob', literals: ["x'00ff'", '1.5', "'Bad'", "'7'"], posted: ['\\x00ff', 1.5, 'Bad', '7'] },
      {
        type: '',
        literals: [
          ...['1', "'1'", '1.5', "'Infinity'", '9e999', '1152921504606846976', '1152921504606846976.0'],
          ...['\'"7"\'', "''", "'Bad'"],
        ],
        posted: [1, '1', 1.5, 'Infinity', null, '1152921504606846976', 2 ** 60, '"7"', '', 'Bad'],
      },
      { type: 'datetime', literals: ["'2026-01-31 12:00:00'"], posted: ['2026-01-31 12:00:00'] },
    ],
    sensors: [
      { type: 'text', text: 'K101' },
      { type: 'varchar(30)', text: 'K101/DE:BRG X.Ä' },
      { type: 'text COLLATE NOCASE', text: 'K101' },
      { type: 'integer', text: '17' },
      { type: 'bigint', text: '9007199254740993' },
      { type: '', text: 'K101' },
      { type: 'integer', text: '9223372036854775807' },
      { type: 'real', text: '0.30000000000000004' },
      { type: 'real', text: '1e300', posted: '1e+300' },
    ],
    settings,
    readOnly: () => new SqliteEngine(settings()),
    quote: (name) => `"${name.replaceAll('"', '""')}"`,
    execute: (statement) => {
      database.exec(statement);
      return Promise.resolve();
    },
    literal: (text) => `'${text.replaceAll("'", "''")}'`,
    manyRows: (
      count,
    ) => `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
      SELECT 'a', printf('%s.%02dZ', strftime('%Y-%m-%dT%H:%M:%S', 1767225600 + n / 100, 'unixepoch'), n % 100), n FROM numbers`,
    slowSql: `WITH RECURSIVE endless (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless)
      SELECT sensor, ts AS timestamp, value FROM readings, endless WHERE ts >= :start_time AND ts < :end_time AND n < 0`,
    // Whoever reads holds a lock that keeps writers out.
    busy: () => {
      try {
        database.exec('BEGIN EXCLUSIVE');
        database.exec('ROLLBACK');
        return Promise.resolve(0);
      } catch {
        return Promise.resolve(1);
      }
    },
    cut: async () => {
      const ended = readers().map((reader) => once(reader, 'exit'));
      for (const reader of readers()) reader.kill('SIGKILL');
      await Promise.all(ended);
    },
    wrong: {
      unreachable: () => ({
        ...settings(),
        address: { ...settings().address, database: join(folder, 'missing.db') },
      }),
      refused: () => undefined,
    },
  };

  sourceContract(fixture);
  // After the suite has closed its sources.
  afterEach(() => until(() => readers().length === 0));

  describe('in its own way', () => {
    const harness = new Harness(fixture);
    afterEach(() => harness.closeAll());

    it('reads a file that is not one of SQLite as an error, and makes none where there is none', async () => {
      const other = join(folder, 'notes.txt');
      await writeFile(other, 'Pump 3 was greased.\n'.repeat(500));
      const at = (path: string) => ({ address: { ...settings().address, database: path } });
      await assert.rejects(harness.open(at(other)).tables(), {
        code: 'TM_QUERY_FAILED',
        message: /not a database/,
      });
      const missing = join(folder, 'missing.db');
      await assert.rejects(harness.open(at(missing)).clock(), {
        code: 'TM_DATABASE_UNREACHABLE',
        message: /There is no file .*missing\.db/,
      });
      assert(!(await readdir(folder)).includes('missing.db'));
    });

    const noPipes =
      process.platform === 'win32' ? ' (skipped: Windows has no named pipes in its file system)' : '';
    (noPipes === '' ? it : it.skip)(
      `a file that neither opens nor fails is given up, and so is its process${noPipes}`,
      async function () {
        const pipe = join(folder, 'pipe.db');
        execFileSync('mkfifo', [pipe]);
        const never = new AbortController().signal;
        await assert.rejects(SqliteReader.open(pipe, never, 100), {
          code: 'TM_DATABASE_UNREACHABLE',
          message: /pipe\.db could not be opened within 0\.1 s/,
        });
        const source = harness.open({ address: { ...settings().address, database: pipe } });
        const waiting = assert.rejects(source.clock(), { code: 'TM_CLOSED' });
        await until(() => readers().length > 0);
        await source.close();
        await waiting;
        await until(() => readers().length === 0);
      },
    );

    describe('a file that is replaced by another', () => {
      const live = (): string => join(folder, 'live.db');
      const put = async (...values: number[]): Promise<void> => {
        const made = join(folder, 'made.db');
        const file = new Database(made);
        file.exec('CREATE TABLE readings (sensor text, ts integer, value real)');
        for (const value of values)
          file.exec(`INSERT INTO readings VALUES ('a', ${1767225600 + value}, ${value})`);
        file.close();
        await rename(made, live());
      };
      const replaced = { code: 'TM_DATABASE_UNREACHABLE', message: /live\.db was replaced by another/ };
      beforeEach(() => put(1));

      it('is opened anew, before anything is taken for an empty window', async () => {
        const source = harness.open({ address: { ...settings().address, database: live() } });
        const query = longQuery();
        const read = async (): Promise<unknown[]> =>
          valuesOf((await harness.posted(query, DAY, { source })).a);
        assert.deepEqual(await read(), [1]);
        await put(1, 2);
        await assert.rejects(source.clock(), replaced);
        assert.deepEqual(await read(), [1, 2]);
        await put(1, 2, 3);
        await assert.rejects(read(), replaced);
        assert.deepEqual(await read(), [1, 2, 3]);
        await rm(live());
        await assert.rejects(read(), { code: 'TM_DATABASE_UNREACHABLE', message: /There is no file/ });
      });

      it('in the middle of a result ends that as a failure', async () => {
        const reader = await SqliteReader.open(live(), new AbortController().signal);
        const text =
          'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n';
        let chunks = 0;
        try {
          const reading = reader.read(
            { text, values: [] },
            {
              columns: () => ({ row: () => undefined }),
              drain: () => (chunks++ === 0 ? put(1, 2) : undefined),
            },
          );
          await assert.rejects(reading, replaced);
          assert(chunks > 1);
        } finally {
          await reader.end();
        }
      });
    });

    it('reads beside a writer in its journal, and does not write itself', async () => {
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      database.prepare('PRAGMA journal_mode = WAL').all();
      try {
        const source = harness.open();
        assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1]);
        database.exec('BEGIN IMMEDIATE');
        await harness.insert([['a', '2026-01-01T00:00:01Z', '2']]);
        assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1]);
        database.exec('COMMIT');
        assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1, 2]);
      } finally {
        await harness.closeAll();
        database.prepare('PRAGMA journal_mode = DELETE').all();
      }
    });

    it('opens the file only to read it', async function () {
      if (process.platform !== 'linux') this.skip();
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      await harness.posted(longQuery(), DAY);
      const [reader] = readers();
      assert(reader?.pid);
      const open = `/proc/${reader.pid}`;
      const modes: string[] = [];
      for (const fd of await readdir(`${open}/fd`)) {
        if ((await readlink(`${open}/fd/${fd}`).catch(() => '')) !== file) continue;
        modes.push(/^flags:\s+\d*(\d)$/m.exec(await readFile(`${open}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '');
      }
      // O_RDONLY
      assert.deepEqual(modes, ['0']);
    });

    it('keeps no lock when a window is read', async () => {
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      const source = harness.open();
      await harness.posted(longQuery(), DAY, { source });
      assert.equal(await fixture.busy(), 0);
      await assert.rejects(
        source.read(longQuery({ table: 'missing' }), DAY, {
          signal: new AbortController().signal,
          drain: () => undefined,
          sink: () => ({ row: () => undefined }),
        }),
      );
      assert.equal(await fixture.busy(), 0);
      assert.equal(readers().length, 1);
    });

    it('a file that its writer has locked is one that cannot be reached, not an empty window', async () => {
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      const source = harness.open();
      database.exec('BEGIN EXCLUSIVE');
      try {
        await assert.rejects(harness.posted(longQuery(), DAY, { source }), {
          code: 'TM_DATABASE_UNREACHABLE',
        });
      } finally {
        database.exec('ROLLBACK');
      }
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1]);
    });

    it('the process goes on while a table without an index is sorted', async () => {
      await harness.table({ sensor: 'text', ts: 'text', value: 'real' });
      database.exec(`INSERT INTO readings ${fixture.manyRows(300_000)}`);
      const source = harness.open();
      await source.clock();
      let longest = 0;
      let before = performance.now();
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - before);
        before = performance.now();
      }, 1);
      const begun = performance.now();
      let first: number | undefined;
      await source.read(longQuery(), DAY, {
        signal: new AbortController().signal,
        drain: () => undefined,
        sink: () => ({
          row: () => {
            first ??= performance.now() - begun;
          },
        }),
      });
      clearInterval(timer);
      assert(first !== undefined && longest < first, `${longest} ms of ${first}`);
    });

    it('a column of time that holds texts and numbers is refused, whichever come first: windows find only one', async () => {
      const source = harness.open();
      for (const type of ['', 'datetime', 'integer']) {
        const query = longQuery();
        const rows = {
          number: "('a', 1767225600.5, 1)",
          another: "('a', 1767225601, 2)",
          text: "('a', '2026-01-01T06:00:00Z', 3)",
        };
        await harness.table({ sensor: 'text', ts: type, value: 'real' });
        database.exec(`INSERT INTO readings VALUES ${rows.number}, ${rows.another}`);
        const numbers = await harness.posted(query, DAY, { source });
        assert.deepEqual(
          numbers.a?.map(({ timestamp, value }) => [timestamp, value]),
          [
            ['2026-01-01T00:00:00.5Z', 1],
            ['2026-01-01T00:00:01Z', 2],
          ],
        );
        const both = {
          code: 'TM_QUERY_COLUMNS',
          message: /both texts and numbers, "2026-01-01T06:00:00Z" and 17672256/,
        };
        database.exec(`INSERT INTO readings VALUES ${rows.text}`);
        await assert.rejects(harness.posted(query, DAY, { source }), both, type);
        database.exec('DELETE FROM readings WHERE value < 3');
        database.exec("INSERT INTO readings VALUES ('a', 0, 0), ('a', -1, 0)");
        assert.deepEqual(valuesOf((await harness.posted(query, DAY, { source })).a), [3]);
        database.exec(`INSERT INTO readings VALUES ${rows.another}`);
        await assert.rejects(harness.posted(query, DAY, { source }), both, type);
        await assert.rejects(source.oldest(query), both, type);
        const sql = `SELECT sensor, value, CASE typeof(ts) WHEN 'text' THEN unixepoch(ts) ELSE ts END AS timestamp
          FROM readings WHERE :start_time <= :end_time`;
        assert.deepEqual(valuesOf((await harness.posted({ from: 'sql', sql }, DAY, { source })).a), [2, 3]);
      }
    });

    it('what a column of time holds is looked for again only when something was written', async () => {
      let looks = 0;
      class Counted extends SqliteEngine {
        override rows(...args: Parameters<SqliteEngine['rows']>): ReturnType<SqliteEngine['rows']> {
          looks++;
          return super.rows(...args);
        }
      }
      for (const journal of ['DELETE', 'WAL']) {
        await harness.table({ sensor: 'text', ts: 'integer', value: 'real' });
        database.exec("INSERT INTO readings VALUES ('a', 1767225600, 1)");
        database.prepare(`PRAGMA journal_mode = ${journal}`).all();
        const source = new SqlSource('counted', new Counted(settings()), 'UTC');
        try {
          const query = longQuery();
          const read = (): Promise<Posted> => harness.posted(query, DAY, { source });
          await read();
          looks = 0;
          for (let window = 0; window < 3; window++) assert.deepEqual(valuesOf((await read()).a), [1]);
          assert.equal(looks, 0, journal);
          // What was written ahead of its time comes of age unseen.
          const now = performance.now();
          const clock = sinon.stub(performance, 'now').callsFake(() => now + 3_600_000);
          await read().finally(() => {
            clock.restore();
          });
          assert.notEqual(looks, 0, journal);
          looks = 0;
          database.exec("INSERT INTO readings VALUES ('a', 1767225601, 2)");
          assert.deepEqual(valuesOf((await read()).a), [1, 2]);
          assert.notEqual(looks, 0, journal);
          // In several processes: none takes another's word for what has not changed in its own sight.
          await Promise.all([read(), read(), read()]);
          database.exec("INSERT INTO readings VALUES ('a', '2026-01-01T06:00:00Z', 3)");
          for (const one of await Promise.allSettled([read(), read(), read(), read()])) {
            assert.equal(one.status, 'rejected', journal);
          }
          await assert.rejects(read(), { code: 'TM_QUERY_COLUMNS' });
        } finally {
          await source.close();
          database.prepare('PRAGMA journal_mode = DELETE').all();
        }
      }
    });

    it('what a process that is gone has seen says nothing to the one that comes after it', async () => {
      await harness.table({ sensor: 'text', ts: 'integer', value: 'real' });
      database.exec("INSERT INTO readings VALUES ('a', 1767225600, 1)");
      const source = harness.open();
      const query = longQuery();
      assert.deepEqual(valuesOf((await harness.posted(query, DAY, { source })).a), [1]);
      database.exec("INSERT INTO readings VALUES ('a', '2026-01-01T06:00:00Z', 2)");
      assert.ok(fixture.cut);
      await fixture.cut();
      await assert.rejects(harness.posted(query, DAY, { source }), { code: 'TM_QUERY_COLUMNS' });
    });

    it('numbers of time that were stored as texts are refused, for no window would find them', async () => {
      await harness.table({ sensor: 'text', ts: '', value: 'real' });
      database.exec("INSERT INTO readings VALUES ('a', '1767225600', 1)");
      await assert.rejects(harness.posted(longQuery(), DAY), {
        code: 'TM_QUERY_COLUMNS',
        message: /a number as a text, "1767225600".*CAST/,
      });
    });

    it('a timestamp that windows do not follow may be a text in one row and a number in the next', async () => {
      await harness.table({ sensor: 'text', ts: '', value: 'real', seen: 'text' });
      const seen = "'2026-01-01T00:00:00Z'";
      const query = longQuery({ trackBy: 'seen' });
      const source = harness.open();
      database.exec(`INSERT INTO readings VALUES ('a', '2026-01-01T00:00:01Z', 1, ${seen})`);
      assert.deepEqual(valuesOf((await harness.posted(query, DAY, { source })).a), [1]);
      database.exec(`INSERT INTO readings VALUES ('a', 1767225602, 2, ${seen}), ('a', 'n/a', 3, ${seen})`);
      assert.deepEqual((await harness.posted(query, DAY, { source })).a, [
        { timestamp: '2026-01-01T00:00:01Z', value: 1 },
        { timestamp: '2026-01-01T00:00:02Z', value: 2 },
      ]);
      assert.equal(harness.counts?.withoutTimestamp, 1);
    });

    it('a text that is no time does not hide the column’s times', async () => {
      await harness.table({ sensor: 'text', ts: 'datetime', value: 'real' });
      database.exec("INSERT INTO readings VALUES ('a', 'n/a', 1), ('a', 1767225600, 2)");
      const source = harness.open();
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [2]);
      assert.equal(await source.oldest(longQuery()), DAY.start);
      database.exec("UPDATE readings SET ts = '2026-01-01 00:00:01' WHERE value = 2");
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [2]);
      assert.equal(await source.oldest(longQuery()), DAY.start + 1);
      const { readings } = await preview(source, {
        query: longQuery(),
        timeZone: 'UTC',
        signal: new AbortController().signal,
      });
      assert.deepEqual(readings, [{ sensor: 'a', timestamp: '2026-01-01T00:00:01Z', value: 2 }]);
    });

    it('a window is found by the index on its column of time', async () => {
      for (const [type, newest] of [
        ['text', '2026-01-01T00:00:00Z'],
        ['datetime', '2026-01-01 00:00:00'],
        ['datetime', '1767225600'],
        ['', '1767225600000'],
      ] as const) {
        await harness.table({ sensor: 'text', ts: type, value: 'real' });
        database.exec('CREATE INDEX by_time ON readings (ts)');
        const { columns } = await harness.open().table('readings');
        const { text, values } = sqliteStatement(windowStatement(sqliteDialect, columns, { newest }));
        const other = new Database(file);
        const plan = other.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...values) as { detail: string }[];
        other.close();
        assert.match(
          plan.map(({ detail }) => detail).join(),
          /^SEARCH.*by_time \(ts>\? AND ts<\?\)/,
          `${type} ${newest}`,
        );
      }
    });

    it('numbers of the user’s own SQL are found whether the column was declared for them or not', async () => {
      for (const type of ['integer', 'datetime', '']) {
        await harness.table({ sensor: 'text', ts: type, value: 'real' });
        database.exec("INSERT INTO readings VALUES ('a', 1767225600, 1), ('a', 1767312000, 2)");
        const sql =
          'SELECT sensor, ts AS timestamp, avg(value) AS value FROM readings WHERE ts >= :start_time AND ts < :end_time GROUP BY 1, 2';
        assert.deepEqual(valuesOf((await harness.posted({ from: 'sql', sql })).a), [1], type);
      }
    });
  });
});

/** Processes that read files for the sources of these tests. */
function readers(): ChildProcess[] {
  return (process as unknown as { _getActiveHandles(): unknown[] })
    ._getActiveHandles()
    .filter((handle): handle is ChildProcess => handle instanceof ChildProcess)
    .filter(({ spawnargs }) => spawnargs.some((argument) => argument.includes('sqlite-process')));
}
