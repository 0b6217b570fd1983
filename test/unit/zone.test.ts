import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TimestampWriter } from '../../lib/timestamp';
import { checkTimeZone, doubledHour, toLocal, toLocalBound, toUtc } from '../../lib/zone';

const at = (text: string): number => Date.parse(text) / 1000;
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/Chicago',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'Pacific/Apia',
];

describe('Naive timestamps in a time zone', () => {
  it('are the instants that a clock on the wall showed', () => {
    assert.equal(toUtc(at('2026-07-01T12:00:00Z'), 'Europe/Berlin'), at('2026-07-01T10:00:00Z'));
    assert.equal(toUtc(at('2026-01-01T12:00:00Z'), 'Europe/Berlin'), at('2026-01-01T11:00:00Z'));
    assert.equal(toUtc(at('2026-07-01T12:00:00Z'), 'America/Chicago'), at('2026-07-01T17:00:00Z'));
    assert.equal(toUtc(at('2026-07-01T12:00:00Z'), 'Asia/Kolkata'), at('2026-07-01T06:30:00Z'));
  });

  it('in the hour that comes twice are taken as the first, and belong to no window of the second', () => {
    const zone = 'Europe/Berlin';
    assert.equal(toUtc(at('2026-10-25T02:30:00Z'), zone), at('2026-10-25T00:30:00Z'));
    assert.equal(toLocalBound(at('2026-10-25T00:30:00Z'), zone), at('2026-10-25T02:30:00Z'));
    assert.equal(toLocalBound(at('2026-10-25T01:00:00Z'), zone), at('2026-10-25T03:00:00Z'));
    assert.equal(toLocalBound(at('2026-10-25T01:30:00Z'), zone), at('2026-10-25T03:00:00Z'));
    assert.equal(toLocalBound(at('2026-10-25T02:00:00Z'), zone), at('2026-10-25T03:00:00Z'));
    const hour = { start: at('2026-10-25T00:00:00Z'), end: at('2026-10-25T02:00:00Z') };
    assert.deepEqual(doubledHour(at('2026-10-25T00:00:00Z'), zone), hour);
    assert.deepEqual(doubledHour(at('2026-10-25T01:59:59Z'), zone), hour);
    assert.equal(doubledHour(at('2026-10-25T02:00:00Z'), zone), undefined);
    assert.equal(doubledHour(at('2026-10-24T23:59:59Z'), zone), undefined);
  });

  it('in the hour that is skipped belong to the window before it', () => {
    const zone = 'Europe/Berlin';
    assert.equal(toLocalBound(at('2026-03-29T01:00:00Z'), zone), at('2026-03-29T03:00:00Z'));
    assert.equal(toLocalBound(at('2026-03-29T00:59:59Z'), zone), at('2026-03-29T01:59:59Z'));
  });

  it('fall in exactly one window each, on every day and in every zone', () => {
    const day = fc.integer({
      min: at('2011-12-29T00:00:00Z') / 86_400,
      max: at('2027-01-01T00:00:00Z') / 86_400,
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        day,
        fc.integer({ min: 1, max: 240 }),
        fc.nat(86_400),
        (zone, days, minutes, second) => {
          const from = days * 86_400 - 43_200;
          const edges = Array.from({ length: Math.ceil(172_800 / (minutes * 60)) + 1 }, (_, index) =>
            toLocalBound(from + index * minutes * 60, zone),
          );
          for (const [index, edge] of edges.entries()) {
            assert(index === 0 || edge >= (edges[index - 1] ?? 0), 'bounds never go back');
          }
          const local = toLocal(from, zone) + second;
          const inside = edges.filter(
            (edge, index) => edge <= local && local < (edges[index + 1] ?? -Infinity),
          );
          assert.equal(inside.length, local >= (edges[0] ?? 0) ? 1 : 0);
        },
      ),
    );
  });

  it('come out where they went in', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), fc.integer({ min: 0, max: 2_000_000_000 }), (zone, seconds) => {
        const back = toUtc(toLocal(seconds, zone), zone);
        const hour = doubledHour(seconds, zone);
        assert(back === seconds || (hour !== undefined && back < seconds), `${seconds} ${zone} ${back}`);
      }),
    );
  });

  it('need a zone that exists', () => {
    assert.equal(checkTimeZone('Europe/Berlin'), 'Europe/Berlin');
    assert.throws(() => checkTimeZone('Mars/Olympus'), {
      code: 'TM_SETTING_INVALID',
      message: /"Mars\/Olympus"/,
    });
  });
});

describe('Posted timestamps', () => {
  const cases: [format: 'iso' | 'naive' | 'epoch-ms', zone: string, native: string, json: string][] = [
    ['iso', 'UTC', '2026-01-31 12:00:00.123456+00', '"2026-01-31T12:00:00.123456Z"'],
    ['iso', 'UTC', '2026-01-31 12:00:00', '"2026-01-31T12:00:00Z"'],
    ['iso', 'UTC', '2026-01-31', '"2026-01-31T00:00:00Z"'],
    ['iso', 'Europe/Berlin', '2026-07-31', '"2026-07-30T22:00:00Z"'],
    ['iso', 'Europe/Berlin', '2026-07-31 12:00:00.5', '"2026-07-31T10:00:00.5Z"'],
    ['iso', 'Asia/Kolkata', '2026-07-31 12:00:00.1234567', '"2026-07-31T06:30:00.1234567Z"'],
    ['iso', 'Europe/Berlin', '2026-07-31 12:00:00+00', '"2026-07-31T12:00:00Z"'],
    ['iso', 'UTC', '2026-07-31T12:00:00+05:30', '"2026-07-31T06:30:00Z"'],
    ['naive', 'UTC', '2026-01-31 12:00:00.123456+00', '"2026-01-31T12:00:00.123456"'],
    ['naive', 'Europe/Berlin', '2026-07-31 12:00:00.5', '"2026-07-31T12:00:00.5"'],
    ['naive', 'Europe/Berlin', '2026-07-31 12:00:00+00', '"2026-07-31T14:00:00"'],
    ['epoch-ms', 'UTC', '1970-01-01 00:00:01.234567+00', '1234'],
    ['epoch-ms', 'UTC', '1970-01-02', '86400000'],
  ];
  for (const [format, zone, native, json] of cases) {
    it(`${native} of ${zone} as ${format}: ${json}`, () => {
      assert.equal(new TimestampWriter(format, 'naive', zone).json(native), json);
    });
  }
});
