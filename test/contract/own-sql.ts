/** TRAP 13: the user's own SQL. */
import assert from 'node:assert/strict';
import type { TmError } from '../../lib/errors';
import { raw } from '../../lib/source/sql-text';
import { longQuery, shortest, timeAt, valuesOf, windowOf, type Harness } from './harness';
import { titleOf } from './windows';

export function ownSql(harness: Harness): void {
  const { quote } = harness.fixture;
  const columns = `${quote('value')}, ${quote('ts')} AS ${quote('timestamp')}, ${quote('sensor')} AS ${quote('sensor_id')}`;
  const from = `FROM ${quote('readings')} WHERE ${quote('ts')}`;

  beforeEach(() =>
    harness.readings([
      ['a', '2026-01-01T00:00:00Z', '1'],
      ['b', '2026-01-01T06:00:00Z', '2'],
      ['a', '2026-01-02T00:00:00Z', '3'],
    ]),
  );

  it('trap 13: any order of columns, sensor_id, a comment at the end, and a semicolon', async () => {
    const sql = `SELECT ${columns} ${from} >= :start_time AND ${quote('ts')} < :end_time AND ':end_time' <> '-- :start_time'; `;
    const posted = await harness.posted({ from: 'sql', sql });
    assert.deepEqual([valuesOf(posted.a), valuesOf(posted.b)], [[1], [2]]);
    const commented = `SELECT ${columns} ${from} >= :start_time AND ${quote('ts')} < :end_time -- up to :end_time`;
    assert.deepEqual(Object.keys(await harness.posted({ from: 'sql', sql: commented })), ['a', 'b']);
  });

  it('trap 13: an inclusive end does not send a row twice, and lists of sensors hold', async () => {
    const sql = `SELECT ${columns} ${from} BETWEEN :start_time AND :end_time`;
    const source = harness.open();
    const query = { from: 'sql', sql, sensors: ['a'] } as const;
    const first = await harness.posted(query, undefined, { source });
    assert.deepEqual(Object.keys(first), ['a']);
    assert.deepEqual(valuesOf(first.a), [1]);
    const second = await harness.posted(query, windowOf('2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z'), {
      source,
    });
    assert.deepEqual(valuesOf(second.a), [3]);
    assert.equal(await source.oldest(query), Date.parse('2026-01-01T00:00:00Z') / 1000);
  });

  for (const time of harness.fixture.times) {
    it(`trap 13: over ${titleOf(time)}: the edges are of its form, and so are the stamps`, async () => {
      const { types } = harness.fixture;
      const stamps = [
        '2025-12-31T23:59:59Z',
        '2026-01-01T00:00:00Z',
        '2026-01-01T23:59:59Z',
        '2026-01-02T00:00:00Z',
      ];
      await harness.table(
        { sensor: types.varchar(20), ts: time.type, value: types.integer },
        stamps.map((at, index) => ['a', time.write(timeAt(at, 'UTC')), String(index)]),
      );
      const sql = `SELECT ${columns} ${from} >= :start_time AND ${quote('ts')} < :end_time`;
      const source = harness.open();
      const query = { from: 'sql', sql } as const;
      const { a = [] } = await harness.posted(query, undefined, { source });
      // A date is its midnight.
      const expected =
        time.kind === 'date' ? ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'] : stamps.slice(1, 3);
      assert.deepEqual(
        a.map(({ timestamp, value }) => [shortest(timestamp), value]),
        [
          [expected[0], 1],
          [expected[1], 2],
        ],
      );
      assert.equal(
        await source.oldest(query),
        Date.parse(time.kind === 'date' ? '2025-12-31' : '2025-12-31T23:59:59Z') / 1000,
      );
    });
  }

  it('without the columns that are needed is refused', async () => {
    const sql = `SELECT ${quote('ts')} ${from} >= :start_time AND ${quote('ts')} < :end_time`;
    await assert.rejects(harness.posted({ from: 'sql', sql }), {
      code: 'TM_QUERY_COLUMNS',
      message: /returns ts/,
    });
  });

  it('that would end its own parentheses and write behind them changes nothing', async () => {
    const select = `SELECT ${columns} ${from} >= :start_time AND ${quote('ts')} < :end_time`;
    const source = harness.open();
    for (const sql of [
      `${select}) AS readings; DELETE FROM ${quote('readings')}; SELECT * FROM (${select}`,
      `${select}) AS readings WHERE 1 = 0; DELETE FROM ${quote('readings')}; --`,
      `${select}; DELETE FROM ${quote('readings')}`,
    ]) {
      // Some databases refuse it, some take the first statement alone.
      await harness.posted({ from: 'sql', sql }, undefined, { source }).catch((error: unknown) => {
        assert.equal((error as TmError).code, 'TM_QUERY_FAILED', sql);
      });
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), undefined, { source })).a), [1], sql);
    }
  });

  const { name, readOnly } = harness.fixture;
  if (readOnly) {
    it('could not write even if it were no part of a SELECT: the database refuses it', async () => {
      const engine = readOnly();
      try {
        const statements = [
          `DELETE FROM ${quote('readings')}`,
          `UPDATE ${quote('readings')} SET ${quote('value')} = 9`,
        ];
        for (const statement of statements) {
          // SQLite's drivers take for a query only what gives rows.
          const command = raw(name === 'SQLite' ? `${statement} RETURNING 1` : statement);
          await assert.rejects(engine.rows(command, new AbortController().signal), (error) => {
            const { message } = engine.error(error);
            assert.match(message, /read.?only|readonly/i);
            return true;
          });
        }
      } finally {
        await engine.close();
      }
      assert.deepEqual(valuesOf((await harness.posted(longQuery())).a), [1]);
    });
  }
}
