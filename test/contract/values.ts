/** TRAP 10: what each type of value is posted as. */
import assert from 'node:assert/strict';
import { longQuery, timeAt, valuesOf, DAY, type Harness } from './harness';

export function values(harness: Harness): void {
  const { fixture } = harness;
  for (const { type, literals, posted } of fixture.values) {
    it(`trap 10: values of ${type}`, async () => {
      const { quote, literal } = fixture;
      await harness.table({ sensor: fixture.types.varchar(20), ts: harness.time.type, value: type });
      for (const [index, value] of literals.entries()) {
        const at = literal(harness.time.write(timeAt(`2026-01-01T00:00:0${index}Z`, 'UTC')));
        await fixture.execute(`INSERT INTO ${quote('readings')} VALUES (${literal('a')}, ${at}, ${value})`);
      }
      assert.deepEqual(valuesOf((await harness.posted()).a), posted);
    });
  }

  it('trap 10: NULL is null or left out, and never 0', async () => {
    await harness.readings([
      ['a', '2026-01-01T00:00:00Z', null],
      ['a', '2026-01-01T00:00:01Z', '0'],
    ]);
    assert.deepEqual(valuesOf((await harness.posted()).a), [null, 0]);
    assert.equal(harness.counts?.nullValues, 1);
    assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { nullValues: 'skip' })).a), [0]);
  });
}
