/** What a column of time holds, found out from what is in it: for the types that do not say it. */
import { TmError } from '../errors';
import { isNumeric, type ColumnInfo, type EpochDigits, type TimeColumn } from './columns';
import type { Storage } from './dialect';
import type { Engine } from './engine';
import type { EpochUnit, ReadingsQuery } from './query';
import type { Bound } from './sql-text';
import type { Edges, Extreme, Statements } from './statements';
import {
  epochDigits,
  epochText,
  isTimeText,
  needsNewest,
  numberAsText,
  severalTypes,
  severalUnits,
  timeColumn,
} from './time-column';

/** Edges around all that a column of numbers, or of texts, may hold. */
export const ALL_NUMBERS: Edges = {
  start: { as: 'number', value: '0' },
  end: { as: 'number', value: '9000000000000000000' },
};
const ALL_TEXTS: Edges = {
  start: { as: 'text', value: '0001-01-01T00:00:00' },
  end: { as: 'text', value: '9999-12-31T23:59:59' },
};

/** Seconds of this century, or parts of them. */
const EPOCH_TEXT = /^1\d{9,18}(\.\d*)?$/;
/** Readings of plants that are not older: from 2000 on no number is of this century in two units. */
const FIRST_SECOND = 946_684_800;
const DAY_SECONDS = 86_400;

export class TimeProbe {
  constructor(
    readonly engine: Engine,
    readonly statements: Statements,
  ) {}

  /** Whether a column may hold something else by now than it held. */
  changes(column: ColumnInfo): boolean {
    return column.kind === 'mixed' && this.engine.dialect.storage !== undefined;
  }

  /**
   * @returns undefined where there is no row that would tell
   * @throws TmError TM_QUERY_COLUMNS where windows would find only some of its rows, or none
   */
  async time(query: ReadingsQuery, column: ColumnInfo, signal: AbortSignal): Promise<TimeColumn | undefined> {
    const { epochUnit } = query;
    if (!needsNewest(column, epochUnit)) return timeColumn(column, epochUnit, undefined);
    const { text, number, other } = await this.#newest(query, column, signal);
    // 0 and -1 stand for no time.
    if (this.changes(column) && text !== undefined && Number(number) > 0) {
      throw severalTypes(column, text, number ?? '');
    }
    if (text !== undefined) return timeColumn(column, epochUnit, text);
    if (number !== undefined) return this.#epoch(query, column, number, signal);
    // What is in it is no time: the error says so.
    return other === undefined ? undefined : timeColumn(column, epochUnit, other);
  }

  /** Of a time that is only posted each text may have a form of its own, and each value a type of its own. */
  async postedTime(
    query: ReadingsQuery,
    column: ColumnInfo,
    signal: AbortSignal,
  ): Promise<TimeColumn | undefined> {
    if (column.kind === 'text') return { kind: 'naive' };
    if (!this.changes(column)) return this.time(query, column, signal);
    const { number } = await this.#newest(query, column, signal);
    return number === undefined ? { kind: 'naive' } : this.#epoch(query, column, number, signal);
  }

  /**
   * The greatest or least of a column, as text.
   * @param edges what `:start_time` and `:end_time` of the user's own SQL are
   */
  async extreme(
    query: ReadingsQuery,
    column: ColumnInfo,
    of: Extreme & { readonly edges: Edges; readonly signal: AbortSignal },
  ): Promise<string | undefined> {
    const [row] = await this.engine.rows(this.statements.extreme(query, column, of.edges, of), of.signal);
    return row?.[0] ?? undefined;
  }

  /**
   * The newest time that is a text, and that is a number. Of a column that may hold both they are looked for before
   * each window: rows of the other type are in no window, and would be lost without a word.
   * @returns `other`: what there is besides, where there is neither
   */
  async #newest(
    query: ReadingsQuery,
    column: ColumnInfo,
    signal: AbortSignal,
  ): Promise<{ text?: string | undefined; number?: string | undefined; other?: string | undefined }> {
    const newest = (edges: Edges, of: Omit<Extreme, 'which'> = {}): Promise<string | undefined> =>
      this.extreme(query, column, { which: 'max', edges, signal, ...of });
    if (isNumeric(column)) return { number: await newest(ALL_NUMBERS) };
    if (this.changes(column)) {
      const digits = await newest(ALL_TEXTS, { stored: 'digits' });
      if (digits !== undefined && EPOCH_TEXT.test(digits)) throw numberAsText(column, digits);
      const text = await newest(ALL_TEXTS, { stored: 'times' });
      const number = await newest(ALL_NUMBERS, { stored: 'numbers' });
      return text === undefined && number === undefined
        ? { other: await newest(ALL_TEXTS) }
        : { text, number };
    }
    const text = await newest(ALL_TEXTS);
    if (text !== undefined && isTimeText(text)) return { text };
    if (column.kind === 'mixed') {
      const number = await newest(ALL_NUMBERS);
      if (number !== undefined && isFinite(Number(number))) return { number };
    }
    // What is no time may stand behind all times.
    return { text: text === undefined ? text : await newest(ALL_TEXTS, { dated: true }), other: text };
  }

  /**
   * The unit is that of the greatest number, unless it is of no time of this century: stand-ins such as the last
   * second of the year 9999 are greater than times in a finer unit.
   */
  async #epoch(
    query: ReadingsQuery,
    column: ColumnInfo,
    newest: string,
    signal: AbortSignal,
  ): Promise<TimeColumn> {
    if (query.epochUnit !== undefined) return timeColumn(column, query.epochUnit, newest);
    const greatest = epochDigits(Number(newest));
    const now = await this.#clock(signal);
    const stored: keyof Storage | undefined = this.changes(column) ? 'numbers' : undefined;
    const found: (readonly [unit: EpochUnit, number: string])[] = [];
    for (const [unit, digits] of UNITS) {
      // In a finer unit than the greatest number's there is none.
      if (digits > greatest) break;
      const bound = (seconds: number): Bound => ({ as: 'number', value: epochText(seconds, digits), column });
      const range = { from: bound(FIRST_SECOND), before: bound(Math.ceil(now) + DAY_SECONDS) };
      const number = await this.extreme(query, column, {
        ...{ which: 'max', edges: ALL_NUMBERS, signal, range },
        ...(stored === undefined ? {} : { stored }),
      });
      if (number !== undefined) found.push([unit, number]);
    }
    const [one, another] = found;
    if (one && another) throw severalUnits(column, one[1], another[1]);
    return timeColumn(column, one?.[0], newest);
  }

  async #clock(signal: AbortSignal): Promise<number> {
    const [row] = await this.engine.rows({ texts: [this.engine.dialect.clock], bounds: [] }, signal);
    const seconds = Number(row?.[0]);
    if (Number.isFinite(seconds) && seconds > 0) return seconds;
    throw new TmError('TM_QUERY_FAILED', 'The database does not tell the time.');
  }
}

const UNITS: readonly (readonly [unit: EpochUnit, digits: EpochDigits])[] = [
  ['s', 0],
  ['ms', 3],
  ['us', 6],
  ['ns', 9],
];
