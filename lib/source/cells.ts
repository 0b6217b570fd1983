/** Rows of a driver that gives each cell as a JS value, written into one buffer that is used again for each row. */
import type { RowSink } from './rows';

export type Cell = string | number | bigint | boolean | Buffer | null | undefined;

export class CellRows {
  #bytes = Buffer.allocUnsafe(4096);
  #length = 0;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;

  constructor(
    readonly sink: RowSink,
    readonly width: number,
  ) {
    this.#starts = new Int32Array(width);
    this.#ends = new Int32Array(width);
  }

  row(cells: readonly Cell[]): void {
    this.#length = 0;
    for (let field = 0; field < this.width; field++) {
      const cell = cells[field];
      this.#starts[field] = cell === null || cell === undefined ? -1 : this.#length;
      if (cell !== null && cell !== undefined) this.#write(cell);
      this.#ends[field] = this.#length;
    }
    this.sink.row(this.#bytes, this.#starts, this.#ends);
  }

  #write(cell: NonNullable<Cell>): void {
    if (Buffer.isBuffer(cell)) {
      this.#reserve(cell.length);
      this.#length += cell.copy(this.#bytes, this.#length);
      return;
    }
    const text = typeof cell === 'string' ? cell : String(cell);
    // UTF-8 has at most three bytes for a code unit of UTF-16.
    this.#reserve(text.length * 3);
    this.#length += this.#bytes.write(text, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + more));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** A few rows, kept to be handed on in another order. */
export class RowsInHand implements RowSink {
  readonly #rows: (readonly Cell[])[] = [];

  row(bytes: Buffer, starts: Int32Array, ends: Int32Array): void {
    this.#rows.push(
      Array.from(starts, (start, field) =>
        start < 0 ? null : Buffer.from(bytes.subarray(start, ends[field])),
      ),
    );
  }

  lastFirst(into: CellRows): void {
    for (const row of this.#rows.toReversed()) into.row(row);
  }
}
