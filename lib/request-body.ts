/** The body of a request for a range, checked; what is wrong with it is said in the form that FastAPI gives it. */
import { isUtf8 } from 'node:buffer';
import { asTmError, TmError } from './errors';
import type { JsonObject } from './state/store';
import { parseInstant, quote, type Window } from './window';

export type RequestBody =
  { readonly range: Window } | { readonly detail: readonly JsonObject[] } | { readonly tooLarge: true };

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const LARGEST_BYTES = 65_536;
/** Numbers up to here are seconds since 1970, beyond it milliseconds: the rule that FastAPI's callers rely on. */
const LARGEST_SECONDS = 2e10;
/** Years of four digits, all that ISO 8601 writes without agreement. */
const EARLIEST = Date.parse('0001-01-01T00:00:00Z') / 1000;
const LATEST = Date.parse('9999-12-31T23:59:59Z') / 1000;

/** @param timeZone of times without an offset */
export function parseRequestBody(body: unknown, headers: Headers, timeZone: string): RequestBody {
  const raw = Buffer.isBuffer(body) || typeof body === 'string' ? Buffer.from(body) : undefined;
  if (Number(headers['content-length'] ?? 0) > LARGEST_BYTES || bytesOf(raw ?? body) > LARGEST_BYTES) {
    return { tooLarge: true };
  }
  const type = headers['content-type'];
  if (type !== undefined && !/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(String(type).trim())) {
    return wrong('content_type', `The Content-Type is ${quote(type)}. Send JSON, as application/json.`);
  }
  let parsed = body;
  if (raw) {
    if (raw.length === 0) return wrong('missing', 'The body is empty. Send {"start_time", "end_time"}.');
    try {
      if (!isUtf8(raw)) throw new Error('it is not UTF-8');
      parsed = JSON.parse(raw.toString()) as unknown;
    } catch {
      return wrong('json_invalid', 'The body is not JSON.');
    }
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return wrong('object_type', `The body is ${quote(parsed)}. Send an object {"start_time", "end_time"}.`);
  }
  return parseRange(parsed, timeZone);
}

function parseRange(body: object, timeZone: string): RequestBody {
  const detail: JsonObject[] = [];
  const instant = (field: string): number => {
    const value: unknown = Reflect.get(body, field);
    try {
      const seconds = parseInstant(inMilliseconds(value), field, timeZone);
      if (seconds >= EARLIEST && seconds <= LATEST) return seconds;
      throw new TmError('TM_WINDOW_INVALID', `${field} is not within the years 1 to 9999: ${quote(value)}.`);
    } catch (thrown) {
      const type = value === undefined ? 'missing' : 'datetime_parsing';
      detail.push({ loc: ['body', field], msg: asTmError(thrown, 'TM_WINDOW_INVALID').message, type });
      return NaN;
    }
  };
  const start = instant('start_time');
  const end = instant('end_time');
  if (detail.length > 0) return { detail };
  if (start >= end) return wrong('value_error', 'end_time is not after start_time.', 'end_time');
  // Outwards, so that what was asked for is inside.
  return { range: { start: Math.floor(start), end: Math.ceil(end) } };
}

/** What was parsed before it came here may have come in pieces, or compressed: its length is not in the headers. */
function bytesOf(body: unknown): number {
  if (Buffer.isBuffer(body)) return body.length;
  try {
    return (JSON.stringify(body) as string | undefined)?.length ?? 0;
  } catch {
    // Not from HTTP: what it is will be said.
    return 0;
  }
}

function inMilliseconds(value: unknown): unknown {
  return typeof value === 'number' && Math.abs(value) <= LARGEST_SECONDS ? value * 1000 : value;
}

function wrong(type: string, msg: string, field?: string): RequestBody {
  return { detail: [{ loc: field === undefined ? ['body'] : ['body', field], msg, type }] };
}
