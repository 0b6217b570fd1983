/** TRAPS 11 and 12: names of sensors, exactly, and lists of thousands of them. */
import assert from 'node:assert/strict';
import { SensorNames } from '../../lib/source/sensors';
import { DAY, longQuery, timeAt, valuesOf, windowOf, type Harness } from './harness';

const HOSTILE = [
  '__proto__',
  'constructor',
  '17',
  'K101/DE:BRG X.Ä',
  ' leading',
  "o'clock",
  'say "x"',
  'back\\slash',
  '100%_!?*[a]',
  '温度.1',
  "'; DROP TABLE readings; --",
  ':start_time',
  '$$',
];

export function sensors(harness: Harness): void {
  const { fixture } = harness;
  const at = '2026-01-01T00:00:00Z';
  const names = async (lists: Parameters<typeof longQuery>[0]): Promise<string[]> =>
    Object.keys(await harness.posted(longQuery(lists))).sort();

  for (const { type, text, posted = text } of fixture.sensors) {
    it(`trap 11: sensors of ${type}, all, from a list, and by a wildcard`, async () => {
      await harness.table({ sensor: type, ts: harness.time.type, value: fixture.types.double }, [
        [text, harness.time.write(timeAt(at, 'UTC')), '1'],
      ]);
      assert.deepEqual(await names({}), [posted]);
      assert.deepEqual(await names({ sensors: ["o'ther", posted, '0'] }), [posted]);
      assert.deepEqual(await names({ sensors: [`${posted.slice(0, 1)}*`] }), [posted]);
      assert.deepEqual(await names({ sensors: ["o'ther"] }), []);
      assert.deepEqual(await names({ exclude: [posted] }), []);
    });
  }

  it('trap 11: names are taken as they are, however odd, alone and from a list', async () => {
    await harness.readings(HOSTILE.map((name) => [name, at, '1']));
    assert.deepEqual(await names({}), HOSTILE.toSorted());
    assert.deepEqual(
      await names({ sensors: HOSTILE.filter((name) => !/[*?]/.test(name)) }),
      HOSTILE.filter((name) => !/[*?]/.test(name)).toSorted(),
    );
  });

  it('trap 11: names that differ in their letters or blanks alone are different', async () => {
    await harness.readings([
      ['k101', at, '1'],
      ['K101', at, '2'],
    ]);
    assert.deepEqual(await names({}), ['K101', 'k101']);
    assert.deepEqual(valuesOf((await harness.posted(longQuery({ sensors: ['K101'] }))).K101), [2]);
    assert.deepEqual(await names({ sensors: ['K101'] }), ['K101']);
    assert.deepEqual(await names({ exclude: ['K101'] }), ['k101']);
    assert.deepEqual(await names({ sensors: ['K101 ', 'K1*'] }), ['K101']);
  });

  it('traps 11 and 12: lists and wildcards leave out in the database nothing that is wanted', async () => {
    const all = [
      ...HOSTILE,
      'K-1',
      'K-2 ',
      'k-1',
      'K_1',
      'K%1',
      'a[b]^c',
      '温度',
      '😀1',
      'ß',
      'ss',
      'Å1',
      'x!y',
    ];
    await harness.readings(all.map((name) => [name, at, '1']));
    const source = harness.open();
    for (const list of [
      ['K-*'],
      ['K-?'],
      ['K-2?', 'K-1?'],
      ['?-1'],
      ['K_*', '*%1'],
      ['*[*', '*^c'],
      ['温?', '?1'],
      ['😀*'],
      ['??1', '*\\*', 'x!*'],
      ['s*', 'ß'],
      ['*'],
      ["*'*", '*"*', '__*', '$*'],
      ['k-1', 'K-2 ', 'SS'],
    ]) {
      const wanted = new SensorNames({ sensors: list });
      const expected = all.filter((name) => wanted.posted(name) !== undefined).toSorted();
      const posted = await harness.posted(longQuery({ sensors: list }), DAY, { source });
      assert.deepEqual(Object.keys(posted).sort(), expected, list.join(' '));
      if (!list.includes('SS')) assert(expected.length > 0, list.join(' '));
      const others = await harness.posted(longQuery({ exclude: list }), DAY, { source });
      assert.deepEqual(
        Object.keys(others).sort(),
        all.filter((name) => !expected.includes(name)).toSorted(),
        list.join(' '),
      );
    }
  });

  it('are included, left out, and renamed', async () => {
    await harness.readings(['P1.A', 'P1.B', 'P2.A', 'P2.B', 'Q_1', 'Q11'].map((name) => [name, at, '1']));
    assert.deepEqual(await names({ sensors: ['P1.*', 'Q_1'] }), ['P1.A', 'P1.B', 'Q_1']);
    assert.deepEqual(await names({ sensors: ['Q_1*'] }), ['Q_1']);
    assert.deepEqual(await names({ sensors: ['P?.A'], exclude: ['P2*'] }), ['P1.A']);
    assert.deepEqual(await names({ sensors: ['P1.*'], rename: [['P1.A', 'train 1/ä']] }), [
      'P1.B',
      'train 1/ä',
    ]);
    await assert.rejects(names({ rename: [['P1.A', 'P1.B']] }), {
      code: 'TM_SETTING_INVALID',
      message: /"P1.A" and "P1.B"|"P1.B" and "P1.A"/,
    });
  });

  it('two sensors are never merged, not even where only one of them has readings in a window', async () => {
    await harness.readings([
      ['P1.A', at, '1'],
      ['P1.B', '2026-01-02T00:00:00Z', '2'],
    ]);
    const query = longQuery({ rename: [['P1.A', 'P1.B']] });
    const source = harness.open();
    assert.deepEqual(valuesOf((await harness.posted(query, DAY, { source }))['P1.B']), [1]);
    const next = windowOf('2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z');
    await assert.rejects(harness.posted(query, next, { source }), {
      code: 'TM_SETTING_INVALID',
      message: /"P1.A" and "P1.B" would both be posted as "P1.B"/,
    });
    // What is not read itself is not merged with anything.
    const alone = { ...query, exclude: ['P1.A'] };
    assert.deepEqual(valuesOf((await harness.posted(alone, next, { source }))['P1.B']), [2]);
  });

  it('trap 12: a list of 20,000 names', async () => {
    const list = Array.from({ length: 20_000 }, (_, index) => `PLANT.UNIT_${index}.TAG'${index}`);
    const inTable = list.filter((_, index) => index % 400 === 0);
    await harness.readings([...inTable, 'other'].map((name) => [name, at, '1']));
    assert.deepEqual(await names({ sensors: list }), inTable.toSorted());
  });

  it('a row without a sensor is counted, not sent', async () => {
    await harness.table(
      { sensor: fixture.types.varchar(20), ts: harness.time.type, value: fixture.types.double },
      [
        [null, harness.time.write(timeAt(at, 'UTC')), '1'],
        ['a', harness.time.write(timeAt(at, 'UTC')), '2'],
      ],
    );
    assert.deepEqual(Object.keys(await harness.posted()), ['a']);
    assert.equal(harness.counts?.withoutSensor, 1);
  });
}
