import assert from 'node:assert/strict';
import fc from 'fast-check';
import { halve, splitBatch, type Batch } from '../../../lib/endpoint/split';
import { parseBody } from '../../../scripts/start/cloud-body';
import { batchOf, regularBatch, timeText, type SomeReading } from '../../support/endpoint';

const ODD_NAMES = [
  '__proto__',
  'constructor',
  'toString',
  '',
  ' ',
  '1',
  'a"b\\',
  'größe/µm',
  '\u2028',
  '"timestamp":',
  '😀',
];

const reading: fc.Arbitrary<SomeReading> = fc.record({
  sensor: fc.oneof(fc.constantFrom(...ODD_NAMES), fc.string({ unit: 'binary' })),
  // Few instants, so that many readings share one; milliseconds of any number of digits.
  at: fc.oneof(
    fc.integer({ min: 0, max: 20 }),
    fc.integer({ min: 0, max: 59_999 }).map((ms) => ms / 1000),
  ),
  value: fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'binary' }),
    fc.constant(null),
  ),
});
const batch = fc.array(reading, { minLength: 1, maxLength: 60 }).map((readings) => batchOf(readings));

/** Every reading as it was written, by sensor: sorted, for pieces keep their order but not that of the whole. */
function written(pieces: readonly Batch[]): string[] {
  return pieces
    .flatMap(({ body }) => parseBody(body).readings)
    .map(({ sensor, timestamp, value }) => JSON.stringify([sensor, timestamp, value]))
    .sort();
}

describe('dividing a batch', () => {
  it('keeps every reading, tiles the window, keeps to the size', () => {
    fc.assert(
      fc.property(batch, fc.integer({ min: 100, max: 3000 }), (whole, maxBytes) => {
        const pieces = splitBatch(whole, maxBytes);
        // parseBody is strict: each piece is a body with its readings inside of its edges.
        assert.deepEqual(written(pieces), written([whole]));
        assert.equal(
          pieces.reduce((sum, { readings }) => sum + readings, 0),
          whole.readings,
        );
        for (const piece of pieces) {
          const { start_time, end_time, readings } = parseBody(piece.body);
          assert.deepEqual(
            [start_time, end_time, readings.length],
            [piece.start_time, piece.end_time, piece.readings],
          );
          assert.ok(piece.body.length <= maxBytes || piece.readings === 1, `${piece.body.length} bytes`);
        }
        // Pieces of one timestamp share their edges; all others begin where the one before ends.
        const edges = pieces
          .map(({ start_time, end_time }) => `${start_time} ${end_time}`)
          .filter((edge, index, all) => edge !== all[index - 1])
          .map((edge) => edge.split(' '));
        assert.equal(edges[0]?.[0], whole.start_time);
        assert.equal(edges.at(-1)?.[1], whole.end_time);
        for (let index = 1; index < edges.length; index++)
          assert.equal(edges[index]?.[0], edges[index - 1]?.[1]);
      }),
    );
  });

  it('gives the same pieces again, and no others at another size: each is a half of a half', () => {
    fc.assert(
      fc.property(
        batch,
        fc.integer({ min: 100, max: 3000 }),
        fc.integer({ min: 100, max: 3000 }),
        (whole, a, b) => {
          const [smaller, larger] = [Math.min(a, b), Math.max(a, b)];
          const direct = splitBatch(whole, smaller).map(({ body }) => body.toString());
          const inSteps = splitBatch(whole, larger)
            .flatMap((piece) => splitBatch(piece, smaller))
            .map(({ body }) => body.toString());
          assert.deepEqual(inSteps, direct);
        },
      ),
    );
  });

  it('never between equal timestamps while there are two of them', () => {
    const whole = regularBatch(10, 20);
    for (const { body } of splitBatch(whole, 2000)) {
      const seconds = parseBody(body).readings.map(({ timestamp }) => timestamp);
      for (const second of new Set(seconds))
        assert.equal(seconds.filter((other) => other === second).length, 10);
    }
  });

  it('by sensor where one timestamp is left, by reading where one sensor is', () => {
    const at = (sensor: string, value: number): SomeReading => ({ sensor, at: 5, value });
    const whole = batchOf([
      at('a', 1),
      at('a', 2),
      at('a', 3),
      ...[4, 5, 6, 7, 8].map((value) => at('b', value)),
    ]);
    const [left, right] = halve(whole) ?? [];
    assert.deepEqual(
      [left, right].map((half) =>
        parseBody(half?.body ?? Buffer.alloc(0)).readings.map(({ value }) => value),
      ),
      [
        [1, 2, 3],
        [4, 5, 6, 7, 8],
      ],
    );
    assert.deepEqual([left?.start_time, left?.end_time], [whole.start_time, whole.end_time]);
    assert.deepEqual(
      splitBatch(whole, 130).map(({ readings }) => readings),
      [1, 1, 1, 1, 1, 1, 1, 1],
    );
  });

  it('in halves of about the same size', () => {
    const whole = regularBatch(4, 60);
    const [left, right] = halve(whole) ?? [];
    assert.deepEqual([left?.readings, right?.readings], [120, 120]);
    assert.deepEqual([left?.end_time, right?.start_time], [timeText(30), timeText(30)]);
  });

  it('one reading, or none, is not divided', () => {
    assert.equal(halve(batchOf([{ sensor: 'a', at: 1, value: 'x'.repeat(1000) }])), undefined);
    assert.equal(halve(batchOf([])), undefined);
  });

  it('leaves each number as it is written, and what else the body has', () => {
    const data =
      '"a":[{"value":1.50e3,"timestamp":"2026-01-31T12:00:01Z","unit":"mm\\/s"},{"timestamp":"2026-01-31T12:00:02Z","value":-0}]';
    const body = `{ "site" : {"id":[1,"]}"]} ,"start_time":"2026-01-31T12:00:00Z",\n"data":{${data} , "b":[]},"end_time":"2026-01-31T12:01:00Z"}`;
    const [left, right] = halve(handMade(body)) ?? [];
    assert.equal(
      left?.body.toString(),
      '{"site":{"id":[1,"]}"]},"start_time":"2026-01-31T12:00:00Z","end_time":"2026-01-31T12:00:02Z","data":{"a":[{"value":1.50e3,"timestamp":"2026-01-31T12:00:01Z","unit":"mm\\/s"}]}}',
    );
    assert.equal(
      right?.body.toString(),
      '{"site":{"id":[1,"]}"]},"start_time":"2026-01-31T12:00:02Z","end_time":"2026-01-31T12:01:00Z","data":{"a":[{"timestamp":"2026-01-31T12:00:02Z","value":-0}]}}',
    );
  });

  describe('the edge between two pieces is the first timestamp behind it, in the format of the edges', () => {
    const cases: [name: string, start: string, end: string, timestamps: (string | number)[], edge: string][] =
      [
        [
          'ISO, of different precision',
          '2026-01-31T12:00:00Z',
          '2026-01-31T12:01:00Z',
          [
            '2026-01-31T12:00:01.5Z',
            '2026-01-31T12:00:01.4999999Z',
            '2026-01-31T12:00:01.50Z',
            '2026-01-31T12:00:01.51Z',
          ],
          '2026-01-31T12:00:01.5Z',
        ],
        [
          'naive',
          '2026-01-31T12:00:00',
          '2026-01-31T12:01:00',
          ['2026-01-31T12:00:01', '2026-01-31T12:00:02.25'],
          '2026-01-31T12:00:02.25',
        ],
        [
          'with an offset',
          '2026-01-31T17:30:00+05:30',
          '2026-01-31T17:31:00+05:30',
          ['2026-01-31T17:30:01+05:30', '2026-01-31T12:00:02Z'],
          '2026-01-31T12:00:02Z',
        ],
        [
          'milliseconds since 1970',
          '2026-01-31T12:00:00Z',
          '2026-01-31T12:01:00Z',
          [1769860801000, 1769860802250],
          '2026-01-31T12:00:02.250Z',
        ],
        [
          'milliseconds since 1970, in the second half of a second',
          '2026-01-31T12:00:01Z',
          '2026-01-31T12:00:02Z',
          [1769860801600, 1769860801999],
          '2026-01-31T12:00:01.999Z',
        ],
        [
          'milliseconds since 1970, on a whole second',
          '2026-01-31T12:00:00Z',
          '2026-01-31T12:01:00Z',
          [1769860801000, 1769860802000],
          '2026-01-31T12:00:02Z',
        ],
      ];
    for (const [name, start, end, timestamps, edge] of cases) {
      it(name, () => {
        const [left, right] = halve(handMade(bodyWith(start, end, timestamps))) ?? [];
        assert.deepEqual([left?.start_time, left?.end_time], [start, edge]);
        assert.deepEqual([right?.start_time, right?.end_time], [edge, end]);
        assert.ok((left?.readings ?? 0) > 0 && (right?.readings ?? 0) > 0);
        parseBody(left?.body ?? Buffer.alloc(0));
        parseBody(right?.body ?? Buffer.alloc(0));
      });
    }
  });

  describe('timestamps that do not tell an order inside of the window: by place, under the same edges', () => {
    const cases: [name: string, timestamps: (string | number | null)[]][] = [
      ['not a time', ['yesterday', 'today']],
      ['none', [null, null]],
      ['naive under edges in UTC', ['2026-01-31T12:00:01', '2026-01-31T12:00:02']],
      ['seconds since 1970', [1769860801, 1769860802]],
      ['outside of the window', ['2027-01-31T12:00:01Z', '2027-01-31T12:00:02Z']],
    ];
    for (const [name, timestamps] of cases) {
      it(name, () => {
        const whole = handMade(bodyWith('2026-01-31T12:00:00Z', '2026-01-31T12:01:00Z', timestamps));
        const halves = halve(whole) ?? [];
        assert.deepEqual(
          halves.map((half) => [half.start_time, half.end_time, half.readings]),
          [
            [whole.start_time, whole.end_time, 1],
            [whole.start_time, whole.end_time, 1],
          ],
        );
      });
    }
  });

  it('what is not such a body is refused with the place', () => {
    for (const text of [
      '',
      '[]',
      '{"data":{"a":{}}}',
      '{"data":{"a":[{"timestamp":"x"',
      '{"data":{"a":[1]}}',
      '{"data":}',
    ]) {
      assert.throws(() => halve(handMade(text)), { code: 'TM_MESSAGE_INVALID', message: /byte \d+/ }, text);
    }
  });
});

function bodyWith(start: string, end: string, timestamps: readonly (string | number | null)[]): string {
  const readings = timestamps.map((timestamp) => ({ timestamp, value: 1 }));
  return JSON.stringify({ start_time: start, end_time: end, data: { a: readings } });
}

function handMade(text: string): Batch {
  const edges: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(/"(start_time|end_time)":"([^"]*)"/g))
    edges[name] = value;
  const { start_time = '', end_time = '' } = edges;
  return { start_time, end_time, body: Buffer.from(text), readings: 2 };
}
