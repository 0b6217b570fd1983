/** TRAPS 7 and 8: wall-clock stamps in the zones of plants, through both changes of daylight saving. */
import assert from 'node:assert/strict';
import { formatInstant } from '../../lib/window';
import { toLocal, toUtc } from '../../lib/zone';
import { longQuery, shortest, type Harness } from './harness';
import { titleOf } from './windows';

const HALF_HOUR = 1800;
const TEN_MINUTES = 600;

/** Around each of these instants, six hours to either side. */
const CASES: readonly (readonly [zone: string, around: string, what: string])[] = [
  ['UTC', '2026-03-29T01:00:00Z', 'which has no changes'],
  ['Asia/Kolkata', '2026-03-29T01:00:00Z', 'five and a half hours ahead'],
  ['Europe/Berlin', '2026-03-29T01:00:00Z', 'where an hour is missing'],
  ['Europe/Berlin', '2026-10-25T01:00:00Z', 'where an hour comes twice'],
  ['America/Chicago', '2026-03-08T08:00:00Z', 'where an hour is missing'],
  ['America/Chicago', '2026-11-01T07:00:00Z', 'where an hour comes twice'],
];

export function zones(harness: Harness): void {
  const { fixture } = harness;
  for (const time of fixture.times) {
    if (time.kind === 'date') continue;
    for (const [timeZone, around, what] of CASES) {
      it(`traps 7 and 8: ${titleOf(time)} in ${timeZone}, ${what}: each reading in one window, at its time`, async () => {
        const middle = Date.parse(around) / 1000;
        const instants = Array.from({ length: 72 }, (_, index) => middle + (index - 36) * TEN_MINUTES);
        const rows = instants.map((seconds, index) => {
          const local = formatInstant(toLocal(seconds, timeZone)).replace('T', ' ').replace('Z', '');
          return { index, seconds, native: time.write({ seconds, fraction: '', local }) };
        });
        await harness.table(
          { sensor: fixture.types.varchar(20), ts: time.type, value: fixture.types.integer },
          rows.map(({ native, index }) => ['a', native, String(index)]),
        );
        const source = harness.open({ timeZone });
        // What was written as wall clock says no more than that: of an hour that comes twice, the first.
        const isWallClock = time.write(rowTime(0, 'wall')) === time.write(rowTime(1, 'wall'));
        const expected = rows.map(({ seconds, index }) => {
          const known = isWallClock ? toUtc(toLocal(seconds, timeZone), timeZone) : seconds;
          return `${formatInstant(known)} ${index}`;
        });
        const seen: string[] = [];
        let doubled = 0;
        for (let start = middle - 8 * 3600; start < middle + 8 * 3600; start += HALF_HOUR) {
          const window = { start, end: start + HALF_HOUR };
          const { a = [] } = await harness.posted(longQuery(), window, { source, timeZone });
          doubled += harness.counts?.doubledHour ?? 0;
          for (const { timestamp, value } of a) {
            const at = shortest(timestamp);
            assert(at >= formatInstant(window.start) && at < formatInstant(window.end), `${at} in ${start}`);
            seen.push(`${at} ${String(value)}`);
          }
        }
        assert.deepEqual(seen.sort(), expected.sort());
        // Twelve of them: six stamps of the hour, each written twice.
        assert.equal(doubled, isWallClock && what.includes('twice') ? 12 : 0);
      });
    }
  }
}

function rowTime(seconds: number, local: string): { seconds: number; fraction: string; local: string } {
  return { seconds, fraction: '', local };
}
