/**
 * SQL Server, 2012 and later. Every statement runs in a transaction that is rolled back whatever comes of it: there
 * is no read-only one. What the user's own SQL can be is bounded before it gets here, see mssql-own-sql.ts.
 */
import type mssql from 'mssql';
import { TmError } from '../errors';
import { orAborted, settlesWithin, withSignals } from '../signals';
import { CellRows } from './cells';
import type { ColumnInfo } from './columns';
import { checkColumns, type Cells, type Engine, type StreamOptions } from './engine';
import type { EngineSettings } from './engine-settings';
import { mssqlTable, mssqlTables } from './mssql-catalog';
import { CANCEL_TIMEOUT_MS, mssqlConfig } from './mssql-config';
import { mssqlDialect } from './mssql-dialect';
import { lacksSnapshot, lacksTransaction, mssqlError } from './mssql-error';
import { readRows, type RowsConsumer } from './mssql-rows';
import { isNative, mssqlColumn } from './mssql-types';
import { Silence } from './silence';
import type { TableInfo } from './source';
import { raw, type Sql } from './sql-text';

/** Longer than the server may be busy with a statement: by then it has answered, or it cannot. */
const SILENCE_BEYOND_STATEMENT_MS = 10_000;
/** Rows may come one by one, or a hundred thousand in a second. */
const HEARD_MS = 1_000;
/** For what is cancelled to come to its end: the driver closes a connection whose server does not answer. */
const CLOSE_TIMEOUT_MS = CANCEL_TIMEOUT_MS + 500;
const GOODBYE_MS = 500;

const silent = (): undefined => undefined;

/**
 * How statements are run, the best first. Snapshots are the only ones in which a read neither waits for writers nor
 * holds them up; a database has to allow them. A linked server may take part in no transaction at all.
 * Reads are never uncommitted: those miss rows, and see some twice.
 */
type Mode = 'snapshot' | 'read committed' | 'no transaction';

const SNAPSHOTS =
  'SELECT CONVERT(nvarchar(1), snapshot_isolation_state) FROM sys.databases WHERE database_id = DB_ID()';

export class MssqlEngine implements Engine {
  readonly dialect = mssqlDialect;
  readonly poolSize: number;
  readonly error = mssqlError;

  readonly #silenceMs: number;
  readonly #config: mssql.config;
  #opening: Promise<Opened> | undefined;
  #mode: Mode = 'read committed';
  readonly #running = new Set<Promise<unknown>>();
  /** Those that are still being made too: a server that hangs lets none of them end. */
  readonly #connections = new Set<mssql.Connection>();

  constructor(settings: EngineSettings) {
    this.poolSize = settings.poolSize;
    this.#silenceMs = settings.statementTimeoutSeconds * 1000 + SILENCE_BEYOND_STATEMENT_MS;
    this.#config = {
      ...mssqlConfig(settings),
      beforeConnect: (connection) => {
        this.#connections.add(connection);
        connection.on('end', () => this.#connections.delete(connection));
      },
    };
  }

  async rows(statement: Sql, signal: AbortSignal): Promise<Cells[]> {
    const rows: Cells[] = [];
    await this.#run(statement, signal, {
      columns: silent,
      row: (cells) => {
        rows.push(cells.map((cell) => (cell === null || cell === undefined ? null : String(cell))));
      },
      drain: silent,
    });
    return rows;
  }

  async describe(statement: Sql, signal: AbortSignal): Promise<ColumnInfo[]> {
    let described: ColumnInfo[] = [];
    await this.#run(statement, signal, {
      columns: (columns) => {
        described = columns.map(mssqlColumn);
      },
      row: silent,
      drain: silent,
    });
    return described;
  }

  stream(statement: Sql, { columns, sink, drain, signal }: StreamOptions): Promise<void> {
    const cells = new CellRows(sink, columns.length);
    const native = columns.map(isNative);
    return this.#run(statement, signal, {
      columns: (given) => {
        // Of the others the result says the type that they were converted to.
        const own = <Column>(list: readonly Column[]): Column[] => list.filter((_, index) => native[index]);
        checkColumns(own(columns), own(given.map(mssqlColumn)));
      },
      row: (row) => {
        cells.row(row);
      },
      drain,
    });
  }

  tables(signal: AbortSignal): Promise<string[]> {
    return mssqlTables((statement) => this.rows(statement, signal));
  }

  table(parts: readonly string[], signal: AbortSignal): Promise<TableInfo> {
    return mssqlTable(parts, {
      rows: (statement) => this.rows(statement, signal),
      describe: (statement) => this.describe(statement, signal),
    });
  }

  /** Ends within seconds, whatever the server does. */
  async close(): Promise<void> {
    const opening = this.#opening;
    await settlesWithin(CLOSE_TIMEOUT_MS, Promise.allSettled([...this.#running, opening]));
    const closed = Promise.resolve(opening).then((opened) => opened?.pool.close());
    if (await settlesWithin(GOODBYE_MS, closed)) return;
    for (const connection of this.#connections) connection.close();
    await settlesWithin(GOODBYE_MS, closed);
  }

  async #run(statement: Sql, signal: AbortSignal, consumer: RowsConsumer): Promise<void> {
    const opened = await orAborted(this.#open(), signal);
    let rows = 0;
    const watched: RowsConsumer = {
      ...consumer,
      row: (cells) => {
        rows++;
        consumer.row(cells);
      },
    };
    for (;;) {
      const mode = this.#mode;
      try {
        await this.#statement({ ...opened, mode }, statement, signal, watched);
        return;
      } catch (error) {
        const lesser = lesserMode(mode, error);
        if (!lesser) throw error;
        this.#mode = lesser;
        // Rows that were handed on are not handed on again; whoever reads the window anew reads it so.
        if (rows > 0) throw error;
      }
    }
  }

  /** Of several that come at once, all wait for the first; what failed is tried anew by the next. */
  #open(): Promise<Opened> {
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  /** The driver is loaded here: it takes a second, and plants with other databases never need it. */
  async #connect(): Promise<Opened> {
    const { default: driver } = await import('mssql');
    const pool = new driver.ConnectionPool({ ...this.#config });
    // What fails is thrown where it is waited for.
    pool.on('error', silent);
    await pool.connect();
    const rows: (readonly unknown[])[] = [];
    await readRows({ driver, request: pool.request() }, raw(SNAPSHOTS), {
      signal: new AbortController().signal,
      consumer: { columns: silent, row: (cells) => rows.push(cells), drain: silent },
    });
    this.#mode = rows[0]?.[0] === '1' ? 'snapshot' : 'read committed';
    return { driver, pool };
  }

  #statement(
    opened: Opened & { readonly mode: Mode },
    statement: Sql,
    signal: AbortSignal,
    consumer: RowsConsumer,
  ): Promise<void> {
    const running = this.#watched(signal, async (watched, silence) => {
      let heardAt = performance.now();
      const heard: RowsConsumer = {
        ...consumer,
        row: (cells) => {
          const now = performance.now();
          if (now - heardAt > HEARD_MS) {
            heardAt = now;
            silence.heard();
          }
          consumer.row(cells);
        },
        drain: () => {
          silence.heard();
          const busy = consumer.drain();
          return busy && silence.during(orAborted(busy, watched));
        },
      };
      await inMode(opened, watched, (request, prefix) =>
        readRows({ driver: opened.driver, request }, statement, { signal: watched, consumer: heard, prefix }),
      );
    }).finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  /** Gives up on a server that has fallen silent. */
  async #watched<Result>(
    signal: AbortSignal,
    work: (signal: AbortSignal, silence: Silence) => Promise<Result>,
  ): Promise<Result> {
    const unheard = new AbortController();
    const seconds = this.#silenceMs / 1000;
    const silence = new Silence(this.#silenceMs, () => {
      unheard.abort(
        new TmError(
          'TM_DATABASE_UNREACHABLE',
          `The database cannot be reached: it has not answered for ${seconds} s.`,
        ),
      );
    });
    try {
      return await withSignals([signal, unheard.signal], (either) => work(either, silence));
    } finally {
      silence.end();
    }
  }
}

interface Opened {
  readonly driver: typeof mssql;
  readonly pool: mssql.ConnectionPool;
}

async function inMode(
  { driver, pool, mode }: Opened & { readonly mode: Mode },
  signal: AbortSignal,
  work: (request: mssql.Request, prefix: string) => Promise<void>,
): Promise<void> {
  if (mode === 'no transaction') {
    // A connection keeps the level of the transaction that it had before; this one ends with the statement.
    await work(pool.request(), 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED; ');
    return;
  }
  const { SNAPSHOT, READ_COMMITTED } = driver.ISOLATION_LEVEL;
  const transaction = pool.transaction();
  const beginning = transaction.begin(mode === 'snapshot' ? SNAPSHOT : READ_COMMITTED);
  try {
    await orAborted(beginning, signal);
  } catch (error) {
    // Nobody waits for it any more: it is ended when it has begun.
    if (signal.aborted) beginning.then(() => transaction.rollback()).catch(silent);
    throw error;
  }
  try {
    await work(transaction.request(), '');
  } finally {
    // Fails where the server has ended it, or the connection is gone: there is nothing to undo then either.
    await transaction.rollback().catch(silent);
  }
}

function lesserMode(mode: Mode, error: unknown): Mode | undefined {
  if (mode !== 'no transaction' && lacksTransaction(error)) return 'no transaction';
  return mode === 'snapshot' && lacksSnapshot(error) ? 'read committed' : undefined;
}
