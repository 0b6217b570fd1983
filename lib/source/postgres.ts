/**
 * Readings out of PostgreSQL (and TimescaleDB) by COPY: as fast as the server hands rows out. The session is
 * read-only, bounded by a statement timeout, and pins every setting that shapes text.
 */
import { setImmediate } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import knex, { type Knex } from 'knex';
import { Client, type ClientConfig } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { TmError } from '../errors';
import { orAborted, withSignals } from '../signals';
import { Turns } from '../turns';
import { parseInstant, type EpochSeconds, type Window } from '../window';
import { CopyTextParser } from './copy-text';
import { addressId, type DatabaseAddress } from '../database-url';
import { postgresError } from './postgres-error';
import { columnsOf, describeSql, oldestSql, windowSql, type PostgresColumns } from './postgres-sql';
import type { ReadingsQuery, ReadOptions, Source, SourceIdentity } from './source';

export interface PostgresSettings {
  readonly address: DatabaseAddress;
  readonly timeZone: string;
  readonly statementTimeoutSeconds: number;
  readonly poolSize: number;
  readonly tls?: ConnectionOptions | undefined;
}

/** How much is parsed before other work in the process gets its turn: some milliseconds' worth. */
const BYTES_PER_TURN = 128 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const CANCEL_TIMEOUT_MS = 2_000;

const silent = (): void => undefined;
const SILENT = { warn: silent, error: silent, debug: silent, deprecate: silent };

/** The part of knex's client that hands out the driver's own connections. */
interface ConnectionPool {
  acquireConnection(): Promise<PooledClient>;
  releaseConnection(client: PooledClient): Promise<void>;
}
/** knex takes a connection marked so out of its pool. */
type PooledClient = Client & { __knex__disposed?: Error | undefined; processID?: number };

export class PostgresSource implements Source {
  readonly id: string;

  readonly #settings: PostgresSettings;
  readonly #config: ClientConfig;
  readonly #knex: Knex;
  readonly #pool: ConnectionPool;
  readonly #closing = new AbortController();
  readonly #cancelling = new Set<Promise<void>>();
  readonly #reads = new Set<Promise<void>>();
  /** As many at a time as leave a connection for the clock. */
  readonly #readTurns: Turns;

  constructor(settings: PostgresSettings) {
    this.#settings = settings;
    this.#readTurns = new Turns(Math.max(1, settings.poolSize - 1));
    this.id = addressId(settings.address);
    this.#config = clientConfig(settings);
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

  async clock(): Promise<number> {
    const [row] = await this.#query<{ now: string }>(
      'SELECT extract(epoch FROM clock_timestamp())::text AS now',
    );
    return Number(row?.now);
  }

  async identify(): Promise<SourceIdentity> {
    const [row] = await this.#query<{ version: string; user: string }>(
      "SELECT current_setting('server_version') AS version, current_user AS user",
    );
    return { product: 'PostgreSQL', version: row?.version.split(' ')[0] ?? '', user: row?.user ?? '' };
  }

  async oldest(query: ReadingsQuery): Promise<EpochSeconds | undefined> {
    const now = Math.ceil(await this.clock());
    const { timeZone } = this.#settings;
    const columns = await this.#withClient((client) => this.#describe(client, query));
    const [row] = await this.#query<{ oldest: string | null }>(oldestSql(query, columns, now, timeZone));
    if (row?.oldest == null) return undefined;
    return Math.floor(parseInstant(row.oldest, 'the oldest reading', timeZone));
  }

  read(query: ReadingsQuery, window: Window, options: ReadOptions): Promise<void> {
    const reading = withSignals([options.signal, this.#closing.signal], (signal) =>
      this.#read(query, window, options, signal),
    ).finally(() => this.#reads.delete(reading));
    this.#reads.add(reading);
    return reading;
  }

  async close(): Promise<void> {
    this.#closing.abort(new TmError('TM_CLOSED', 'The connection is being closed.'));
    await Promise.allSettled([...this.#reads]);
    await Promise.allSettled([...this.#cancelling]);
    await this.#knex.destroy();
  }

  async #read(
    query: ReadingsQuery,
    window: Window,
    options: Omit<ReadOptions, 'signal'>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#readTurns.run(signal, () =>
      this.#withClient(async (client) => {
        try {
          // In one transaction, so that no table is altered between what its columns are and its rows.
          await client.query('BEGIN');
          const columns = await this.#describe(client, query);
          const sql = windowSql(query, columns, window, this.#settings.timeZone, options.from);
          await this.#copy(client, sql, new CopyTextParser(options.sink(columns)), options, signal);
          await client.query('COMMIT');
        } catch (error) {
          // Left in mid-result for our own reasons: the connection cannot be used again.
          if (!isDatabaseError(error)) this.#abandon(client);
          client.__knex__disposed ??= error as Error;
          throw error;
        }
      }, signal),
    );
  }

  async #copy(
    client: PooledClient,
    sql: string,
    parser: CopyTextParser,
    { drain }: Pick<ReadOptions, 'drain'>,
    signal: AbortSignal,
  ): Promise<void> {
    const stream = client.query(copyTo(`COPY (${sql}) TO STDOUT`, { highWaterMark: BYTES_PER_TURN }));
    // Told of the connection's end once more after its iteration is over.
    stream.on('error', silent);
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      parser.push(chunk);
      const busy = drain();
      if (busy) await orAborted(busy, signal);
      bytes += chunk.length;
      if (bytes >= BYTES_PER_TURN) {
        bytes = 0;
        await setImmediate();
      }
    }
    parser.end();
  }

  /** What the query's columns are, each time anew: a table may be altered. */
  async #describe(client: PooledClient, query: ReadingsQuery): Promise<PostgresColumns> {
    const { fields } = await client.query(describeSql(query));
    return columnsOf(query, fields);
  }

  async #query<Row extends object>(sql: string): Promise<Row[]> {
    return await this.#withClient(async (client) => (await client.query<Row>(sql)).rows);
  }

  async #withClient<Result>(
    work: (client: PooledClient) => Promise<Result>,
    signal = this.#closing.signal,
  ): Promise<Result> {
    signal.throwIfAborted();
    try {
      const client = await this.#pool.acquireConnection();
      const abandon = (): void => {
        this.#abandon(client);
      };
      signal.addEventListener('abort', abandon, { once: true });
      try {
        signal.throwIfAborted();
        return await work(client);
      } finally {
        signal.removeEventListener('abort', abandon);
        await this.#pool.releaseConnection(client);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw postgresError(error);
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

function clientConfig({ address, tls }: PostgresSettings): ClientConfig {
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

function sessionSql({ statementTimeoutSeconds }: PostgresSettings): string {
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
