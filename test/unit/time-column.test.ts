import assert from 'node:assert/strict';
import { BatchBuilder } from '../../lib/batch';
import { CellRows } from '../../lib/source/cells';
import type { ColumnInfo } from '../../lib/source/columns';
import { edgeBound, timeColumn } from '../../lib/source/time-column';
import { longPlan } from '../support/reading-plan';

const text: ColumnInfo = { name: 'at', type: 'text', kind: 'text' };
const number: ColumnInfo = { name: 'at', type: 'bigint', kind: 'integer' };
const START = Date.parse('2026-01-01T00:00:00Z') / 1000;

describe('Columns of time', () => {
  it('of numbers are seconds or parts of them, as the newest looks, unless it is said', () => {
    const digits = (newest: string, unit?: 's' | 'ms'): number => {
      const time = timeColumn(number, unit, newest);
      assert(time.kind === 'epoch');
      return time.digits;
    };
    assert.deepEqual(
      ['1767225600', '1767225600000', '1767225600000000', '1767225600000000000'].map((newest) =>
        digits(newest),
      ),
      [0, 3, 6, 9],
    );
    assert.equal(digits('86400', 'ms'), 3);
    assert.equal(digits('1767225600000', 's'), 0);
  });

  it('of text have edges that no fraction and no offset puts on the wrong side', () => {
    for (const [newest, before, at] of [
      ['2026-01-01T00:00:00Z', '2025-12-31T23:59:59.999Z', '2026-01-01T00:00:00.001Z'],
      ['2026-01-01 00:00:00', '2025-12-31 23:59:59.9', '2026-01-01 00:00:00'],
      ['2026-01-01T05:30:00+05:30', '2026-01-01T05:29:59+05:30', '2026-01-01T05:30:00.5+05:30'],
      ['2026-01-01T00:00Z', '2025-12-31T23:59Z', '2026-01-01T00:00Z'],
      ['2026-01-01', '2025-12-31', '2026-01-01'],
    ] as const) {
      const { value } = edgeBound(START, timeColumn(text, undefined, newest), 'UTC', text);
      assert(typeof value === 'string' && before < value && at >= value, `${before} ${String(value)} ${at}`);
    }
    // A minute's text is of its beginning: an edge within it leaves it to the window before.
    const { value } = edgeBound(START + 1, timeColumn(text, undefined, '2026-01-01T00:00Z'), 'UTC', text);
    assert.equal(value, '2026-01-01T00:01');
  });

  it('of text in several forms are refused: they have no order, and some would be in no window', () => {
    const time = timeColumn(text, undefined, '2026-01-01T00:00:00Z');
    for (const other of [
      '2026-01-01T00:00:01,5Z',
      '2026-01-01T00:00:01 UTC',
      '2026-01-01 00:00:00Z',
      '2026-01-01T00:00:00',
      '2026-01-01T00:00:00+01:00',
      '2026-01-01',
    ]) {
      const field = { field: 0, time };
      const builder = new BatchBuilder(
        {
          window: { start: START, end: START + 60 },
          timeZone: 'UTC',
          timestampFormat: 'iso',
          readingsPerBatch: 10,
          nullValues: 'null',
          maxBytes: 1e6,
        },
        { ...longPlan('number'), order: field, timestamp: field },
      );
      const rows = new CellRows(builder, 3);
      rows.row(['2026-01-01T00:00:00.5Z', 'a', '1']);
      assert.throws(
        () => {
          rows.row([other, 'a', '2']);
        },
        { code: 'TM_QUERY_COLUMNS', message: /different forms/ },
      );
    }
  });

  it('of anything else are refused, and what is in them is said', () => {
    assert.throws(() => timeColumn(text, undefined, 'soon'), {
      code: 'TM_QUERY_COLUMNS',
      message: /"at" is text; it holds "soon"/,
    });
    const flag: ColumnInfo = { name: 'ok', type: 'boolean', kind: 'boolean' };
    assert.throws(() => timeColumn(flag, undefined, undefined), { code: 'TM_QUERY_COLUMNS' });
  });
});
