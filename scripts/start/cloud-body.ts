/** What the stand-in for the cloud takes as a body, checked strictly: a wrong one is answered with reasons. */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

const gunzipAsync = promisify(gunzip);

export type PostedValue = number | string | null;

export interface PostedReading {
  readonly sensor: string;
  /** As it was posted: ISO 8601 text, or milliseconds since 1970. */
  readonly timestamp: string | number;
  readonly value: PostedValue;
}

export interface PostedBody {
  readonly start_time: string;
  readonly end_time: string;
  readonly readings: readonly PostedReading[];
}

/** A body that is not taken; `status` and `reasons` are the answer. */
export class BodyRefused extends Error {
  constructor(
    readonly status: 400 | 413 | 415 | 422,
    readonly reasons: readonly string[],
  ) {
    super(reasons.join('; '));
  }
}

/** Reads to the end even what is too large, so that the client hears the answer instead of a broken pipe. */
export async function readRaw(request: IncomingMessage, largestBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= largestBytes) chunks.push(chunk);
  }
  if (bytes > largestBytes) throw tooLarge(bytes, largestBytes);
  return Buffer.concat(chunks);
}

export async function decodeBody(raw: Buffer, encoding: string, largestBytes: number): Promise<Buffer> {
  if (encoding === 'identity') return raw;
  if (encoding !== 'gzip')
    throw new BodyRefused(415, [`Content-Encoding ${JSON.stringify(encoding)} is not taken`]);
  try {
    return await gunzipAsync(raw, { maxOutputLength: largestBytes });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(undefined, largestBytes);
    throw new BodyRefused(400, ['the body is not gzip']);
  }
}

function tooLarge(bytes: number | undefined, largestBytes: number): BodyRefused {
  const size = bytes === undefined ? 'the body' : `${bytes} bytes`;
  return new BodyRefused(413, [`${size}: more than the ${largestBytes} bytes taken at once`]);
}

const MOST_REASONS = 10;

export function parseBody(body: Buffer): PostedBody {
  const text = body.toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BodyRefused(400, ['the body is not JSON']);
  }
  const reasons: string[] = [];
  const object = fieldsOf(json, ['start_time', 'end_time', 'data'], 'the body', reasons);
  const start = edge(object.get('start_time'), 'start_time', reasons);
  const end = edge(object.get('end_time'), 'end_time', reasons);
  if (start && end && start.zoned !== end.zoned) reasons.push('start_time and end_time differ in their zone');
  if (start && end && compareInstants(start, end) > 0) reasons.push('start_time is after end_time');
  const readings = new ReadingsCheck(start, end, reasons).check(object.get('data'));
  // JSON.parse keeps the last of two equal names: a sensor given twice would lose readings without a word.
  const written = (text.match(/"timestamp"\s*:(?!\s*\[)/g) ?? []).length;
  if (reasons.length === 0 && written !== readings.length) {
    reasons.push(`${written} readings are written but ${readings.length} are left: a sensor is there twice`);
  }
  if (reasons.length > 0) throw new BodyRefused(422, reasons.slice(0, MOST_REASONS));
  return { start_time: String(object.get('start_time')), end_time: String(object.get('end_time')), readings };
}

interface Instant {
  readonly seconds: number;
  /** Digits behind the point, without zeros at their end: any precision compares as text. */
  readonly fraction: string;
  readonly zoned: boolean;
}

const INSTANT = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})?$/;

function parseInstant(value: unknown): Instant | undefined {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) return undefined;
    const fraction = String(((value % 1000) + 1000) % 1000).padStart(3, '0');
    return { seconds: Math.floor(value / 1000), fraction: fraction.replace(/0+$/, ''), zoned: true };
  }
  const match = typeof value === 'string' ? INSTANT.exec(value) : null;
  if (!match) return undefined;
  const [, whole = '', fraction = '', zone] = match;
  const milliseconds = Date.parse(`${whole}${zone ?? 'Z'}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return { seconds: milliseconds / 1000, fraction: fraction.replace(/0+$/, ''), zoned: zone !== undefined };
}

function compareInstants(a: Instant, b: Instant): number {
  if (a.seconds !== b.seconds) return a.seconds - b.seconds;
  return a.fraction < b.fraction ? -1 : a.fraction > b.fraction ? 1 : 0;
}

/** Milliseconds since 1970 of a timestamp that was checked; naive ones are taken as UTC. */
export function millisecondsOf(timestamp: string | number): number {
  const instant = parseInstant(timestamp);
  return instant ? instant.seconds * 1000 + Math.floor(Number(`0.${instant.fraction}0`) * 1000) : 0;
}

function edge(value: unknown, name: string, reasons: string[]): Instant | undefined {
  const instant = typeof value === 'string' ? parseInstant(value) : undefined;
  if (!instant) reasons.push(`${name} is not an ISO 8601 time: ${excerpt(value)}`);
  return instant;
}

class ReadingsCheck {
  /** Most timestamps occur once for each sensor: each is looked at once. */
  readonly #inside = new Map<string | number, string>();

  constructor(
    readonly start: Instant | undefined,
    readonly end: Instant | undefined,
    readonly reasons: string[],
  ) {}

  check(data: unknown): PostedReading[] {
    if (typeof data !== 'object' || data === null || Array.isArray(data)) {
      this.reasons.push('data is not an object of sensors');
      return [];
    }
    const readings: PostedReading[] = [];
    for (const [sensor, entries] of Object.entries(data)) {
      const where = `data[${excerpt(sensor)}]`;
      if (!Array.isArray(entries) || entries.length === 0) {
        this.reasons.push(
          `${where} is ${Array.isArray(entries) ? 'an empty list' : 'not a list of readings'}`,
        );
        continue;
      }
      for (const [index, entry] of entries.entries()) {
        if (this.reasons.length >= MOST_REASONS) return readings;
        const reading = this.#reading(sensor, entry, `${where}[${index}]`);
        if (reading) readings.push(reading);
      }
    }
    return readings;
  }

  #reading(sensor: string, entry: unknown, where: string): PostedReading | undefined {
    const before = this.reasons.length;
    const fields = fieldsOf(entry, ['timestamp', 'value'], where, this.reasons);
    if (this.reasons.length > before) return undefined;
    const timestamp = fields.get('timestamp');
    const value = fields.get('value');
    if (typeof value !== 'number' && typeof value !== 'string' && value !== null) {
      this.reasons.push(`${where}.value is neither number, text nor null: ${excerpt(value)}`);
      return undefined;
    }
    if (typeof timestamp !== 'string' && typeof timestamp !== 'number') {
      this.reasons.push(`${where}.timestamp is not a time: ${excerpt(timestamp)}`);
      return undefined;
    }
    const wrong = this.#whyNotInside(timestamp);
    if (wrong !== '') {
      this.reasons.push(`${where}.timestamp ${wrong}: ${excerpt(timestamp)}`);
      return undefined;
    }
    return { sensor, timestamp, value };
  }

  #whyNotInside(timestamp: string | number): string {
    let wrong = this.#inside.get(timestamp);
    if (wrong === undefined) {
      wrong = this.#look(timestamp);
      this.#inside.set(timestamp, wrong);
    }
    return wrong;
  }

  #look(timestamp: string | number): string {
    const instant = parseInstant(timestamp);
    if (!instant) return 'is not an ISO 8601 time';
    if (!this.start || !this.end) return '';
    if (instant.zoned !== this.start.zoned) return 'and start_time differ in their zone';
    if (compareInstants(instant, this.start) < 0) return 'is before start_time';
    if (compareInstants(instant, this.end) >= 0) return 'is not before end_time';
    return '';
  }
}

/** The fields of an object that must have exactly these names. */
function fieldsOf(value: unknown, names: string[], what: string, reasons: string[]): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    reasons.push(`${what} is not an object`);
    return new Map();
  }
  const fields = new Map<string, unknown>(Object.entries(value));
  for (const name of names) if (!fields.has(name)) reasons.push(`${what} has no ${name}`);
  for (const name of fields.keys()) {
    if (!names.includes(name)) reasons.push(`${what} has a field ${excerpt(name)}`);
  }
  return fields;
}

function excerpt(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
