/**
 * The user's own table of bookmarks, such as the Python connector's `bookmarks(id, name, timestamp)`. Its
 * timestamps are read and written as text: a Date would be turned in this process's zone, and naive columns
 * take part in whatever zone the user names.
 */
import type { Knex } from 'knex';
import { TmError } from '../errors';
import { formatInstant, parseInstant, quote, type EpochSeconds } from '../window';
import { toLocal, toUtc } from '../zone';

export interface BookmarkTableSettings {
  /** `table` or `schema.table`, in the database's own upper and lower case. */
  readonly table: string;
  readonly nameColumn: string;
  readonly timestampColumn: string;
  /** Zone of a timestamp column without one. */
  readonly timeZone: string;
}

type ColumnKind = 'instant' | 'naive';

/** What makes a database print timestamps as ISO 8601, where that is a setting of the session. */
const PRINT_ISO: Readonly<Record<string, string>> = { postgresql: "set local datestyle to 'ISO, YMD'" };

export class BookmarkTable {
  #kind: ColumnKind | undefined;

  constructor(private readonly settings: BookmarkTableSettings) {}

  /** What the table shows for a bookmark; undefined where it has no row or no timestamp for it. */
  async read(transaction: Knex.Transaction, name: string): Promise<ShownPosition | undefined> {
    const { nameColumn, timestampColumn, timeZone } = this.settings;
    const kind = await this.#columnKind(transaction);
    const { dialect } = transaction.client as Knex.Client & { dialect: string };
    const printIso = PRINT_ISO[dialect];
    if (printIso !== undefined) await transaction.raw(printIso);
    const rows: { shown: string }[] = await this.#rows(transaction)
      .where(nameColumn, name)
      .whereNotNull(timestampColumn)
      .select({ shown: transaction.raw('cast(?? as char(40))', [timestampColumn]) });
    const positions = rows.map(({ shown }) => new ShownPosition(this.#parse(shown, name), kind, timeZone));
    // Of several rows of one name the oldest: at worst something is sent again.
    return positions.sort((a, b) => a.shown - b.shown)[0];
  }

  async write(transaction: Knex.Transaction, name: string, position: EpochSeconds): Promise<void> {
    const { nameColumn, timestampColumn } = this.settings;
    const timestamp = this.#format(position, await this.#columnKind(transaction));
    const updated: number = await this.#rows(transaction)
      .where(nameColumn, name)
      .update({ [timestampColumn]: timestamp });
    if (updated > 0) return;
    await this.#rows(transaction).insert({ [nameColumn]: name, [timestampColumn]: timestamp });
  }

  async remove(transaction: Knex.Transaction, name: string): Promise<void> {
    await this.#rows(transaction).where(this.settings.nameColumn, name).delete();
  }

  async names(transaction: Knex.Transaction): Promise<string[]> {
    const { nameColumn, timestampColumn } = this.settings;
    const rows: { name: unknown }[] = await this.#rows(transaction)
      .whereNotNull(timestampColumn)
      .select({ name: nameColumn });
    return rows.map(({ name }) => String(name));
  }

  #rows(transaction: Knex.Transaction): Knex.QueryBuilder {
    const parts = this.settings.table.split('.').map((part) => part.trim().replace(/^"(.*)"$/, '$1'));
    const table = parts.pop() ?? '';
    const query = transaction(table);
    return parts.length > 0 ? query.withSchema(parts.join('.')) : query;
  }

  /** Asked once: a column does not change its type behind a running flow. */
  async #columnKind(transaction: Knex.Transaction): Promise<ColumnKind> {
    this.#kind ??= this.#kindOf(await this.#rows(transaction).columnInfo());
    return this.#kind;
  }

  #kindOf(columns: Readonly<Record<string, { type: string } | undefined>>): ColumnKind {
    const { table, nameColumn, timestampColumn } = this.settings;
    const refuse = (what: string): TmError =>
      new TmError('TM_SETTING_INVALID', `bookmarkTable ${quote(table)} ${what}`);
    const names = Object.keys(columns);
    if (names.length === 0) throw refuse('was not found. Give its schema too, as in schema.table.');
    const has = `It has ${names.join(', ')}.`;
    const type = columns[timestampColumn]?.type.toLowerCase();
    if (type === undefined)
      throw refuse(`has no column ${quote(timestampColumn)} (bookmarkTimestampColumn). ${has}`);
    if (!columns[nameColumn]) throw refuse(`has no column ${quote(nameColumn)} (bookmarkNameColumn). ${has}`);
    if (/with time zone|timestamptz|datetimeoffset/.test(type)) return 'instant';
    if (/timestamp|datetime|char|text/.test(type)) return 'naive';
    throw refuse(`keeps ${quote(timestampColumn)} as ${type}, which cannot hold a date and time of day.`);
  }

  #format(position: EpochSeconds, kind: ColumnKind): string {
    const text = (seconds: number): string => formatInstant(seconds).replace('T', ' ').replace('Z', '');
    return kind === 'instant' ? `${text(position)}+00:00` : text(toLocal(position, this.settings.timeZone));
  }

  /** A naive text's wall clock is read as if it were UTC. A fraction is dropped: at worst it is sent again. */
  #parse(shown: string, name: string): number {
    try {
      return Math.floor(parseInstant(shown, 'The timestamp', 'UTC'));
    } catch (cause) {
      const { table, timestampColumn } = this.settings;
      throw new TmError(
        'TM_STATE_UNREADABLE',
        `${table}.${timestampColumn} of the bookmark ${quote(name)} is ${quote(shown.trim())}, not a date and time. Correct it there.`,
        { cause },
      );
    }
  }
}

/** A position as the table shows it: of a naive column, only its wall clock. */
export class ShownPosition {
  constructor(
    readonly shown: number,
    private readonly kind: ColumnKind,
    private readonly timeZone: string,
  ) {}

  get position(): EpochSeconds {
    return this.kind === 'instant' ? this.shown : toUtc(this.shown, this.timeZone);
  }

  /** Whether it is what the table shows after `position` was written; in a doubled hour two instants look alike. */
  isThatOf(position: EpochSeconds): boolean {
    return this.shown === (this.kind === 'instant' ? position : toLocal(position, this.timeZone));
  }
}
