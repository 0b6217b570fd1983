/** Tables that are not of three columns, and TRAP 3: rows that come late, found by another column. */
import assert from 'node:assert/strict';
import type { WideQuery } from '../../lib/source/source';
import { longQuery, shortest, timeAt, valuesOf, windowOf, type Harness } from './harness';

export function shapes(harness: Harness): void {
  const { fixture } = harness;
  const { types } = fixture;
  const stamp = (iso: string): string => harness.time.write(timeAt(iso, 'UTC'));
  const wide = (overrides: Partial<WideQuery> = {}): WideQuery => ({
    from: 'table',
    shape: 'wide',
    table: 'readings',
    timestampColumn: 'ts',
    valueColumns: [],
    prefix: '',
    ...overrides,
  });

  describe('a wide table', () => {
    beforeEach(() =>
      harness.table(
        { ts: harness.time.type, note: types.text, speed: types.double, 'temp.1': types.integer },
        [
          [stamp('2026-01-01T00:00:00Z'), 'x', '1.5', '20'],
          [stamp('2026-01-01T00:00:01Z'), 'y', null, '21'],
        ],
      ),
    );

    it('is a reading in each numeric column; NULL is none', async () => {
      const posted = await harness.posted(wide({ prefix: 'K101.' }));
      assert.deepEqual(Object.keys(posted), ['K101.speed', 'K101.temp.1']);
      assert.deepEqual(valuesOf(posted['K101.speed']), [1.5]);
      assert.deepEqual(valuesOf(posted['K101.temp.1']), [20, 21]);
      assert.equal(harness.counts?.nullValues, 0);
    });

    it('is a reading in each column that was chosen, texts too', async () => {
      const posted = await harness.posted(wide({ valueColumns: ['note', 'speed'] }));
      assert.deepEqual(valuesOf(posted.note), ['x', 'y']);
      assert.deepEqual(Object.keys(posted), ['note', 'speed']);
    });

    it('obeys lists of sensors and their new names', async () => {
      const query = wide({ prefix: 'K1/', exclude: ['K1/speed'], rename: [['K1/temp.1', 'T']] });
      assert.deepEqual(Object.keys(await harness.posted(query)), ['T']);
      await assert.rejects(harness.posted(wide({ sensors: ['nothing'] })), { code: 'TM_QUERY_COLUMNS' });
    });

    it('without a column that was chosen is refused', async () => {
      await assert.rejects(harness.posted(wide({ valueColumns: ['speed', 'missing'] })), /missing/);
    });
  });

  it('a table of several values is a sensor for each', async () => {
    await harness.table(
      { sensor: types.varchar(20), ts: harness.time.type, x: types.double, y: types.text },
      [
        ['a', stamp('2026-01-01T00:00:00Z'), '1', 'ok'],
        ['b', stamp('2026-01-01T00:00:00Z'), null, 'bad'],
      ],
    );
    const query = longQuery({ valueColumn: ['x', 'y'], rename: [['b', 'B']] });
    const posted = await harness.posted(query);
    assert.deepEqual(
      Object.entries(posted).map(([name, readings]) => [name, valuesOf(readings)]),
      [
        ['B.x', [null]],
        ['B.y', ['bad']],
        ['a.x', [1]],
        ['a.y', ['ok']],
      ],
    );
    const one = longQuery({ valueColumn: ['x', 'y'], sensors: ['a.x', 'b'] });
    assert.deepEqual(Object.keys(await harness.posted(one)), ['a.x', 'b.x', 'b.y']);
  });

  it('rows of an accepted quality are read, by number or text, and columns go along with readings', async () => {
    const columns = {
      sensor: types.varchar(20),
      ts: harness.time.type,
      value: types.double,
      quality: types.integer,
      state: types.varchar(20),
    };
    const at = stamp('2026-01-01T00:00:00Z');
    await harness.table(columns, [
      ['a', at, '1', '192', 'Good'],
      ['b', at, '2', '0', 'Bad'],
      ['c', at, '3', null, null],
      ['d', at, '4', '216', 'Local'],
    ]);
    const good = longQuery({ quality: { column: 'quality', accepted: ['192', 'x'] } });
    assert.deepEqual(Object.keys(await harness.posted(good)), ['a']);
    const local = longQuery({
      quality: { column: 'state', accepted: ['Good', 'Local'] },
      extras: [
        { column: 'quality', name: 'q' },
        { column: 'state', name: 'the "state"' },
      ],
    });
    const posted = await harness.posted(local);
    const { timestamp: _, ...reading } = posted.d?.[0] ?? { timestamp: '' };
    assert.deepEqual(reading, { value: 4, q: 216, 'the "state"': 'Local' });
    assert.deepEqual(Object.keys(posted.a?.[0] ?? {}), ['timestamp', 'value', 'q', 'the "state"']);
    assert.deepEqual(Object.keys(posted), ['a', 'd']);
  });

  it('qualities are compared exactly, whatever the database takes for equal', async () => {
    const at = stamp('2026-01-01T00:00:00Z');
    const read = async (type: string, qualities: readonly (string | null)[], accepted: string[]) => {
      await harness.table(
        { sensor: types.varchar(20), ts: harness.time.type, value: types.integer, quality: type },
        qualities.map((quality, index) => [`s${index}`, at, String(index), quality]),
      );
      const posted = await harness.posted(longQuery({ quality: { column: 'quality', accepted } }));
      return Object.values(posted).flatMap(valuesOf);
    };
    const words = ['Good', 'good', 'Good ', 'GOOD', null, '192', '192.0'];
    assert.deepEqual(await read(types.varchar(20), words, ['Good']), [0]);
    assert.deepEqual(await read(types.varchar(20), words, ['good', '192']), [1, 5]);
    assert.deepEqual(await read(types.varchar(20), words, ['NULL', 'GOOD']), [3, 4]);
    assert.deepEqual(await read(types.char(12), ['Good', 'good', null], ['Good']), [0]);
    const large = ['9007199254740992', '9007199254740993', '9007199254740994', null, '192'];
    assert.deepEqual(await read(types.bigint, large, ['9007199254740993', '192.0', 'x']), [1, 4]);
    assert.deepEqual(await read(types.bigint, large, ['1.92e2', '192.5', '99999999999999999999']), [4]);
    assert.deepEqual(await read(types.bigint, large, ['NULL']), [3]);
    assert.deepEqual(await read(types.bigint, large, ['Good']), []);
    const doubles = ['192', '0.1', '192.00000000000003', null];
    assert.deepEqual(await read(types.double, doubles, ['192.0', '0.10']), [0, 1]);
    assert.deepEqual(await read(types.double, doubles, ['192.00000000000003']), [2]);
  });

  it('trap 3: rows that come days late are found by the column of their insertion, with their own time', async () => {
    await harness.table(
      { sensor: types.varchar(20), ts: harness.time.type, value: types.integer, inserted: harness.time.type },
      [
        ['a', stamp('2026-01-01T00:00:00Z'), '1', stamp('2026-01-01T00:00:01Z')],
        ['a', stamp('2025-12-25T06:00:00Z'), '2', stamp('2026-01-01T00:00:02Z')],
        ['a', stamp('2026-01-01T00:00:03Z'), '3', stamp('2026-01-05T00:00:00Z')],
        ['b', stamp('2026-01-01T00:00:04Z'), '4', stamp('2026-01-01T00:00:02Z')],
      ].concat([['c', null as unknown as string, '5', stamp('2026-01-01T00:00:02Z')]]),
    );
    const query = longQuery({ trackBy: 'inserted' });
    const source = harness.open();
    const posted = await harness.posted(query, windowOf('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'), {
      source,
    });
    assert.deepEqual(
      posted.a?.map(({ timestamp, value }) => [shortest(timestamp), value]),
      [
        ['2026-01-01T00:00:00Z', 1],
        ['2025-12-25T06:00:00Z', 2],
      ],
    );
    assert.deepEqual(Object.keys(posted), ['a', 'b']);
    assert.equal(harness.counts?.withoutTimestamp, 1);
    const late = await harness.posted(query, windowOf('2026-01-05T00:00:00Z', '2026-01-06T00:00:00Z'), {
      source,
    });
    assert.deepEqual(valuesOf(late.a), [3]);
    assert.equal(await source.oldest(query), Date.parse('2026-01-01T00:00:01Z') / 1000);
    const edges = (
      await harness.bodies(query, windowOf('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'), {
        source,
        readingsPerBatch: 1,
      })
    )
      .map((body) => JSON.parse(body) as { start_time: string; end_time: string })
      .map(({ start_time, end_time }) => [shortest(start_time), shortest(end_time)]);
    assert.deepEqual(edges, [
      ['2026-01-01T00:00:00Z', '2026-01-01T00:00:02Z'],
      ['2026-01-01T00:00:02Z', '2026-01-02T00:00:00Z'],
    ]);
  });
}
