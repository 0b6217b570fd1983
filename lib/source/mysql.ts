/**
 * MySQL and MariaDB: rows in place, as fast as the server hands them out. The session is in UTC, read-only, and
 * bounded by a statement timeout.
 */
import { connect } from 'node:net';
import type { Connection, ConnectionOptions, FieldPacket } from 'mysql2';
import { orAborted } from '../signals';
import type { ColumnInfo } from './columns';
import { loadDriver } from './driver';
import { checkColumns, type Cells, type Engine, type StreamOptions } from './engine';
import type { EngineSettings } from './engine-settings';
import { mysqlTable, mysqlTables, type Catalog } from './mysql-catalog';
import { isFloat32, mysqlColumn } from './mysql-columns';
import { literalText, mysqlDialect } from './mysql-dialect';
import { mysqlError, serverError } from './mysql-error';
import { float32Rows } from './mysql-floats';
import { readRows } from './mysql-rows';
import { mysqlTls } from './mysql-tls';
import { CANCEL_TIMEOUT_MS, Sessions, type Pooled } from './sessions';
import type { Silence } from './silence';
import type { TableInfo } from './source';
import { raw, type Sql } from './sql-text';

const CONNECT_TIMEOUT_MS = 10_000;
/** A server gives up a client that takes no more rows after a minute; how long one may wait is decided here. */
const NET_WRITE_TIMEOUT_SECONDS = 600;
/** Of a setting that only newer servers have. */
const UNKNOWN_VARIABLE = 1193;

type Driver = typeof import('mysql2');
type PooledConnection = Connection & Pooled;

export class MysqlEngine implements Engine {
  readonly dialect = mysqlDialect;
  readonly poolSize: number;
  readonly error = mysqlError;
  readonly #settings: EngineSettings;
  #sessions: Promise<Sessions<PooledConnection>> | undefined;

  constructor(settings: EngineSettings) {
    this.#settings = settings;
    this.poolSize = settings.poolSize;
  }

  rows(statement: Sql, signal: AbortSignal): Promise<Cells[]> {
    return this.#run(signal, (connection) => queryTexts(connection, statement));
  }

  describe(statement: Sql, signal: AbortSignal): Promise<ColumnInfo[]> {
    return this.#run(signal, (connection) => describe(connection, statement));
  }

  stream(statement: Sql, { columns, sink, drain, signal }: StreamOptions): Promise<void> {
    return this.#run(signal, async (connection, silence, sessions) => {
      try {
        await readRows(connection, literalText(statement), {
          columns: (fields) => {
            const given = fields.map(mysqlColumn);
            checkColumns(columns.map(asSelected(given)), given);
            // By what was described: the result has them as doubles.
            const floats = columns.flatMap((column, index) => (isFloat32(column) ? [index] : []));
            return floats.length === 0 ? sink : float32Rows(sink, given.length, floats);
          },
          drain: () => {
            silence.heard();
            const busy = drain();
            return busy && silence.during(orAborted(busy, signal));
          },
        });
      } catch (error) {
        // Left in mid-result for our own reasons: the connection cannot be used again.
        if (!serverError(error)) sessions.abandon(connection);
        connection.__knex__disposed ??= error as Error;
        throw error;
      }
    });
  }

  tables(signal: AbortSignal): Promise<string[]> {
    return this.#run(signal, (connection) => mysqlTables(catalogOver(connection)));
  }

  table(parts: readonly string[], signal: AbortSignal): Promise<TableInfo> {
    return this.#run(signal, (connection) => mysqlTable(catalogOver(connection), parts));
  }

  async close(): Promise<void> {
    await (await this.#sessions?.catch(() => undefined))?.close();
  }

  async #run<Result>(
    signal: AbortSignal,
    work: (
      connection: PooledConnection,
      silence: Silence,
      sessions: Sessions<PooledConnection>,
    ) => Promise<Result>,
  ): Promise<Result> {
    this.#sessions ??= loadDriver('mysql2', () => import('mysql2')).then((driver) =>
      openSessions(driver, this.#settings),
    );
    const sessions = await this.#sessions;
    return sessions.run(signal, (connection, silence) => work(connection, silence, sessions));
  }
}

function openSessions(driver: Driver, settings: EngineSettings): Sessions<PooledConnection> {
  const { address, poolSize, statementTimeoutSeconds } = settings;
  const { host, port, database, user, password } = address;
  const config: ConnectionOptions = {
    host,
    port,
    database,
    ...(user === '' ? {} : { user }),
    password,
    charset: 'utf8mb4',
    connectTimeout: CONNECT_TIMEOUT_MS,
    stream: () => {
      const socket = connect({ host, port, keepAlive: true, noDelay: true });
      return sessions.known(Object.assign(socket, { _host: host }));
    },
    ...mysqlTls(settings),
  };
  const sessions = new Sessions<PooledConnection>({
    client: 'mysql2',
    connection: config,
    poolSize,
    statementTimeoutSeconds,
    begin: (connection) => begin(connection, statementTimeoutSeconds),
    startReadOnly: (connection) => command(connection, 'START TRANSACTION READ ONLY'),
    rollback: (connection) => command(connection, 'ROLLBACK'),
    hangUp: (connection) => {
      // Before the driver says goodbye, for it would not tell the running query then.
      (connection as unknown as { stream: { destroy(): void } }).stream.destroy();
    },
    cancel: ({ threadId }) => cancel(driver, config, threadId),
  });
  return sessions;
}

async function begin(connection: Connection, statementTimeoutSeconds: number): Promise<void> {
  keepListening(connection);
  await command(
    connection,
    `SET time_zone = '+00:00', net_write_timeout = ${NET_WRITE_TIMEOUT_SECONDS},
         sql_mode = REPLACE(@@sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', '')`,
  );
  await command(connection, 'SET SESSION TRANSACTION READ ONLY');
  const [[version] = []] = await queryTexts(connection, raw('SELECT VERSION()'));
  const settings = version?.includes('MariaDB')
    ? [`max_statement_time = ${statementTimeoutSeconds}`]
    : // A list of thousands of sensors must not lead to a scan of the table.
      [
        `max_execution_time = ${Math.round(statementTimeoutSeconds * 1000)}`,
        'range_optimizer_max_mem_size = 0',
      ];
  for (const setting of settings) {
    await command(connection, `SET ${setting}`).catch((error: unknown) => {
      if (serverError(error)?.errno !== UNKNOWN_VARIABLE) throw error;
    });
  }
}

/**
 * knex takes every listener off a connection that it says goodbye to, and the goodbye itself may fail: an error that
 * nobody listens to would end Node-RED.
 */
function keepListening(connection: Connection): void {
  const remove = connection.removeAllListeners.bind(connection);
  connection.removeAllListeners = (event) => remove(event).on('error', () => undefined);
}

async function cancel(driver: Driver, config: ConnectionOptions, threadId: number): Promise<void> {
  const other = driver.createConnection({ ...config, connectTimeout: CANCEL_TIMEOUT_MS });
  try {
    await new Promise<void>((resolve, reject) => {
      other.on('error', reject);
      other.query({ sql: `KILL ${threadId}`, timeout: CANCEL_TIMEOUT_MS }, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  } finally {
    other.destroy();
  }
}

function command(connection: Connection, statement: string): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.query(statement, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Every cell as the text that the server sent; the driver would make dates and numbers of them. */
function queryTexts(connection: Connection, statement: Sql): Promise<Cells[]> {
  return new Promise((resolve, reject) => {
    connection.query({ sql: literalText(statement), rowsAsArray: true, typeCast: false }, (error, rows) => {
      if (error) reject(error);
      else {
        const cells = rows as unknown as readonly (readonly (Buffer | null)[])[];
        resolve(cells.map((row) => row.map((cell) => (cell === null ? null : cell.toString()))));
      }
    });
  });
}

/** Prepared, not run: a server fills a derived table even where no row of it is asked for. */
function describe(connection: Connection, statement: Sql): Promise<ColumnInfo[]> {
  const text = literalText(statement);
  return new Promise((resolve, reject) => {
    connection.prepare(text, (error, prepared) => {
      if (error) {
        reject(error);
        return;
      }
      const { columns } = prepared as unknown as { readonly columns: readonly FieldPacket[] };
      // With it goes what the driver would say of the columns next time, when they may be others.
      connection.unprepare(text);
      resolve(columns.map(mysqlColumn));
    });
  });
}

function catalogOver(connection: Connection): Catalog {
  return {
    rows: (statement) => queryTexts(connection, statement),
    describe: (statement) => describe(connection, statement),
  };
}

/** What was described as an instant is text where its offset was written behind it. */
function asSelected(given: readonly ColumnInfo[]) {
  return (column: ColumnInfo, index: number): ColumnInfo =>
    column.kind === 'instant' && given[index]?.kind === 'text' ? { ...column, kind: 'text' } : column;
}
