/**
 * Rows of JS values on their way from one process to another: texts in one piece, which is far quicker to make than a
 * piece for each, and their lengths.
 */
import { countAsYoung } from '../young-memory';
import type { Cell } from './cells';
import type { RowSink } from './rows';
import type { CellChunk } from './sqlite-messages';

export class CellChunkWriter {
  #texts: string[] = [];
  #lengths: number[] = [];
  #length = 0;

  /** In characters. */
  get length(): number {
    return this.#length;
  }

  add(cells: readonly Cell[]): void {
    for (const cell of cells) {
      if (cell === null || cell === undefined) {
        this.#lengths.push(-1);
        continue;
      }
      const text = cellText(cell);
      this.#texts.push(text);
      this.#lengths.push(text.length);
      this.#length += text.length;
    }
  }

  /** What was added since it was last taken. */
  take(): CellChunk {
    const bytes = Buffer.from(this.#texts.join(''));
    // Characters are bytes, unless one of them is not of ASCII.
    if (bytes.length !== this.#length) {
      let text = 0;
      this.#lengths = this.#lengths.map((length) =>
        length < 0 ? length : Buffer.byteLength(this.#texts[text++] ?? ''),
      );
    }
    const lengths = Int32Array.from(this.#lengths);
    this.#texts = [];
    this.#lengths = [];
    this.#length = 0;
    return { bytes, lengths };
  }
}

export function readChunk({ bytes, lengths }: CellChunk, columns: number, sink: RowSink): void {
  // What came from the other process was in a buffer twice: in the pieces that were read, and in one.
  countAsYoung(2 * (bytes.byteLength + lengths.byteLength));
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts = new Int32Array(columns);
  const ends = new Int32Array(columns);
  let at = 0;
  for (let cell = 0; cell < lengths.length;) {
    for (let column = 0; column < columns; column++) {
      const length = lengths[cell++] ?? -1;
      starts[column] = length < 0 ? -1 : at;
      if (length > 0) at += length;
      ends[column] = at;
    }
    sink.row(buffer, starts, ends);
  }
}

/** Bytes as PostgreSQL writes them. */
function cellText(cell: NonNullable<Cell>): string {
  if (typeof cell === 'string') return cell;
  // A double of so many digits is told from an integer by its exponent.
  if (typeof cell === 'number' && Math.abs(cell) > Number.MAX_SAFE_INTEGER) return cell.toExponential();
  return Buffer.isBuffer(cell) ? `\\x${cell.toString('hex')}` : String(cell);
}
