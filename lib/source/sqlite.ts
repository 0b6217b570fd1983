/**
 * SQLite: a file, opened read-only in processes of its own. What takes too long, or is not wanted any more, ends with
 * its process.
 */
import { TmError } from '../errors';
import { orAborted, settlesWithin } from '../signals';
import { Turns } from '../turns';
import type { ColumnInfo } from './columns';
import { checkColumns, type Cells, type Engine, type StreamOptions } from './engine';
import type { EngineSettings } from './engine-settings';
import type { TableInfo } from './source';
import { sqliteTable, sqliteTables, type Catalog } from './sqlite-catalog';
import { sqliteColumn, sqliteDialect, sqliteStatement } from './sqlite-dialect';
import { SqliteError, sqliteError } from './sqlite-error';
import { SqliteReader } from './sqlite-reader';
import { TimeLimit } from './time-limit';
import { sql, type Sql } from './sql-text';

const IDLE_MS = 60_000;
/** For processes to be gone, and their locks with them. */
const GOODBYE_MS = 2_000;

export class SqliteEngine implements Engine {
  readonly dialect = sqliteDialect;
  readonly poolSize: number;
  readonly error = sqliteError;
  readonly #file: string;
  readonly #timeoutSeconds: number;
  readonly #turns: Turns;
  /** Those that wait for the next statement, the one used last at the end. */
  readonly #idle: SqliteReader[] = [];
  readonly #timers = new Map<SqliteReader, NodeJS.Timeout>();
  readonly #ending = new Set<Promise<void>>();
  #closed = false;

  constructor({ address, poolSize, statementTimeoutSeconds }: EngineSettings) {
    this.#file = address.database;
    this.poolSize = poolSize;
    this.#timeoutSeconds = statementTimeoutSeconds;
    this.#turns = new Turns(poolSize);
  }

  rows(statement: Sql, signal: AbortSignal): Promise<Cells[]> {
    return this.#run(signal, (reader) => rowsOf(reader, statement));
  }

  /**
   * By the number that SQLite changes when another connection has committed, of data and of the schema ("PRAGMA
   * data_version"). It can only be compared within one connection, which is a reader's; that writes nothing itself.
   */
  state(signal: AbortSignal): Promise<string | undefined> {
    return this.#run(signal, async (reader) => {
      const [[version] = []] = await rowsOf(reader, sql`SELECT data_version FROM pragma_data_version`);
      return version === undefined || version === null ? undefined : `${reader.id} ${version}`;
    });
  }

  describe(statement: Sql, signal: AbortSignal): Promise<ColumnInfo[]> {
    return this.#run(signal, (reader) => describe(reader, statement));
  }

  stream(statement: Sql, { columns, sink, drain, signal }: StreamOptions): Promise<void> {
    return this.#run(signal, (reader, limit) =>
      reader.read(sqliteStatement(statement), {
        columns: (given) => {
          checkColumns(columns, given.map(sqliteColumn));
          return sink;
        },
        drain: () => {
          const busy = drain();
          return busy && limit.pausedDuring(orAborted(busy, signal));
        },
      }),
    );
  }

  tables(signal: AbortSignal): Promise<string[]> {
    return this.#run(signal, (reader) => sqliteTables(catalogOver(reader)));
  }

  table(parts: readonly string[], signal: AbortSignal): Promise<TableInfo> {
    return this.#run(signal, (reader) => sqliteTable(catalogOver(reader), parts));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const reader of this.#idle.splice(0)) this.#drop(reader);
    await settlesWithin(GOODBYE_MS, Promise.all(this.#ending));
  }

  #run<Result>(
    signal: AbortSignal,
    work: (reader: SqliteReader, limit: TimeLimit) => Promise<Result>,
  ): Promise<Result> {
    return this.#turns.run(signal, async () => {
      const reader = await this.#reader(signal);
      const abort = (): void => {
        this.#end(reader, signal.reason as Error);
      };
      signal.addEventListener('abort', abort, { once: true });
      const limit = new TimeLimit(this.#timeoutSeconds * 1000, () => {
        this.#end(
          reader,
          new TmError(
            'TM_QUERY_TIMEOUT',
            `The query took longer than the statement timeout of ${this.#timeoutSeconds} s. Is there an index on the timestamp column?`,
          ),
        );
      });
      try {
        signal.throwIfAborted();
        const result = await work(reader, limit);
        this.#rest(reader);
        return result;
      } catch (error) {
        // What SQLite refused leaves it ready for the next statement.
        if (error instanceof SqliteError) this.#rest(reader);
        else this.#end(reader);
        throw error;
      } finally {
        limit.end();
        signal.removeEventListener('abort', abort);
      }
    });
  }

  async #reader(signal: AbortSignal): Promise<SqliteReader> {
    for (;;) {
      const idle = this.#idle.pop();
      if (!idle) break;
      clearTimeout(this.#timers.get(idle));
      this.#timers.delete(idle);
      if (idle.usable) return idle;
    }
    return SqliteReader.open(this.#file, signal);
  }

  #rest(reader: SqliteReader): void {
    if (this.#closed) {
      this.#drop(reader);
      return;
    }
    this.#idle.push(reader);
    const drop = (): void => {
      this.#idle.splice(this.#idle.indexOf(reader), 1);
      this.#drop(reader);
    };
    this.#timers.set(reader, setTimeout(drop, IDLE_MS));
  }

  #drop(reader: SqliteReader): void {
    clearTimeout(this.#timers.get(reader));
    this.#timers.delete(reader);
    this.#end(reader);
  }

  #end(reader: SqliteReader, reason?: Error): void {
    const ending = reader.end(reason).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }
}

async function describe(reader: SqliteReader, statement: Sql): Promise<ColumnInfo[]> {
  return (await reader.describe(sqliteStatement(statement))).map(sqliteColumn);
}

async function rowsOf(reader: SqliteReader, statement: Sql): Promise<Cells[]> {
  const rows: Cells[] = [];
  await reader.read(sqliteStatement(statement), {
    columns: () => ({
      row: (bytes, starts, ends) => {
        const cells = Array.from(starts, (start, field) =>
          start < 0 ? null : bytes.toString('utf8', start, ends[field]),
        );
        rows.push(cells);
      },
    }),
    drain: () => undefined,
  });
  return rows;
}

function catalogOver(reader: SqliteReader): Catalog {
  return {
    rows: (statement) => rowsOf(reader, statement),
    describe: (statement) => describe(reader, statement),
  };
}
