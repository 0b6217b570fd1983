/**
 * PostgreSQL (and TimescaleDB): rows in place, as fast as the server hands them out. The session is read-only,
 * bounded by a statement timeout, and pins every setting that shapes text.
 */
import { Client, type ClientConfig, type QueryArrayConfig } from 'pg';
import { orAborted } from '../signals';
import { tlsOfMode } from '../ssl-mode';
import type { ColumnInfo } from './columns';
import { checkColumns, type Cells, type Engine, type StreamOptions } from './engine';
import { lendingSocket } from './lending-socket';
import { postgresTable, postgresTables } from './postgres-catalog';
import { parameterised, postgresColumn, postgresDialect } from './postgres-dialect';
import { postgresError } from './postgres-error';
import { readRows } from './postgres-rows';
import { CANCEL_TIMEOUT_MS, Sessions, type Pooled } from './sessions';
import type { EngineSettings } from './engine-settings';
import type { TableInfo } from './source';
import type { Sql } from './sql-text';

const CONNECT_TIMEOUT_MS = 10_000;

const silent = (): void => undefined;

type PooledClient = Client & Pooled & { processID?: number };

export class PostgresEngine implements Engine {
  readonly dialect = postgresDialect;
  readonly poolSize: number;
  /** Columns are selected as they are: the result says their own types. */
  readonly comparesColumns = true;
  readonly error = postgresError;
  readonly #sessions: Sessions<PooledClient>;

  constructor(settings: EngineSettings) {
    const { poolSize, statementTimeoutSeconds } = settings;
    this.poolSize = poolSize;
    const connection = { ...clientConfig(settings), stream: () => this.#sessions.known(lendingSocket()) };
    this.#sessions = new Sessions({
      client: 'pg',
      connection,
      poolSize,
      statementTimeoutSeconds,
      begin: (client) => client.query(sessionSql(settings)),
      startReadOnly: (client) => client.query('BEGIN TRANSACTION READ ONLY'),
      rollback: (client) => client.query('ROLLBACK'),
      hangUp: (client) => {
        client.end().catch(silent);
      },
      cancel: ({ processID }) => cancel(connection, processID),
    });
  }

  rows(statement: Sql, signal: AbortSignal): Promise<Cells[]> {
    return this.#sessions.run(signal, async (client) => (await queryTexts(client, statement)).rows);
  }

  describe(statement: Sql, signal: AbortSignal): Promise<ColumnInfo[]> {
    return this.#sessions.run(signal, async (client) => {
      const { fields } = await queryTexts(client, statement);
      return columnsOf(fields);
    });
  }

  stream(statement: Sql, { columns, sink, drain, signal }: StreamOptions): Promise<void> {
    return this.#sessions.run(signal, async (client, silence) => {
      const wait = (): Promise<void> | undefined => {
        silence.heard();
        const busy = drain();
        return busy && silence.during(orAborted(busy, signal));
      };
      try {
        await readRows(client, parameterised(statement), {
          columns: (fields) => {
            checkColumns(columns, columnsOf(fields), { types: true });
            return sink;
          },
          drain: wait,
        });
      } catch (error) {
        // Left in mid-result for our own reasons: the connection cannot be used again.
        if (!isDatabaseError(error)) this.#sessions.abandon(client);
        client.__knex__disposed ??= error as Error;
        throw error;
      }
    });
  }

  tables(signal: AbortSignal): Promise<string[]> {
    return this.#sessions.run(signal, postgresTables);
  }

  table(parts: readonly string[], signal: AbortSignal): Promise<TableInfo> {
    return this.#sessions.run(signal, (client) => postgresTable(client, parts));
  }

  close(): Promise<void> {
    return this.#sessions.close();
  }
}

async function cancel(connection: ClientConfig, processId: number | undefined): Promise<void> {
  const other = new Client({
    ...connection,
    connectionTimeoutMillis: CANCEL_TIMEOUT_MS,
    query_timeout: CANCEL_TIMEOUT_MS,
  });
  other.on('error', silent);
  try {
    await other.connect();
    await other.query('SELECT pg_cancel_backend($1)', [processId]);
  } finally {
    await other.end().catch(silent);
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
  const { host, port, database, user, password, sslMode } = address;
  return {
    host,
    port,
    database,
    user: user === '' ? undefined : user,
    password: password === '' ? undefined : password,
    ssl: tls ?? tlsOfMode(sslMode),
    application_name: 'turbomechanica-data-connector',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
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
