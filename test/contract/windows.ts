/** TRAPS 1, 2, 4, 5, 6, 9: what is in a window, in which order, and with which digits. */
import assert from 'node:assert/strict';
import type { Window } from '../../lib/window';
import { until } from '../support/until';
import type { TimeType } from './fixture';
import { recordTime } from './record';
import { longQuery, shortest, timeAt, valuesOf, windowOf, DAY, type Harness } from './harness';

const MORNING = windowOf('2026-01-01T00:00:00Z', '2026-01-01T12:00:00Z');
const EVENING = windowOf('2026-01-01T12:00:00Z', '2026-01-02T00:00:00Z');

export function windows(harness: Harness): void {
  const { fixture } = harness;

  for (const time of fixture.times) {
    if (time.kind !== 'date') {
      it(`traps 1, 5 and 6: ${titleOf(time)} keeps its digits, and edges belong to the window that begins with them`, async () => {
        const last = '9'.repeat(time.digits);
        const stamps = [
          '2026-01-01T00:00:00Z',
          `2026-01-01T11:59:59${last === '' ? '' : `.${last}`}Z`,
          '2026-01-01T12:00:00Z',
          // Right behind an edge.
          ...(time.digits === 0 ? [] : [`2026-01-01T12:00:00.${'1'.padStart(time.digits, '0')}Z`]),
          '2026-01-02T00:00:00Z',
        ];
        await harness.table(
          { sensor: fixture.types.varchar(20), ts: time.type, value: fixture.types.integer },
          stamps.map((stamp, index) => ['a', time.write(timeAt(stamp, 'UTC')), String(index)]),
        );
        const source = harness.open();
        const morning = await harness.posted(longQuery(), MORNING, { source });
        const evening = await harness.posted(longQuery(), EVENING, { source });
        assert.deepEqual(valuesOf(morning.a), [0, 1]);
        assert.deepEqual(valuesOf(evening.a), time.digits === 0 ? [2] : [2, 3]);
        assert.deepEqual(
          [...(morning.a ?? []), ...(evening.a ?? [])].map(({ timestamp }) => shortest(timestamp)),
          stamps.slice(0, -1),
        );
        assert.equal(await source.oldest(longQuery()), MORNING.start);
        recordTime(
          fixture.name,
          titleOf(time),
          time.write(timeAt(stamps[1] ?? '', 'UTC')),
          morning.a?.[1]?.timestamp,
        );
      });
    } else {
      it(`${titleOf(time)} is its midnight`, async () => {
        await harness.table(
          { sensor: fixture.types.varchar(20), ts: time.type, value: fixture.types.integer },
          [
            ['a', '2026-01-01', '1'],
            ['a', '2026-01-02', '2'],
          ],
        );
        const { a = [] } = await harness.posted();
        assert.deepEqual(
          a.map(({ timestamp, value }) => [shortest(timestamp), value]),
          [['2026-01-01T00:00:00Z', 1]],
        );
      });
    }
  }

  it('trap 2: readings of one timestamp are in one batch, in the same order and bytes each time', async () => {
    const rows = Array.from({ length: 60 }, (_, index) => {
      const at = `2026-01-01T00:00:0${Math.floor(index / 20)}Z`;
      return [`s${index % 3}`, at, String(index)] as const;
    });
    await harness.readings(rows);
    const source = harness.open();
    const read = (): Promise<string[]> => harness.bodies(longQuery(), DAY, { source, readingsPerBatch: 7 });
    const bodies = await read();
    assert.equal(bodies.length, 3);
    await harness.readings(rows.toReversed());
    assert.deepEqual(await read(), bodies);
  });

  it('trap 4: the clock is the database’s own, and a stamp from the future is in no earlier window', async () => {
    await harness.readings([
      ['a', '2026-01-01T01:00:00Z', '1'],
      ['a', '2090-01-01T00:00:00Z', '2'],
    ]);
    const source = harness.open();
    const clock = await source.clock();
    // Both are on this machine.
    assert(Math.abs(clock - Date.now() / 1000) < 60, `${clock}`);
    await until(async () => (await source.clock()) > clock);
    assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1]);
    const future = windowOf('2090-01-01T00:00:00Z', '2090-01-01T00:30:00Z');
    assert.deepEqual(valuesOf((await harness.posted(longQuery(), future, { source })).a), [2]);
    assert.equal(await source.oldest(longQuery()), DAY.start + 3600);
  });

  it('trap 9: an empty window, and an empty table, are one batch without readings; a failed query is not', async () => {
    const empty = '{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-02T00:00:00Z","data":{}}';
    await harness.readings([['a', '2026-02-01T00:00:00Z', '1']]);
    const source = harness.open();
    assert.deepEqual(await harness.bodies(longQuery(), DAY, { source }), [empty]);
    for (const time of fixture.times) {
      await harness.table({ sensor: fixture.types.text, ts: time.type, value: fixture.types.double });
      assert.deepEqual(await harness.bodies(longQuery(), DAY, { source }), [empty], time.type);
      assert.equal(await source.oldest(longQuery()), undefined);
    }
    await harness.drop();
    await assert.rejects(harness.bodies(longQuery(), DAY, { source }), { code: 'TM_QUERY_FAILED' });
    await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
    assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [1]);
  });

  it('texts that are no times are left out and counted, and end no window', async () => {
    const [texts] = fixture.times.filter(({ kind }) => kind === 'text');
    assert(texts);
    const junk = [
      '2026-01-01',
      '2026-13-01T00:00:00Z',
      '2026-02-30T00:00:00Z',
      '2026-01-01T24:61:00Z',
      '2026-01-01T0?',
      '',
      '0000-00-00T00:00:00Z',
      'n/a',
    ];
    const good = ['2026-01-01T00:00:00Z', '2026-01-01T12:00:00Z'];
    await harness.table(
      { sensor: fixture.types.varchar(20), ts: texts.type, value: fixture.types.integer },
      [...good, ...junk.slice(1)].map((at, index) => ['a', at, String(index)]),
    );
    const source = harness.open();
    const all = windowOf('2025-12-31T00:00:00Z', '2027-01-01T00:00:00Z');
    const { a } = await harness.posted(longQuery(), all, { source });
    assert.deepEqual(
      a?.map(({ timestamp, value }) => [shortest(timestamp), value]),
      good.map((at, index) => [at, index]),
    );
    assert.equal(harness.counts?.withoutTimestamp, 4);
    assert.equal(await source.oldest(longQuery()), DAY.start);
    // A time of another form is one that would be lost.
    await harness.insert([['a', junk[0] ?? '', '9']]);
    await assert.rejects(harness.posted(longQuery(), all, { source }), { code: 'TM_QUERY_COLUMNS' });
  });

  it('numbers that stand for no time do not hide which unit the times are in', async () => {
    for (const time of fixture.times.filter(
      ({ kind, type }) => kind === 'epoch' && type !== 'int' && type !== 'integer',
    )) {
      await harness.table(
        { sensor: fixture.types.varchar(20), ts: time.type, value: fixture.types.integer },
        [
          ['a', time.write(timeAt('2026-01-01T00:00:00Z', 'UTC')), '1'],
          ['a', time.write(timeAt('9999-12-31T23:59:59Z', 'UTC')), '2'],
          ['a', '0', '3'],
          ['a', '-1', '4'],
        ].filter(
          ([, stamp, value]) =>
            !(value === '2' && (stamp ?? '').length > 18) &&
            !(value === '4' && time.type.includes('unsigned')),
        ),
      );
      const source = harness.open();
      const { a } = await harness.posted(longQuery(), DAY, { source });
      assert.deepEqual(valuesOf(a), [1], titleOf(time));
      const warnings: string[] = [];
      assert.equal(
        await source.oldest(longQuery(), (message) => warnings.push(message)),
        DAY.start,
        titleOf(time),
      );
      assert.match(warnings.join(), /holds "(0|-1).*taken for no time/);
      await source.close();
    }
    const bigint = fixture.times.find(({ kind, digits }) => kind === 'epoch' && digits === 3);
    assert(bigint);
    await harness.table(
      { sensor: fixture.types.varchar(20), ts: bigint.type, value: fixture.types.integer },
      [
        ['a', '1767225600', '1'],
        ['a', '1767225600000', '2'],
      ],
    );
    await assert.rejects(harness.posted(), {
      code: 'TM_QUERY_COLUMNS',
      message: /several units, 1767225600(\.0)? and 1767225600000/,
    });
    assert.deepEqual(valuesOf((await harness.posted(longQuery({ epochUnit: 's' }))).a), [1]);
    assert.deepEqual(valuesOf((await harness.posted(longQuery({ epochUnit: 'ms' }))).a), [2]);
  });

  it('a column that was empty is understood once it has rows', async () => {
    const query = longQuery();
    for (const time of fixture.times) {
      const source = harness.open();
      await harness.table({
        sensor: fixture.types.varchar(20),
        ts: time.type,
        value: fixture.types.integer,
      });
      assert.deepEqual(Object.keys(await harness.posted(query, DAY, { source })), []);
      await harness.insert([['a', time.write(timeAt('2026-01-01T00:00:00Z', 'UTC')), '7']]);
      assert.deepEqual(valuesOf((await harness.posted(query, DAY, { source })).a), [7], titleOf(time));
      await source.close();
    }
  });

  it('a read taken up again before, in, or behind its window is still of the window', async () => {
    await harness.readings([
      ['a', '2026-01-01T00:00:00Z', '1'],
      ['a', '2026-01-01T06:00:00Z', '2'],
      ['a', '2026-01-01T12:00:00Z', '3'],
    ]);
    const source = harness.open();
    const natives: string[] = [];
    const read = async (window: Window, from?: string): Promise<number[]> => {
      const seen: number[] = [];
      await source.read(longQuery(), window, {
        from,
        signal: new AbortController().signal,
        drain: () => undefined,
        sink: ({ order, values: [value] }) => ({
          row: (bytes, starts, ends) => {
            const text = (field = 0): string => bytes.toString('latin1', starts[field], ends[field]);
            if (from === undefined) natives.push(text(order.field));
            seen.push(Number(text(value?.field)));
          },
        }),
      });
      return seen;
    };
    assert.deepEqual(await read(DAY), [1, 2, 3]);
    const [first, second, third] = natives;
    assert.deepEqual(await read(MORNING, first), [1, 2]);
    assert.deepEqual(await read(MORNING, second), [2]);
    assert.deepEqual(await read(MORNING, third), []);
    assert.deepEqual(await read(EVENING, first), [3]);
  });

  it('a column that is altered between windows is read as what it is then', async () => {
    const source = harness.open();
    const query = longQuery();
    const at = harness.time.write(timeAt('2026-01-01T00:00:00Z', 'UTC'));
    for (const [type, value, posted] of [
      [fixture.types.integer, '7', 7],
      [fixture.types.varchar(20), '7', '7'],
      [fixture.types.varchar(20), 'Bad', 'Bad'],
      [fixture.types.double, '7.5', 7.5],
    ] as const) {
      await harness.table({ sensor: fixture.types.varchar(20), ts: harness.time.type, value: type }, [
        ['a', at, value],
      ]);
      assert.deepEqual(valuesOf((await harness.posted(query, DAY, { source })).a), [posted]);
    }
  });
}

export function titleOf({ type, title }: TimeType): string {
  return title === undefined ? type : `${type} (${title})`;
}
