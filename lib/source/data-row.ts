/**
 * The hot loop of a read from PostgreSQL: DataRow messages, one behind the other in a chunk of the connection, to
 * a sink, without making a string or an object per row.
 * Source: PostgreSQL documentation, "Message Formats", DataRow.
 */
import type { RowSink } from './rows';

export const DATA_ROW = 68; // D
/** Its type, its length and the number of its fields. */
const HEADER_BYTES = 7;

export class DataRowReader {
  readonly #columns: number;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #count = 0;

  constructor(
    readonly sink: RowSink,
    columns: number,
  ) {
    this.#columns = columns;
    this.#starts = new Int32Array(columns);
    this.#ends = new Int32Array(columns);
  }

  /** Rows handed on so far. */
  get count(): number {
    return this.#count;
  }

  /**
   * Hands on the rows from `from` on.
   * @returns where the first message begins that is another one, or is not there as a whole
   * @throws RangeError where the bytes are no DataRow of that many columns; what the sink throws
   */
  read(bytes: Buffer, from: number): number {
    const { length } = bytes;
    const columns = this.#columns;
    const starts = this.#starts;
    const ends = this.#ends;
    let at = from;
    while (length - at >= HEADER_BYTES && bytes[at] === DATA_ROW) {
      const end = at + 1 + int32(bytes, at + 1);
      if (end > length) break;
      let field = at + HEADER_BYTES;
      for (let column = 0; column < columns; column++) {
        const size = int32(bytes, field);
        field += 4;
        if (size < 0) {
          starts[column] = -1;
          ends[column] = -1;
        } else {
          starts[column] = field;
          field += size;
          ends[column] = field;
        }
      }
      if (field !== end) throw new RangeError('A row of the result has another form than was announced.');
      this.sink.row(bytes, starts, ends);
      this.#count++;
      at = end;
    }
    return at;
  }
}

export function int32(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)
  );
}
