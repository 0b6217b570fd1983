/** The SQL Server that TEST_MSSQL_URL names; there is none that tests could start themselves. */
import { randomBytes } from 'node:crypto';
import mssql from 'mssql';
import { parseDatabaseUrl, type DatabaseAddress } from '../../lib/database-url';
import { mssqlConfig } from '../../lib/source/mssql-config';

export interface MssqlDatabase {
  readonly address: DatabaseAddress;
  /** Runs a batch of SQL as an administrator; the rows of its last result. */
  execute(sql: string): Promise<readonly Record<string, unknown>[]>;
  /** Connections of another program's. */
  connect(): Promise<mssql.ConnectionPool>;
}

/** For the title of what is skipped without it. */
export const withoutMssql = process.env.TEST_MSSQL_URL
  ? undefined
  : 'skipped: TEST_MSSQL_URL names no SQL Server';

/** An empty database, for the tests of one describe. */
export function mssqlDatabase(): MssqlDatabase {
  const address = { ...parseDatabaseUrl(process.env.TEST_MSSQL_URL ?? ''), database: '' };
  const database = `tm_test_${randomBytes(6).toString('hex')}`;
  let server: mssql.ConnectionPool | undefined;
  let pool: mssql.ConnectionPool | undefined;

  const open = (of: string): Promise<mssql.ConnectionPool> => {
    const config = mssqlConfig({
      address: { ...address, database: of },
      timeZone: 'UTC',
      statementTimeoutSeconds: 120,
      poolSize: 2,
    });
    const options = { ...config.options, appName: 'turbomechanica-tests' };
    return new mssql.ConnectionPool({ ...config, options }).connect();
  };

  before(async () => {
    server = await open('master');
    await server.request().batch(`CREATE DATABASE ${database}`);
    pool = await open(database);
  });
  after(async () => {
    await pool?.close();
    await server?.request().batch(`DROP DATABASE ${database}`);
    await server?.close();
  });
  return {
    address: { ...address, database },
    connect: () => open(database),
    execute: async (sql) => {
      if (!pool) throw new Error('only inside tests and hooks');
      const { recordsets } = await pool.request().batch<Record<string, unknown>>(sql);
      return recordsets.at(-1) ?? [];
    },
  };
}
