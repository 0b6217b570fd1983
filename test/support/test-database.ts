import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { postgresUrl } from './postgres';

export interface TestDatabase {
  readonly name: string;
  /** Only inside tests and hooks: the server may be started for the run. */
  readonly url: string;
  /** Runs SQL on the server, outside of the database: what concerns others' too. */
  command(sql: string): Promise<void>;
}

/**
 * An empty database, for the tests of one describe.
 * @param serverUrl of a database from which it may be made; default: of the tests' PostgreSQL
 */
export function testDatabase(serverUrl: () => Promise<string> | string = postgresUrl): TestDatabase {
  const name = `tm_test_${randomBytes(6).toString('hex')}`;
  let server: string | undefined;
  const command = async (sql: string): Promise<void> => {
    server = await serverUrl();
    const client = new Client(server);
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  before(() => command(`create database ${name}`));
  after(() => command(`drop database ${name} with (force)`));
  return {
    name,
    command,
    get url() {
      if (server === undefined) throw new Error('only inside tests and hooks');
      const url = new URL(server);
      url.pathname = `/${name}`;
      return url.href;
    },
  };
}
