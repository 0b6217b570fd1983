/**
 * Half-open windows of time `[start, end)` in UTC with edges on whole seconds: the unit that is read, posted
 * and bookmarked. Whole seconds make every bound exact in every database's own type.
 */
import { TmError } from './errors';
import { toUtc } from './zone';

/** Whole seconds since 1970-01-01T00:00:00Z. */
export type EpochSeconds = number;

export interface Window {
  readonly start: EpochSeconds;
  readonly end: EpochSeconds;
}

/** A window as messages, bodies and state files carry it: ISO 8601 in UTC. */
export interface WindowText {
  start_time: string;
  end_time: string;
}

const INSTANT =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** `2026-01-31T12:00:00Z` */
export function formatInstant(seconds: EpochSeconds): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

export function formatWindow(window: Window): WindowText {
  return { start_time: formatInstant(window.start), end_time: formatInstant(window.end) };
}

/** `2026-01-31T12:00:00Z to 2026-01-31T12:30:00Z`, for messages. */
export function describeWindow(window: Window): string {
  return `${formatInstant(window.start)} to ${formatInstant(window.end)}`;
}

/**
 * An ISO 8601 instant (a Date, or milliseconds since 1970, too) in seconds, with its fraction. A text without
 * an offset is local time in `timeZone`.
 * @throws TmError TM_WINDOW_INVALID that names `field` and quotes the value
 */
export function parseInstant(value: unknown, field: string, timeZone: string): number {
  const refuse = (why: string): TmError =>
    new TmError(
      'TM_WINDOW_INVALID',
      `${field} ${why}: ${quote(value)}. Give an ISO 8601 time such as "2026-01-31T12:00:00Z".`,
    );
  if (value === undefined || value === null || value === '') throw refuse('is missing');
  if (value instanceof Date || typeof value === 'number') {
    const milliseconds = Number(value);
    if (!Number.isFinite(milliseconds) || Math.abs(milliseconds) > 8.64e15) throw refuse('is not a time');
    return milliseconds / 1000;
  }
  const match = typeof value === 'string' ? INSTANT.exec(value.trim()) : null;
  if (!match) throw refuse('is not a time');
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', offset] = match;
  const local = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  const readBack = new Date(local).toISOString().slice(0, 19);
  if (readBack !== `${year}-${month}-${day}T${hour}:${minute}:${second}`)
    throw refuse('is not a date that exists');
  const seconds = offset === undefined ? toUtc(local / 1000, timeZone) : local / 1000 - offsetSeconds(offset);
  return seconds + (fraction === '' ? 0 : Number(`0.${fraction}`));
}

/**
 * The window of a message's payload or of a request's body. Fractions of a second are rounded outwards, so
 * that what was asked for is inside.
 * @throws TmError TM_WINDOW_INVALID that says which field is wrong
 */
export function parseWindow(payload: unknown, timeZone = 'UTC'): Window {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new TmError(
      'TM_WINDOW_INVALID',
      `A window is an object {start_time, end_time}; the payload is ${quote(payload)}.`,
    );
  }
  const fields: Partial<Record<keyof WindowText, unknown>> = payload;
  const start = Math.floor(parseInstant(fields.start_time, 'start_time', timeZone));
  const end = Math.ceil(parseInstant(fields.end_time, 'end_time', timeZone));
  if (start >= end) {
    throw new TmError(
      'TM_WINDOW_INVALID',
      `start_time ${quote(fields.start_time)} is not before end_time ${quote(fields.end_time)}.`,
    );
  }
  return { start, end };
}

export function sameWindow(a: Window, b: Window): boolean {
  return a.start === b.start && a.end === b.end;
}

/** A value in an error message: short, and never the whole of a large object. */
export function quote(value: unknown): string {
  let text: string | undefined;
  try {
    text = typeof value === 'bigint' ? String(value) : JSON.stringify(value);
  } catch {
    text = undefined;
  }
  text ??= String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function offsetSeconds(offset: string): number {
  if (offset.toUpperCase() === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '').padEnd(4, '0');
  const seconds = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2)) * 60;
  return offset.startsWith('-') ? -seconds : seconds;
}
