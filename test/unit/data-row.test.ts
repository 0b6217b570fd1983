import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DataRowReader } from '../../lib/source/data-row';
import type { RowSink } from '../../lib/source/rows';

type Row = (Buffer | null)[];

/** DataRow as the protocol's documentation has it. */
function dataRow(row: Row): Buffer {
  const fields = row.map((field) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(field?.length ?? -1);
    return Buffer.concat([length, field ?? Buffer.alloc(0)]);
  });
  const head = Buffer.alloc(7);
  const body = Buffer.concat(fields);
  head.write('D');
  head.writeInt32BE(6 + body.length, 1);
  head.writeInt16BE(row.length, 5);
  return Buffer.concat([head, body]);
}

class Collected implements RowSink {
  readonly rows: Row[] = [];

  row(bytes: Buffer, starts: Int32Array, ends: Int32Array): void {
    this.rows.push(
      Array.from(starts, (start, column) =>
        start < 0 ? null : Buffer.from(bytes.subarray(start, ends[column])),
      ),
    );
  }
}

const field = fc.option(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)));
const table = fc
  .integer({ min: 0, max: 5 })
  .chain((columns) =>
    fc.array(fc.array(field, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 20 }),
  );

describe('The bytes of a PostgreSQL row', () => {
  it('come out as they went in, NULL and empty told apart', () => {
    fc.assert(
      fc.property(table, (rows) => {
        const sink = new Collected();
        const reader = new DataRowReader(sink, rows[0]?.length ?? 0);
        const bytes = Buffer.concat(rows.map(dataRow));
        assert.equal(reader.read(bytes, 0), bytes.length);
        assert.deepEqual(sink.rows, rows);
        assert.equal(reader.count, rows.length);
      }),
    );
  });

  it('are left where the chunk ends before the row does', () => {
    fc.assert(
      fc.property(table, fc.nat(), (rows, cut) => {
        const bytes = Buffer.concat(rows.map(dataRow));
        const part = bytes.subarray(0, cut % bytes.length);
        const sink = new Collected();
        const at = new DataRowReader(sink, rows[0]?.length ?? 0).read(part, 0);
        assert.equal(at, Buffer.concat(rows.slice(0, sink.rows.length).map(dataRow)).length);
        assert.deepEqual(sink.rows, rows.slice(0, sink.rows.length));
        assert(at + dataRow(rows[sink.rows.length] ?? []).length > part.length, 'a whole row was left');
      }),
    );
  });

  it('end at a message of another kind', () => {
    const row = dataRow([Buffer.from('1')]);
    const bytes = Buffer.concat([row, Buffer.from('C\0\0\0\x0dSELECT 1\0'), row]);
    const sink = new Collected();
    assert.equal(new DataRowReader(sink, 1).read(bytes, 0), row.length);
    assert.equal(sink.rows.length, 1);
  });

  for (const [what, row] of [
    ['more columns than announced', dataRow([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')])],
    ['fewer columns than announced', dataRow([Buffer.from('a')])],
  ] as const) {
    it(`are refused with ${what}`, () => {
      const reader = new DataRowReader(new Collected(), 2);
      assert.throws(() => reader.read(Buffer.concat([row, Buffer.alloc(100)]), 0), RangeError);
    });
  }
});
