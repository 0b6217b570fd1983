/** `Retry-After`: how long the endpoint asks to be left alone (RFC 9110 §10.2.3). */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const CLOCK = String.raw`(?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2})`;

/** The three forms of RFC 9110 §5.6.7: all must be understood, though only the first may be sent today. */
const HTTP_DATES = [
  new RegExp(String.raw`^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) ${CLOCK} GMT$`),
  new RegExp(String.raw`^[A-Z][a-z]+day, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) ${CLOCK} GMT$`),
  new RegExp(String.raw`^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) ${CLOCK} (?<year>\d{4})$`),
];

/**
 * @param value seconds, or a date
 * @param date the answer's own `Date`: taken as now where it is one, so that a wrong clock here does not matter
 * @param now milliseconds since 1970
 * @returns seconds from now, at most `mostSeconds`; undefined where the header is missing or garbage
 */
export function retryAfterSeconds(
  value: string | undefined,
  date: string | undefined,
  now: number,
  mostSeconds: number,
): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text), mostSeconds);
  const at = parseHttpDate(text, now);
  if (at === undefined) return undefined;
  const answeredAt = parseHttpDate(date?.trim() ?? '', now) ?? now;
  return Math.min(Math.max(0, (at - answeredAt) / 1000), mostSeconds);
}

/** @returns milliseconds since 1970 */
function parseHttpDate(text: string, now: number): number | undefined {
  for (const form of HTTP_DATES) {
    const parts = form.exec(text)?.groups;
    if (!parts) continue;
    const { day = '', month = '', year = '', hour = '', minute = '', second = '' } = parts;
    const monthIndex = MONTHS.indexOf(month);
    if (monthIndex < 0) return undefined;
    const fullYear = year.length === 2 ? nearestYear(Number(year), now) : Number(year);
    return Date.UTC(fullYear, monthIndex, Number(day), Number(hour), Number(minute), Number(second));
  }
  return undefined;
}

/** Two digits that would mean more than 50 years ahead mean the past (RFC 9110 §5.6.7). */
function nearestYear(twoDigits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}
