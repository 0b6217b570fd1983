/**
 * The readings that are moved: the same for the same seed, but for the day that they are of. In a database of
 * the measurements' own, on the server that BENCH_POSTGRES_URL names or on one that is started for the run.
 */
import { Client } from 'pg';
import { startPostgres, type Postgres } from '../../scripts/start/postgres';

export const SEED = Number(process.env.BENCH_SEED ?? 1);
const DATABASE = 'tm_bench';

export interface Readings {
  readonly table: string;
  /** Seconds since 1970. */
  readonly start: number;
  readonly end: number;
  readonly rows: number;
}

export interface ReadingsOptions {
  readonly table: string;
  readonly sensors: number;
  readonly seconds: number;
  /** When the first reading is; default: so long ago that the last one has settled. */
  readonly start?: number;
}

export class BenchDatabase {
  private constructor(
    readonly url: string,
    readonly client: Client,
    readonly version: string,
    readonly server: Postgres | undefined,
  ) {}

  static async open(): Promise<BenchDatabase> {
    const given = process.env.BENCH_POSTGRES_URL;
    const server = given === undefined ? await startPostgres({}) : undefined;
    const admin = new Client(given ?? server?.url('postgres'));
    await admin.connect();
    const { rows } = await admin.query<{ version: string }>(
      "select split_part(current_setting('server_version'), ' ', 1) as version",
    );
    await admin.query(`drop database if exists ${DATABASE} with (force)`);
    await admin.query(`create database ${DATABASE}`);
    await admin.end();
    const url = new URL(given ?? server?.url('postgres') ?? '');
    url.pathname = `/${DATABASE}`;
    const client = new Client(url.href);
    await client.connect();
    await client.query("set timezone = 'UTC'; set synchronous_commit = off");
    return new BenchDatabase(url.href, client, rows[0]?.version ?? '', server);
  }

  /** One reading a second of each sensor, in order of time as a historian writes them. */
  async fill({ table, sensors, seconds, start }: ReadingsOptions): Promise<Readings> {
    const from = start ?? Math.floor(Date.now() / 1000) - seconds - 60;
    await this.client.query(`
      drop table if exists ${table};
      create table ${table} (sensor_id text not null, timestamp timestamptz not null, value double precision);
      ${insertSql(table, sensors, from, seconds)};
      create index on ${table} (timestamp);`);
    await this.client.query(`vacuum analyze ${table}`);
    return { table, start: from, end: from + seconds, rows: sensors * seconds };
  }

  /** As a historian writes live. */
  async insertSecond(table: string, sensors: number, second: number): Promise<void> {
    await this.client.query(insertSql(table, sensors, second, 1));
  }

  async close(): Promise<void> {
    await this.client.end();
    await this.server?.stop();
  }
}

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

function insertSql(table: string, sensors: number, from: number, seconds: number): string {
  return `
    insert into ${table}
      select 'K' || (100 + sensor % 20) || '.VIB_' || lpad(sensor::text, 5, '0'),
             to_timestamp(${from} + second),
             (50000 + abs(hashint8extended(second::int8 * 1000000 + sensor, ${SEED}) % 100000)) / 1000.0::float8
        from generate_series(0, ${seconds - 1}) second, generate_series(1, ${sensors}) sensor
       order by second, sensor`;
}
