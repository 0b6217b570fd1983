/**
 * The same readings in each of the other engines, as its users would store them, with an index on the column of
 * time: on the server that BENCH_…_URL or TEST_…_URL names, and where there is none on one of its own.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import mssql from 'mssql';
import { createConnection } from 'mysql2/promise';
import { parseDatabaseUrl } from '../../lib/database-url';
import { mssqlConfig } from '../../lib/source/mssql-config';
import { hasMariadb, startMariadb } from '../../test/support/own-mariadb';
import { SEED, isoTime, type Readings } from './database';
import { hasProgram } from './figures';
import type { ClientCommand } from './run';

export interface EngineDatabase {
  /** Product and version. */
  readonly name: string;
  readonly version: string;
  /** For the connector. */
  readonly url: string;
  readonly readings: Readings;
  /** Its own client, reading the rows that the connector reads, in the same order. */
  readonly client: { readonly title: string; readonly command: ClientCommand };
  close(): Promise<void>;
}

/** Of an engine that is at hand, still empty. Where one is not, what it needs was said. */
type Opened = Omit<EngineDatabase, 'readings' | 'client'> & {
  client(select: string): EngineDatabase['client'];
  execute(sql: string): Promise<unknown>;
  readonly types: Readonly<Record<'text' | 'time' | 'double', string>>;
  readonly rowsAtOnce: number;
};

const DATABASE = 'tm_bench';
const TABLE = 'readings';

/** Those that are at hand, filled. */
export async function engineDatabases(sensors: number, seconds: number): Promise<EngineDatabase[]> {
  const databases: EngineDatabase[] = [];
  for (const open of [openMysql, openSqlite, openMssql]) {
    const opened = await open();
    if (opened) databases.push(await filled(opened, sensors, seconds));
  }
  return databases;
}

/** One reading a second of each sensor, in order of time as a logger writes them. */
async function filled(database: Opened, sensors: number, seconds: number): Promise<EngineDatabase> {
  const { types, rowsAtOnce } = database;
  const start = Math.floor(Date.now() / 1000) - seconds - 60;
  const readings = { table: TABLE, start, end: start + seconds, rows: sensors * seconds };
  await database.execute(
    `CREATE TABLE ${TABLE} (sensor_id ${types.text} NOT NULL, timestamp ${types.time} NOT NULL, value ${types.double})`,
  );
  let rows: string[] = [];
  const insert = async (): Promise<void> => {
    if (rows.length > 0) await database.execute(`INSERT INTO ${TABLE} VALUES ${rows.join(',')}`);
    rows = [];
  };
  for (let second = 0; second < seconds; second++) {
    for (let sensor = 1; sensor <= sensors; sensor++) {
      const name = `K${100 + (sensor % 20)}.VIB_${String(sensor).padStart(5, '0')}`;
      rows.push(`('${name}','${localTime(start + second)}',${valueOf(second, sensor)})`);
      if (rows.length === rowsAtOnce) await insert();
    }
  }
  await insert();
  await database.execute(`CREATE INDEX readings_timestamp ON ${TABLE} (timestamp)`);
  const window = `timestamp >= '${localTime(start)}' AND timestamp < '${localTime(readings.end)}'`;
  const select = `SELECT timestamp, sensor_id, value FROM ${TABLE} WHERE ${window} ORDER BY timestamp`;
  return { ...database, readings, client: database.client(select) };
}

/** The same for the same seed: Marsaglia's xorshift over the reading's place. */
function valueOf(second: number, sensor: number): number {
  let bits = (second * 100_003 + sensor * 31 + SEED * 7_919 + 1) | 0;
  bits ^= bits << 13;
  bits ^= bits >>> 17;
  bits ^= bits << 5;
  return (50_000 + ((bits >>> 0) % 100_000)) / 1000;
}

function localTime(seconds: number): string {
  return isoTime(seconds).replace('T', ' ').replace('Z', '');
}

async function openMysql(): Promise<Opened | undefined> {
  const given = process.env.BENCH_MYSQL_URL ?? process.env.TEST_MYSQL_URL;
  const program = ['mariadb', 'mysql'].find((each) => hasProgram(each, '--version'));
  if (program === undefined || (given === undefined && !hasMariadb())) {
    leftOut('MySQL', 'BENCH_MYSQL_URL and its client, or MariaDB on this machine');
    return undefined;
  }
  const server = given === undefined ? await startMariadb() : undefined;
  const url = new URL(given ?? server?.url ?? '');
  url.pathname = '/';
  const connection = await createConnection(url.href);
  await connection.query(`DROP DATABASE IF EXISTS ${DATABASE}`);
  await connection.query(`CREATE DATABASE ${DATABASE}`);
  await connection.query(`USE ${DATABASE}`);
  const [[version]] = (await connection.query('SELECT VERSION() AS text')) as unknown as [[{ text: string }]];
  url.pathname = `/${DATABASE}`;
  const { host, port, user, password } = parseDatabaseUrl(url.href);
  return {
    name: version.text.includes('MariaDB') ? 'MariaDB' : 'MySQL',
    version: version.text,
    url: url.href,
    types: { text: 'varchar(64)', time: 'datetime(3)', double: 'double' },
    rowsAtOnce: 10_000,
    execute: (sql) => connection.query(sql),
    client: (select) => ({
      title: `\`${program} --quick --batch\``,
      command: {
        program,
        args: [
          ...['--quick', '--batch', '--protocol=tcp', `--host=${host}`, `--port=${port}`],
          ...[`--user=${user}`, `--execute=${select}`, DATABASE],
        ],
        ...(password === '' ? {} : { env: { MYSQL_PWD: password } }),
      },
    }),
    close: async () => {
      await connection.query(`DROP DATABASE ${DATABASE}`);
      await connection.end();
      await server?.stop();
    },
  };
}

async function openSqlite(): Promise<Opened | undefined> {
  if (!hasProgram('sqlite3', '--version')) {
    leftOut('SQLite', 'its program sqlite3');
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'tm-bench-sqlite-'));
  const file = join(folder, 'plant.db');
  const database = new Database(file);
  database.exec('PRAGMA synchronous = OFF');
  const { version } = database.prepare('SELECT sqlite_version() AS version').get() as { version: string };
  return {
    name: 'SQLite',
    version,
    url: `sqlite:///${file}`,
    types: { text: 'text', time: 'datetime', double: 'real' },
    rowsAtOnce: 10_000,
    execute: (sql) => Promise.resolve(database.exec(sql)),
    client: (select) => ({
      title: '`sqlite3 -batch`',
      command: { program: 'sqlite3', args: ['-readonly', '-batch', '-init', '/dev/null', file, select] },
    }),
    close: async () => {
      database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openMssql(): Promise<Opened | undefined> {
  const given = process.env.BENCH_MSSQL_URL ?? process.env.TEST_MSSQL_URL;
  if (given === undefined || !hasProgram('which', 'freebcp')) {
    leftOut('SQL Server', 'BENCH_MSSQL_URL, and the freebcp of FreeTDS');
    return undefined;
  }
  const url = new URL(given);
  url.pathname = `/${DATABASE}`;
  const address = parseDatabaseUrl(given);
  const open = (database: string): Promise<mssql.ConnectionPool> =>
    new mssql.ConnectionPool(
      mssqlConfig({
        address: { ...address, database },
        timeZone: 'UTC',
        statementTimeoutSeconds: 600,
        poolSize: 1,
      }),
    ).connect();
  const admin = await open(address.database);
  await admin.request().batch(`DROP DATABASE IF EXISTS ${DATABASE}`);
  await admin.request().batch(`CREATE DATABASE ${DATABASE}`);
  const pool = await open(DATABASE);
  const { recordset } = await pool.request().query<{ text: string }>('SELECT @@VERSION AS text');
  return {
    name: 'SQL Server',
    version: recordset[0]?.text.split('\n')[0] ?? '',
    url: url.href,
    types: { text: 'varchar(64)', time: 'datetime2(3)', double: 'float' },
    rowsAtOnce: 1000,
    execute: (sql) => pool.request().batch(sql),
    client: (select) => ({
      title: '`freebcp … queryout`',
      command: {
        program: 'freebcp',
        args: [
          ...[select, 'queryout', '/dev/null', '-c', '-D', DATABASE],
          ...['-S', `${address.host}:${address.port}`, '-U', address.user, '-P', address.password],
        ],
      },
    }),
    close: async () => {
      await pool.close();
      await admin.request().batch(`DROP DATABASE ${DATABASE}`);
      await admin.close();
    },
  };
}

function leftOut(engine: string, needs: string): void {
  console.log(`${engine} was left out: it needs ${needs}.`);
}
