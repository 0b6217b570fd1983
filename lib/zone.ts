/**
 * Naive (zoneless) timestamps and UTC, in any IANA zone, whatever zone this process runs in.
 *
 * Where a local hour occurs twice (clocks go back), naive stamps cannot tell its two passes apart: both are
 * taken as the first. Where an hour is skipped, a stamp inside it is shifted by the offset before the gap.
 * So every naive stamp has exactly one instant, and later stamps never get earlier instants than the hour
 * before: no window loses a row, none reads one twice.
 */
import { TmError } from './errors';

const formats = new Map<string, Intl.DateTimeFormat>();

/** Local seconds (the wall clock read as if it were UTC) of an instant. */
export function toLocal(seconds: number, timeZone: string): number {
  return seconds + offsetAt(seconds, timeZone);
}

/** The instant of a wall clock reading; see above for hours that occur twice or never. */
export function toUtc(localSeconds: number, timeZone: string): number {
  // The two candidate offsets are those half a day to either side: no zone shifts twice within a day.
  const before = offsetAt(localSeconds - 86_400, timeZone);
  const after = offsetAt(localSeconds + 86_400, timeZone);
  if (before === after) return localSeconds - before;
  const early = localSeconds - before;
  if (offsetAt(early, timeZone) === before) return early;
  const late = localSeconds - after;
  return offsetAt(late, timeZone) === after ? late : early;
}

/**
 * The smallest local reading whose instant is at or after `seconds`: the bound that selects naive stamps
 * of a window's edge.
 */
export function toLocalBound(seconds: number, timeZone: string): number {
  const local = toLocal(seconds, timeZone);
  const instant = toUtc(local, timeZone);
  // Second pass of a doubled hour: its local readings belong to the first pass, so the bound is where they end.
  if (instant < seconds) return toLocal(doubledHourEnd(seconds, timeZone), timeZone);
  return local;
}

/**
 * If `seconds` is inside a local hour that occurs twice, the hour's bounds as instants: `start` of the first
 * pass and `end` of the second. Naive rows of that hour are complete only after `end`.
 */
export function doubledHour(seconds: number, timeZone: string): { start: number; end: number } | undefined {
  const shift = offsetAt(seconds - 86_400, timeZone) - offsetAt(seconds + 86_400, timeZone);
  if (shift <= 0) return undefined;
  const transition = transitionBetween(seconds - 86_400, seconds + 86_400, timeZone);
  const hour = { start: transition - shift, end: transition + shift };
  return seconds >= hour.start && seconds < hour.end ? hour : undefined;
}

/** @throws TmError TM_SETTING_INVALID */
export function checkTimeZone(timeZone: string): string {
  formatOf(timeZone);
  return timeZone;
}

function doubledHourEnd(seconds: number, timeZone: string): number {
  return doubledHour(seconds, timeZone)?.end ?? seconds;
}

/** The instant of the one change of offset between two instants, by bisection. */
function transitionBetween(from: number, to: number, timeZone: string): number {
  const before = offsetAt(from, timeZone);
  let low = Math.floor(from);
  let high = Math.ceil(to);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle, timeZone) === before) low = middle;
    else high = middle;
  }
  return high;
}

/** Seconds east of UTC at an instant. */
function offsetAt(seconds: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0;
  const whole = Math.floor(seconds);
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(whole * 1000)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - whole;
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known) return known;
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timeZone, format);
    return format;
  } catch (cause) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `timeZone ${JSON.stringify(timeZone)} is not an IANA time zone. Give a name such as "UTC" or "Europe/Berlin".`,
      { cause },
    );
  }
}
