/**
 * PostgreSQL (and TimescaleDB): rows in place, as fast as the server hands them out. The session is read-only,
 * bounded by a statement timeout, and pins every setting that shapes text.
 */
import { Socket } from 'node:net';
import knex, { type Knex } from 'knex';
import { Client, type ClientConfig, type QueryArrayConfig } from 'pg';
import { TmError } from '../errors';
import { orAborted, settlesWithin } from '../signals';
import type { ColumnInfo } from './columns';
import { checkColumns, type Cells, type Engine, type StreamOptions } from './engine';
import { postgresTable, postgresTables } from './postgres-catalog';
import { parameterised, postgresColumn, postgresDialect } from './postgres-dialect';
import { postgresError } from './postgres-error';
import { readRows } from './postgres-rows';
import { Silence } from './silence';
import type { EngineSettings } from './engine-settings';
import type { TableInfo } from './source';
import type { Sql } from './sql-text';

const CONNECT_TIMEOUT_MS = 10_000;
const CANCEL_TIMEOUT_MS = 2_000;
/** Longer than the server may be busy with a statement: by then it has answered, or it cannot. */
const SILENCE_BEYOND_STATEMENT_MS = 10_000;
/** For the server's side of a goodbye. */
const GOODBYE_MS = 500;

const silent = (): void => undefined;
const SILENT = { warn: silent, error: silent, debug: silent, deprecate: silent };

/** The part of knex's client that hands out the driver's own connections. */
interface ConnectionPool {
  acquireConnection(): Promise<PooledClient>;
  releaseConnection(client: PooledClient): Promise<void>;
}
/** knex takes a connection marked so out of its pool. */
type PooledClient = Client & { __knex__disposed?: Error | undefined; processID?: number };

export class PostgresEngine implements Engine {
  readonly dialect = postgresDialect;
  readonly poolSize: number;
  readonly error = postgresError;

  readonly #config: ClientConfig;
  readonly #silenceMs: number;
  readonly #knex: Knex;
  readonly #pool: ConnectionPool;
  readonly #cancelling = new Set<Promise<void>>();
  /** Of every connection, those that are still being made too: a server that hangs lets none of them end. */
  readonly #sockets = new Set<Socket>();

  constructor(settings: EngineSettings) {
    this.poolSize = settings.poolSize;
    this.#silenceMs = settings.statementTimeoutSeconds * 1000 + SILENCE_BEYOND_STATEMENT_MS;
    this.#config = { ...clientConfig(settings), stream: () => this.#socket() };
    this.#knex = knex({
      client: 'pg',
      connection: this.#config as Knex.PgConnectionConfig,
      acquireConnectionTimeout: 60_000,
      // What fails is thrown; knex would print it to the console besides.
      log: SILENT,
      pool: {
        min: 0,
        max: settings.poolSize,
        idleTimeoutMillis: 60_000,
        afterCreate: (client: Client, done: (error: unknown, client: Client) => void) => {
          client.query(sessionSql(settings)).then(
            () => {
              done(undefined, client);
            },
            (error: unknown) => {
              done(error, client);
            },
          );
        },
      },
    });
    this.#pool = this.#knex.client as ConnectionPool;
  }

  rows(statement: Sql, signal: AbortSignal): Promise<Cells[]> {
    return this.#withClient(signal, async (client) => (await queryTexts(client, statement)).rows);
  }

  describe(statement: Sql, signal: AbortSignal): Promise<ColumnInfo[]> {
    return this.#withClient(signal, async (client) => {
      const { fields } = await queryTexts(client, statement);
      return columnsOf(fields);
    });
  }

  stream(statement: Sql, { columns, sink, drain, signal }: StreamOptions): Promise<void> {
    return this.#withClient(signal, async (client, silence) => {
      const wait = (): Promise<void> | undefined => {
        silence.heard();
        const busy = drain();
        return busy && silence.during(orAborted(busy, signal));
      };
      try {
        await readRows(client, parameterised(statement), {
          columns: (fields) => {
            checkColumns(columns, columnsOf(fields));
            return sink;
          },
          drain: wait,
        });
      } catch (error) {
        // Left in mid-result for our own reasons: the connection cannot be used again.
        if (!isDatabaseError(error)) this.#abandon(client);
        client.__knex__disposed ??= error as Error;
        throw error;
      }
    });
  }

  tables(signal: AbortSignal): Promise<string[]> {
    return this.#withClient(signal, postgresTables);
  }

  table(parts: readonly string[], signal: AbortSignal): Promise<TableInfo> {
    return this.#withClient(signal, (client) => postgresTable(client, parts));
  }

  /** Ends within seconds, whatever the server does. */
  async close(): Promise<void> {
    await settlesWithin(CANCEL_TIMEOUT_MS, Promise.allSettled([...this.#cancelling]));
    const destroyed = this.#knex.destroy();
    if (await settlesWithin(GOODBYE_MS, destroyed)) return;
    for (const socket of this.#sockets) socket.destroy();
    await settlesWithin(GOODBYE_MS, destroyed);
  }

  #socket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    return socket.once('close', () => this.#sockets.delete(socket));
  }

  async #withClient<Result>(
    signal: AbortSignal,
    work: (client: PooledClient, silence: Silence) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#acquire(signal);
    const abandon = (): void => {
      this.#abandon(client);
    };
    signal.addEventListener('abort', abandon, { once: true });
    const unheard = new AbortController();
    const silence = new Silence(this.#silenceMs, () => {
      unheard.abort();
      abandon();
    });
    try {
      signal.throwIfAborted();
      return await readOnly(client, () => work(client, silence));
    } catch (cause) {
      if (!unheard.signal.aborted) throw cause;
      const seconds = this.#silenceMs / 1000;
      throw new TmError(
        'TM_DATABASE_UNREACHABLE',
        `The database cannot be reached: it has not answered for ${seconds} s.`,
        { cause },
      );
    } finally {
      silence.end();
      signal.removeEventListener('abort', abandon);
      await this.#pool.releaseConnection(client);
    }
  }

  async #acquire(signal: AbortSignal): Promise<PooledClient> {
    const acquiring = this.#pool.acquireConnection();
    try {
      return await orAborted(acquiring, signal);
    } catch (error) {
      // Nobody waits for it any more: it goes back when it comes.
      if (signal.aborted) acquiring.then((late) => this.#pool.releaseConnection(late)).catch(silent);
      throw error;
    }
  }

  /**
   * Ends a connection and what the server does for it. Closing our side alone would leave a long sort running;
   * cancelling alone does not reach a server that waits for us to take more of a result.
   */
  #abandon(client: PooledClient): void {
    if (client.__knex__disposed) return;
    const { processID } = client;
    client.__knex__disposed = new Error('abandoned');
    client.end().catch(silent);
    const cancelling = (async () => {
      const other = new Client({
        ...this.#config,
        connectionTimeoutMillis: CANCEL_TIMEOUT_MS,
        query_timeout: CANCEL_TIMEOUT_MS,
      });
      other.on('error', silent);
      try {
        await other.connect();
        await other.query('SELECT pg_cancel_backend($1)', [processID]);
      } catch {
        // The server is gone, and the query with it; its statement timeout is the last resort.
      } finally {
        await other.end().catch(silent);
      }
    })().finally(() => this.#cancelling.delete(cancelling));
    this.#cancelling.add(cancelling);
  }
}

/**
 * The session is read-only by default, but a function in the user's SQL may change a default, for this query or
 * for those that come after it on the connection. A transaction's own mode it cannot change, and whatever it
 * sets is undone with the transaction.
 */
async function readOnly<Result>(client: PooledClient, work: () => Promise<Result>): Promise<Result> {
  await client.query('BEGIN TRANSACTION READ ONLY');
  try {
    return await work();
  } finally {
    if (!client.__knex__disposed) {
      await client.query('ROLLBACK').catch((error: unknown) => {
        client.__knex__disposed ??= error as Error;
      });
    }
  }
}

function columnsOf(fields: readonly { name: string; dataTypeID: number }[]): ColumnInfo[] {
  return fields.map(({ name, dataTypeID }) => postgresColumn(name, dataTypeID));
}

/**
 * Every cell as the text that the server sent; the driver would make dates and numbers of them. In the extended
 * protocol, which takes one statement and no more, whatever the user's own SQL holds.
 */
async function queryTexts(
  client: Client,
  statement: Sql,
): Promise<{ rows: Cells[]; fields: readonly { name: string; dataTypeID: number }[] }> {
  const query: QueryArrayConfig & { queryMode: 'extended' } = {
    ...parameterised(statement),
    queryMode: 'extended',
    rowMode: 'array',
    types: { getTypeParser: () => (text: string) => text },
  };
  return await client.query<(string | null)[]>(query);
}

function clientConfig({ address, tls }: EngineSettings): ClientConfig {
  const { host, port, database, user, password, options } = address;
  return {
    host,
    port,
    database,
    user: user === '' ? undefined : user,
    password: password === '' ? undefined : password,
    ssl: tls ?? sslOfMode(options.sslmode),
    application_name: 'turbomechanica-data-connector',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

/** libpq's modes; `prefer` and `allow` connect without TLS, for pg cannot try both. */
function sslOfMode(mode: string | undefined): ClientConfig['ssl'] {
  switch (mode) {
    case 'require':
      return { rejectUnauthorized: false };
    case 'verify-ca':
    case 'verify-full':
      return { rejectUnauthorized: true };
    default:
      return false;
  }
}

function sessionSql({ statementTimeoutSeconds }: EngineSettings): string {
  return [
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    `SET statement_timeout = ${Math.round(statementTimeoutSeconds * 1000)}`,
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET client_encoding = 'UTF8'",
    'SET standard_conforming_strings = on',
    // Text that reads back as the same double; the shortest such, from PostgreSQL 12 on.
    'SET extra_float_digits = 3',
    // Compiling a query costs more than a window's worth of rows.
    'SET jit = off',
  ].join('; ');
}

/** The server's own words: it ended the query itself and the connection is ready for the next. */
function isDatabaseError(error: unknown): boolean {
  return error instanceof Error && 'severity' in error && error.severity !== 'FATAL';
}
