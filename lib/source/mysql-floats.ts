/** Rows on their way to a sink, with floats that were selected as doubles written as the floats that they are. */
import { CellRows, type Cell } from './cells';
import { float32Text } from './float32';
import type { RowSink } from './rows';

/** @param floats their fields among so many */
export function float32Rows(sink: RowSink, width: number, floats: readonly number[]): RowSink {
  const rows = new CellRows(sink, width);
  const cells = new Array<Cell>(width).fill(null);
  const isFloat = new Set(floats);
  return {
    row: (bytes, starts, ends) => {
      for (let field = 0; field < width; field++) {
        const start = starts[field] ?? -1;
        const end = ends[field] ?? -1;
        if (start < 0) cells[field] = null;
        else if (isFloat.has(field)) cells[field] = float32Text(bytes.toString('latin1', start, end));
        else cells[field] = bytes.subarray(start, end);
      }
      rows.row(cells);
    },
  };
}
