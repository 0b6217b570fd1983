/**
 * The clock of a test's database, which then stands still until it is moved: a function of PostgreSQL's own name
 * that is found before it.
 */
import type { Plant } from './plant';

export interface DatabaseClock {
  /** Connections from now on, and those that know it already, have this time. */
  set(time: string): Promise<void>;
}

export function useDatabaseClock(plant: Plant): DatabaseClock {
  beforeEach(async () => {
    await plant.client.query(`
      create schema if not exists test_clock;
      create table if not exists test_clock.time (now timestamptz);
      create or replace function test_clock.clock_timestamp() returns timestamptz
        language sql volatile as 'select now from test_clock.time';
      do $$ begin
        execute format('alter database %I set search_path = public, test_clock, pg_catalog', current_database());
      end $$`);
  });
  return {
    async set(time) {
      await plant.client.query('begin');
      await plant.client.query('delete from test_clock.time');
      await plant.client.query('insert into test_clock.time values ($1)', [time]);
      await plant.client.query('commit');
    },
  };
}
