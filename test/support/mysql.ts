/**
 * The MySQL or MariaDB of the tests: the one that TEST_MYSQL_URL names, the machine's own where it lets its
 * administrator in without a password, or one that is started for the first test that needs it.
 */
import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { createConnection, type Connection } from 'mysql2/promise';
import { hasMariadb, startMariadb, type OwnMariadb } from './own-mariadb';

const LOCAL = 'mysql://root@127.0.0.1:3306/';

let own: Promise<OwnMariadb> | undefined;
let answers: boolean | undefined;

/** What is missing for tests of MySQL; undefined where there is a server, or one can be started. */
export const mysqlMissing =
  (process.env.TEST_MYSQL_URL ?? '') !== '' || localAnswers() || hasMariadb()
    ? undefined
    : 'needs MariaDB, or TEST_MYSQL_URL';

/** The URL of a server on which tests may make databases. */
async function mysqlUrl(): Promise<string> {
  const given = process.env.TEST_MYSQL_URL;
  if (given) return given;
  if (localAnswers()) return LOCAL;
  own ??= startMariadb();
  return (await own).url;
}

// Outside any describe: after all files.
after(async () => {
  await (await own)?.stop();
});

export interface MysqlDatabase {
  /** Only inside tests and hooks. */
  readonly url: string;
  readonly name: string;
  /** An administrator's connection to it. */
  readonly connection: Connection;
}

/** An empty database, for the tests of one describe. */
export function mysqlDatabase(): MysqlDatabase {
  const name = `tm_test_${randomBytes(6).toString('hex')}`;
  let url: URL | undefined;
  let connection: Connection | undefined;
  before(async function () {
    this.timeout(120_000);
    url = new URL(await mysqlUrl());
    url.pathname = '/';
    connection = await createConnection({ uri: url.href, charset: 'utf8mb4' });
    await connection.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
    await connection.query(`USE ${name}`);
    await connection.query("SET time_zone = '+00:00'");
    url.pathname = `/${name}`;
  });
  after(async () => {
    await connection?.query(`DROP DATABASE ${name}`);
    await connection?.end();
  });
  return {
    name,
    get url() {
      if (!url) throw new Error('only inside tests and hooks');
      return url.href;
    },
    get connection() {
      if (!connection) throw new Error('only inside tests and hooks');
      return connection;
    },
  };
}

/** Asked once, by a process of its own, for titles of tests are made before anything can be awaited. */
function localAnswers(): boolean {
  answers ??=
    spawnSync(process.execPath, [
      '-e',
      `require('mysql2').createConnection(${JSON.stringify(LOCAL)}).query('SELECT 1', (error) => process.exit(error ? 1 : 0))`,
    ]).status === 0;
  return answers;
}
