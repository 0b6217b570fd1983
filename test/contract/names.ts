/** Names of tables and columns, however odd, and what the catalog says of them. */
import assert from 'node:assert/strict';
import { indexFor } from '../../lib/source/proposal';
import { longQuery, timeAt, valuesOf, type Harness } from './harness';

export function names(harness: Harness): void {
  const { fixture } = harness;
  const { types } = fixture;
  const table = 't;-- "x"';
  const columns = { sensor: "sen'sor :end_time", timestamp: 'time :start_time', value: 'va"lue $1 ?' };

  it('are quoted, whatever is in them', async () => {
    await harness.table(
      {
        [columns.sensor]: types.varchar(50),
        [columns.timestamp]: harness.time.type,
        [columns.value]: types.double,
      },
      [['a', harness.time.write(timeAt('2026-01-01T00:00:00Z', 'UTC')), '1']],
      table,
    );
    const query = longQuery({
      table: `"${table.replaceAll('"', '""')}"`,
      sensorColumn: columns.sensor,
      timestampColumn: columns.timestamp,
      valueColumn: columns.value,
    });
    assert.deepEqual(valuesOf((await harness.posted(query)).a), [1]);
    const source = harness.open();
    const listed = await source.tables();
    assert.equal(listed.filter((name) => name.includes('x')).length, 1, listed.join(' '));
    for (const name of listed) assert((await source.table(name)).columns.length > 0, name);
    await harness.drop(table);
  });

  it('tables say their columns and the indexes that have an order', async () => {
    await harness.readings([]);
    await fixture.execute(
      `CREATE INDEX ${fixture.quote('readings_by_time')} ON ${fixture.quote('readings')} (${fixture.quote('ts')}, ${fixture.quote('sensor')})`,
    );
    const source = harness.open();
    const info = await source.table('readings');
    assert.deepEqual(
      info.columns.map(({ name }) => name),
      ['sensor', 'ts', 'value'],
    );
    assert.deepEqual(
      info.columns.map(({ kind }) => kind === 'text'),
      [true, harness.time.kind === 'text', false],
    );
    assert.deepEqual(
      info.indexes.map(({ name, columns: of }) => ({ name, columns: of })),
      [{ name: 'readings_by_time', columns: ['ts', 'sensor'] }],
    );
    await assert.rejects(source.table('no_such_table'), { code: 'TM_QUERY_FAILED' });
  });

  it('the index that the preview asks for can be made, and serves', async () => {
    const [texts] = fixture.times.filter(({ kind }) => kind === 'text');
    const source = harness.open();
    for (const time of [harness.time, ...(texts ? [texts] : [])]) {
      await harness.table({ sensor: types.varchar(20), ts: time.type, value: types.double });
      const { columns: of, indexes } = await source.table('readings');
      const column = of.find(({ name }) => name === 'ts');
      assert(column);
      assert.equal(indexFor(column, indexes), undefined);
      const command = source.createIndexSql('readings', column);
      // Windows of texts are served in some engines only, and then it is not said that they are.
      if (command === undefined) {
        assert.equal(column.kind, 'text');
        continue;
      }
      await fixture.execute(command);
      assert.deepEqual(indexFor(column, (await source.table('readings')).indexes)?.columns, ['ts']);
    }
  });

  it('the newest rows come in order of time', async () => {
    await harness.readings([3, 1, 2].map((value) => ['a', `2026-01-01T00:00:0${value}Z`, String(value)]));
    const seen: number[] = [];
    await harness.open().newest(longQuery(), 2, {
      signal: new AbortController().signal,
      sink: (plan) => ({
        row: (bytes, starts, ends) => {
          const field = plan.values[0]?.field ?? 0;
          seen.push(Number(bytes.toString('latin1', starts[field], ends[field])));
        },
      }),
    });
    assert.deepEqual(seen, [2, 3]);
  });
}
