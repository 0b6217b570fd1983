/**
 * PostgreSQL's COPY text format to a sink, without making strings: fields end in a tab, rows in a newline, `\N`
 * is NULL, and only a row with a backslash needs a second look.
 * Source: PostgreSQL documentation, COPY, "File Formats: Text Format".
 */
import { TmError } from '../errors';
import type { RowSink } from './rows';

const TAB = 9;
const NEWLINE = 10;
const BACKSLASH = 92;
const NULL_LETTER = 78;
const ESCAPES: Readonly<Record<string, number>> = { b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

export class CopyTextParser {
  #rest = Buffer.alloc(0);
  #starts = new Int32Array(16);
  #ends = new Int32Array(16);

  constructor(readonly sink: RowSink) {}

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
    let starts = this.#starts;
    let ends = this.#ends;
    let rowStart = from;
    let field = 0;
    let escaped = false;
    starts[0] = from;
    for (let at = from; at < length; at++) {
      const byte = chunk[at] ?? 0;
      if (byte > BACKSLASH) continue;
      if (byte === TAB) {
        ends[field++] = at;
        if (field === starts.length) {
          this.#widen();
          starts = this.#starts;
          ends = this.#ends;
        }
        starts[field] = at + 1;
      } else if (byte === BACKSLASH) {
        escaped = true;
      } else if (byte === NEWLINE) {
        ends[field] = at;
        if (escaped) this.#escapedRow(chunk, rowStart, at, field);
        else this.sink.row(chunk, starts, ends);
        rowStart = at + 1;
        starts[0] = rowStart;
        field = 0;
        escaped = false;
      }
    }
    return rowStart;
  }

  #escapedRow(chunk: Buffer, rowStart: number, rowEnd: number, lastField: number): void {
    const plain = Buffer.allocUnsafe(rowEnd - rowStart);
    let to = 0;
    for (let field = 0; field <= lastField; field++) {
      const start = this.#starts[field] ?? 0;
      const end = this.#ends[field] ?? 0;
      const isNull = end - start === 2 && chunk[start] === BACKSLASH && chunk[start + 1] === NULL_LETTER;
      this.#starts[field] = isNull ? -1 : to;
      if (!isNull) to = unescapeField(chunk, start, end, plain, to);
      this.#ends[field] = to;
    }
    this.sink.row(plain, this.#starts, this.#ends);
  }

  #widen(): void {
    const starts = new Int32Array(this.#starts.length * 2);
    const ends = new Int32Array(this.#ends.length * 2);
    starts.set(this.#starts);
    ends.set(this.#ends);
    this.#starts = starts;
    this.#ends = ends;
  }
}

/** @returns where the field ended in `plain` */
function unescapeField(chunk: Buffer, start: number, end: number, plain: Buffer, at: number): number {
  let to = at;
  for (let from = start; from < end; from++) {
    let byte = chunk[from] ?? 0;
    if (byte === BACKSLASH) {
      byte = chunk[++from] ?? BACKSLASH;
      byte = ESCAPES[String.fromCharCode(byte)] ?? byte;
    }
    plain[to++] = byte;
  }
  return to;
}
