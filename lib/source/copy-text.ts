/**
 * PostgreSQL's COPY text format (rows of timestamp, sensor, value) to a sink, without making strings: fields end
 * in a tab, rows in a newline, `\N` is NULL, and only a row with a backslash needs a second look.
 * Source: PostgreSQL documentation, COPY, "File Formats: Text Format".
 */
import { TmError } from '../errors';
import type { ReadingSink } from './columns';

const TAB = 9;
const NEWLINE = 10;
const BACKSLASH = 92;
const NULL_LETTER = 78;
const EMPTY = Buffer.alloc(0);
const ESCAPES: Readonly<Record<string, number>> = { b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

export class CopyTextParser {
  #rest = Buffer.alloc(0);

  constructor(readonly sink: ReadingSink) {}

  push(chunk: Buffer): void {
    let start = 0;
    if (this.#rest.length > 0) {
      const end = chunk.indexOf(NEWLINE);
      if (end < 0) {
        this.#rest = Buffer.concat([this.#rest, chunk]);
        return;
      }
      const row = Buffer.concat([this.#rest, chunk.subarray(0, end + 1)]);
      this.#rest = Buffer.alloc(0);
      this.#rows(row, 0);
      start = end + 1;
    }
    const parsed = this.#rows(chunk, start);
    // A copy: the rest must not keep the driver's whole buffer alive, nor change with it.
    if (parsed < chunk.length) this.#rest = Buffer.from(chunk.subarray(parsed));
  }

  /** @throws TmError where the stream ended inside a row: it was cut off, not finished */
  end(): void {
    if (this.#rest.length > 0) {
      throw new TmError('TM_DATABASE_UNREACHABLE', 'The result broke off in the middle of a row.');
    }
  }

  /** @returns where the last complete row ended */
  #rows(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let rowStart = from;
    let firstTab = -1;
    let secondTab = -1;
    let escaped = false;
    for (let at = from; at < length; at++) {
      const byte = chunk[at] ?? 0;
      if (byte > BACKSLASH) continue;
      if (byte === TAB) {
        if (firstTab < 0) firstTab = at;
        else secondTab = at;
      } else if (byte === BACKSLASH) {
        escaped = true;
      } else if (byte === NEWLINE) {
        if (escaped) this.#escapedRow(chunk, rowStart, firstTab, secondTab, at);
        else this.sink.add(chunk, rowStart, firstTab, firstTab + 1, secondTab, secondTab + 1, at);
        rowStart = at + 1;
        firstTab = secondTab = -1;
        escaped = false;
      }
    }
    return rowStart;
  }

  #escapedRow(chunk: Buffer, start: number, firstTab: number, secondTab: number, end: number): void {
    const timestamp = chunk.subarray(start, firstTab);
    const sensor = unescapeField(chunk, firstTab + 1, secondTab);
    const value = unescapeField(chunk, secondTab + 1, end);
    const row = Buffer.concat([timestamp, sensor ?? EMPTY, value ?? EMPTY]);
    const sensorEnd = timestamp.length + (sensor?.length ?? 0);
    this.sink.add(
      row,
      0,
      timestamp.length,
      sensor === undefined ? -1 : timestamp.length,
      sensorEnd,
      value === undefined ? -1 : sensorEnd,
      row.length,
    );
  }
}

/** @returns undefined for NULL */
function unescapeField(chunk: Buffer, start: number, end: number): Buffer | undefined {
  if (end - start === 2 && chunk[start] === BACKSLASH && chunk[start + 1] === NULL_LETTER) return undefined;
  const plain = Buffer.allocUnsafe(end - start);
  let to = 0;
  for (let at = start; at < end; at++) {
    let byte = chunk[at] ?? 0;
    if (byte === BACKSLASH) {
      byte = chunk[++at] ?? BACKSLASH;
      byte = ESCAPES[String.fromCharCode(byte)] ?? byte;
    }
    plain[to++] = byte;
  }
  return plain.subarray(0, to);
}
