/**
 * State in a database, through knex: one row for each bookmark and each task in the table `tm_state`, made on
 * first use. Where the user names their own table of bookmarks, a bookmark's position lives there, and only
 * the rest here.
 */
import { setTimeout } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import type { Knex } from 'knex';
import { reasonOf, TmError, type TmErrorCode } from '../errors';
import type { DatabaseAddress } from '../database-url';
import { formatInstant, parseInstant, type EpochSeconds } from '../window';
import { BookmarkTable, type BookmarkTableSettings } from './bookmark-table';
import { openKnex } from './database-connection';
import { decodeName, encodeName } from './file-name';
import { codeOf } from './files';
import { RecordTurns } from './record-turns';
import { changed, type Change, type JsonObject, type StateKind, type StateStore } from './store';

export interface DatabaseStoreOptions {
  readonly bookmarkTable?: BookmarkTableSettings | undefined;
}

interface Row {
  readonly kind: string;
  /** Encoded as a file's name is: some databases take "A" and "a ", "a" for the same key. */
  readonly name: string;
  readonly record: string;
  readonly updated_at: string;
}

const TABLE = 'tm_state';
/** In which the driver notices that a connection is cut, so that it is not taken from the pool again. */
const NOTICE_MS = 100;

export class DatabaseStore implements StateStore {
  onWarning: ((message: string) => void) | undefined;

  readonly #knex: Knex;
  readonly #bookmarks: BookmarkTable | undefined;
  readonly #turns = new Map<string, RecordTurns<JsonObject | undefined>>();
  #table: Promise<void> | undefined;

  /** Opens no connection before it is used. */
  static connect(
    address: DatabaseAddress,
    options: DatabaseStoreOptions & { readonly tls?: ConnectionOptions | undefined } = {},
  ): DatabaseStore {
    return new DatabaseStore(openKnex(address, options.tls), options);
  }

  /** The store owns `knex` and ends it on close. */
  constructor(knex: Knex, options: DatabaseStoreOptions = {}) {
    this.#knex = knex;
    this.#bookmarks = options.bookmarkTable && new BookmarkTable(options.bookmarkTable);
  }

  async read(kind: StateKind, name: string): Promise<JsonObject | undefined> {
    return this.#inTurn(kind, name, (turns) =>
      turns.take(() => {
        if (kind === 'bookmark' && this.#bookmarks) {
          // Both tables as of one moment: another process's commit between them would look like a bookmark that
          // was moved by hand.
          return this.#ask(
            'TM_STATE_UNREADABLE',
            async (transaction) =>
              this.#recordOf(transaction, kind, name, await rowOf(transaction, kind, name)),
            { isolationLevel: 'repeatable read' },
          );
        }
        // One statement needs no transaction: machines that share a queue look before and after each window.
        return this.#twice('TM_STATE_UNREADABLE', async () => {
          const row = await rowOf(this.#knex, kind, name);
          return row && parseRecord(row.record, kind, name);
        });
      }),
    );
  }

  /**
   * The row is locked from reading to writing. Where there is none yet, the slower of two that make it fails on
   * the key, and changes what it finds then.
   */
  async update(kind: StateKind, name: string, change: Change): Promise<void> {
    return this.#inTurn(kind, name, (turns) =>
      turns.take(() =>
        this.#ask('TM_STATE_WRITE', async (transaction) => {
          const row = await rowOf(transaction, kind, name, 'locked');
          const next = changed(await this.#recordOf(transaction, kind, name, row), change);
          if (!next) return;
          // A row that another process has made meanwhile was not read, and must not be written over.
          if (row) await transaction<Row>(TABLE).where(keyOf(kind, name)).update(contentOf(next));
          else await transaction<Row>(TABLE).insert({ ...keyOf(kind, name), ...contentOf(next) });
          await this.#showPosition(transaction, kind, name, next);
        }),
      ),
    );
  }

  async write(kind: StateKind, name: string, record: JsonObject): Promise<void> {
    return this.#inTurn(kind, name, (turns) => turns.write(structuredClone(record)));
  }

  async remove(kind: StateKind, name: string): Promise<void> {
    return this.#inTurn(kind, name, (turns) => turns.write(undefined));
  }

  async list(kind: StateKind): Promise<string[]> {
    return this.#ask('TM_STATE_UNREADABLE', async (transaction) => {
      const rows = await transaction<Row>(TABLE).where({ kind }).select('name');
      const names = rows.flatMap((row) => decodeName(row.name) ?? []);
      if (kind === 'bookmark' && this.#bookmarks) names.push(...(await this.#bookmarks.names(transaction)));
      return [...new Set(names)];
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#turns.values()].map((turns) => turns.settled()));
    await this.#knex.destroy();
  }

  async #inTurn<Result>(
    kind: StateKind,
    name: string,
    act: (turns: RecordTurns<JsonObject | undefined>) => Promise<Result>,
  ): Promise<Result> {
    const key = `${kind}/${encodeName(name)}`;
    const turns =
      this.#turns.get(key) ??
      new RecordTurns((record: JsonObject | undefined) =>
        this.#ask('TM_STATE_WRITE', (transaction) => this.#put(transaction, kind, name, record)),
      );
    this.#turns.set(key, turns);
    try {
      return await act(turns);
    } finally {
      if (turns.idle) this.#turns.delete(key);
    }
  }

  /** With the position that the user's table shows, where there is one. */
  async #recordOf(
    transaction: Knex.Transaction,
    kind: StateKind,
    name: string,
    row: Pick<Row, 'record'> | undefined,
  ): Promise<JsonObject | undefined> {
    const record = row && parseRecord(row.record, kind, name);
    if (kind !== 'bookmark' || !this.#bookmarks) return record;
    const shown = await this.#bookmarks.read(transaction, name);
    if (!shown) {
      if (record?.position != null) {
        this.onWarning?.(
          `The bookmark "${name}" is gone from the bookmark table; its last position known is used.`,
        );
      }
      return record;
    }
    const remembered = positionOf(record);
    if (record && remembered !== undefined && shown.isThatOf(remembered)) return record;
    // Moved by hand, or by another program: what was under way belongs to another past.
    const { issued: _issued, ahead: _ahead, origin: _origin, ...rest } = record ?? {};
    return { ...rest, position: formatInstant(shown.position) };
  }

  async #put(
    transaction: Knex.Transaction,
    kind: StateKind,
    name: string,
    record: JsonObject | undefined,
  ): Promise<void> {
    const key = keyOf(kind, name);
    if (record === undefined) {
      await transaction<Row>(TABLE).where(key).delete();
      if (kind === 'bookmark') await this.#bookmarks?.remove(transaction, name);
      return;
    }
    const updated = await transaction<Row>(TABLE).where(key).update(contentOf(record));
    if (updated === 0) await transaction<Row>(TABLE).insert({ ...key, ...contentOf(record) });
    await this.#showPosition(transaction, kind, name, record);
  }

  /** In the user's own table, where there is one. */
  async #showPosition(
    transaction: Knex.Transaction,
    kind: StateKind,
    name: string,
    record: JsonObject,
  ): Promise<void> {
    const position = positionOf(record);
    if (kind === 'bookmark' && position !== undefined)
      await this.#bookmarks?.write(transaction, name, position);
  }

  /** In one transaction. */
  #ask<Result>(
    code: TmErrorCode,
    work: (transaction: Knex.Transaction) => Promise<Result>,
    config: Knex.TransactionConfig = {},
  ): Promise<Result> {
    return this.#twice(code, () => this.#knex.transaction(work, config));
  }

  /**
   * Once again where it failed: another process may have made the same row meanwhile, a restarted database has
   * cut the pooled connections. Everything here can be done twice.
   */
  async #twice<Result>(code: TmErrorCode, work: () => Promise<Result>): Promise<Result> {
    const once = async (): Promise<Result> => {
      await this.#ready();
      return work();
    };
    try {
      return await once().catch(async (error: unknown) => {
        if (error instanceof TmError) throw error;
        this.#table = undefined;
        await setTimeout(NOTICE_MS);
        return once();
      });
    } catch (error) {
      throw databaseError(code, error);
    }
  }

  #ready(): Promise<void> {
    this.#table ??= this.#makeTable().catch((error: unknown) => {
      this.#table = undefined;
      throw error;
    });
    return this.#table;
  }

  /** An administrator may have made it beforehand, for an account that may not. */
  async #makeTable(): Promise<void> {
    if (await this.#knex.schema.hasTable(TABLE)) return;
    try {
      await this.#knex.schema.createTable(TABLE, (table) => {
        table.string('kind', 16).notNullable();
        table.string('name', 255).notNullable();
        table.text('record', 'longtext').notNullable();
        table.string('updated_at', 30).notNullable();
        table.primary(['kind', 'name']);
      });
    } catch (error) {
      // Made by another process meanwhile.
      if (!(await this.#knex.schema.hasTable(TABLE))) throw error;
    }
  }
}

function keyOf(kind: StateKind, name: string): Pick<Row, 'kind' | 'name'> {
  return { kind, name: encodeName(name) };
}

function contentOf(record: JsonObject): Pick<Row, 'record' | 'updated_at'> {
  return { record: JSON.stringify(record), updated_at: new Date().toISOString() };
}

async function rowOf(
  knex: Knex,
  kind: StateKind,
  name: string,
  locked?: 'locked',
): Promise<Pick<Row, 'record'> | undefined> {
  const query = knex<Row>(TABLE).where(keyOf(kind, name));
  return (locked ? query.forUpdate() : query).first('record');
}

function positionOf(record: JsonObject | undefined): EpochSeconds | undefined {
  return typeof record?.position === 'string' ? parseInstant(record.position, 'position', 'UTC') : undefined;
}

function parseRecord(text: string, kind: StateKind, name: string): JsonObject {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    record = undefined;
  }
  if (typeof record === 'object' && record !== null && !Array.isArray(record)) return record as JsonObject;
  throw new TmError(
    'TM_STATE_UNREADABLE',
    `The ${kind} "${name}" in the table ${TABLE} is not a JSON object. Correct its row, or delete it to start afresh.`,
  );
}

/** The driver's words without knex's SQL before them, and without the driver's error: it may hold the address. */
function databaseError(code: TmErrorCode, thrown: unknown): TmError {
  if (thrown instanceof TmError) return thrown;
  const reason = reasonOf(thrown).split(' - ').at(-1) ?? '';
  const errorCode = codeOf(thrown);
  const what = code === 'TM_STATE_WRITE' ? 'State could not be written to' : 'State could not be read from';
  return new TmError(
    code,
    `${what} the state database: ${reason}${errorCode === '' || reason.includes(errorCode) ? '' : ` (${errorCode})`}. Until then nothing moves on.`,
  );
}
