/**
 * The PostgreSQL of the tests: the one that TEST_POSTGRES_URL names, or one of their own, started for the first
 * test that needs it and stopped after the last one of the run.
 */
import { startPostgres, type Postgres } from '../../scripts/start/postgres';

let own: Promise<Postgres> | undefined;

/** The URL of a database from which tests may make others. */
export async function postgresUrl(): Promise<string> {
  const given = process.env.TEST_POSTGRES_URL;
  if (given) return given;
  own ??= startPostgres({});
  return (await own).url('postgres');
}

// Outside any describe: after all files. Where mocha itself is killed the server ends all the same.
after(async () => {
  await (await own)?.stop();
});
