/** A table, sources on it, and what a window of it posts. */
import assert from 'node:assert/strict';
import type { BatchSettings, ReadingCounts } from '../../lib/batch';
import { readBatches } from '../../lib/reading';
import type { ColumnInfo } from '../../lib/source/columns';
import type { Dialect } from '../../lib/source/dialect';
import type { EngineSettings } from '../../lib/source/engine-settings';
import { openSource } from '../../lib/source/open';
import { namedColumns, rolesOf } from '../../lib/source/plan';
import type { LongQuery, ReadingsQuery, Source } from '../../lib/source/source';
import type { Sql } from '../../lib/source/sql-text';
import { Statements } from '../../lib/source/statements';
import { edgeBound, timeColumn } from '../../lib/source/time-column';
import { parseWindow, type Window } from '../../lib/window';
import { toLocal } from '../../lib/zone';
import type { EngineFixture, TestTime, TimeType } from './fixture';

export interface PostedReading {
  readonly timestamp: string;
  readonly value: unknown;
  readonly [extra: string]: unknown;
}
/** A sensor may be called __proto__: there is no prototype. */
export type Posted = Record<string, PostedReading[]>;

export const windowOf = (start: string, end: string): Window =>
  parseWindow({ start_time: start, end_time: end });
export const DAY = windowOf('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z');

/** INSERT takes so many rows at most (SQL Server). */
const ROWS_AT_ONCE = 500;

export class Harness {
  /** Of the last window that was read. */
  counts: ReadingCounts | undefined;
  readonly #sources: Source[] = [];

  constructor(readonly fixture: EngineFixture) {}

  open(overrides: Partial<EngineSettings> = {}): Source {
    const source = openSource({ ...this.fixture.settings(), ...overrides });
    this.#sources.push(source);
    return source;
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.#sources.splice(0).map((source) => source.close()));
  }

  /** Makes the table anew. Cells are inserted as texts, which the database converts. */
  async table(
    columns: Readonly<Record<string, string>>,
    rows: readonly (readonly (string | null)[])[] = [],
    name = 'readings',
  ): Promise<void> {
    const { quote } = this.fixture;
    await this.drop(name);
    const definitions = Object.entries(columns).map(([column, type]) => `${quote(column)} ${type}`);
    await this.fixture.execute(`CREATE TABLE ${quote(name)} (${definitions.join(', ')})`);
    await this.insert(rows, name);
  }

  async drop(name = 'readings'): Promise<void> {
    await this.fixture.execute(`DROP TABLE IF EXISTS ${this.fixture.quote(name)}`);
  }

  async insert(rows: readonly (readonly (string | null)[])[], name = 'readings'): Promise<void> {
    const { quote, literal } = this.fixture;
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      const lists = rows
        .slice(at, at + ROWS_AT_ONCE)
        .map((row) => `(${row.map((cell) => (cell === null ? 'NULL' : literal(cell))).join(', ')})`);
      await this.fixture.execute(`INSERT INTO ${quote(name)} VALUES ${lists.join(', ')}`);
    }
  }

  /** A table of sensor, ts and value; the first sort of time that the engine has. */
  async readings(
    rows: readonly (readonly [sensor: string, time: string, value: string | null])[],
  ): Promise<void> {
    const { types } = this.fixture;
    const time = this.time;
    await this.table(
      { sensor: types.varchar(100), ts: time.type, value: types.double },
      rows.map(([sensor, at, value]) => [sensor, time.write(timeAt(at, 'UTC')), value]),
    );
  }

  get time(): TimeType {
    const [time] = this.fixture.times;
    assert(time);
    return time;
  }

  /** Everything that a window posts, put together again. */
  async posted(
    query: ReadingsQuery = longQuery(),
    window: Window = DAY,
    { source = this.open(), ...settings }: { source?: Source } & Partial<BatchSettings> = {},
  ): Promise<Posted> {
    const all = Object.create(null) as Posted;
    for (const body of await this.bodies(query, window, { source, ...settings })) {
      for (const [sensor, list] of Object.entries((JSON.parse(body) as { data: Posted }).data)) {
        all[sensor] = [...(all[sensor] ?? []), ...list];
      }
    }
    return all;
  }

  async bodies(
    query: ReadingsQuery,
    window: Window,
    { source = this.open(), ...settings }: { source?: Source } & Partial<BatchSettings> = {},
  ): Promise<string[]> {
    const bodies: string[] = [];
    const consumer = {
      room: () => Promise.resolve(),
      send: ({ body }: { body: Buffer }) => {
        bodies.push(body.toString());
      },
    };
    const { counts } = await readBatches(
      source,
      query,
      batchSettings({ window, ...settings }),
      consumer,
      new AbortController().signal,
    );
    this.counts = counts;
    return bodies;
  }
}

/**
 * The statement that reads a window, for its plan to be looked at.
 * @param columns of the table, as the source says
 * @param newest what the column of time holds
 */
export function windowStatement(
  dialect: Dialect,
  columns: readonly ColumnInfo[],
  { newest, query = longQuery(), window = DAY }: { newest: string; query?: ReadingsQuery; window?: Window },
): Sql {
  const named = new Map(columns.map((column) => [column.name, column]));
  const roles = rolesOf(
    query,
    (namedColumns(query) ?? []).flatMap((name) => named.get(name) ?? []),
  );
  const order = timeColumn(roles.order, undefined, newest);
  const edges = {
    start: edgeBound(window.start, order, 'UTC', roles.order),
    end: edgeBound(window.end, order, 'UTC', roles.order),
  };
  return new Statements(dialect).window({ query, roles, order }, edges);
}

export function batchSettings(overrides: Partial<BatchSettings> = {}): BatchSettings {
  return {
    window: DAY,
    timeZone: 'UTC',
    timestampFormat: 'iso',
    readingsPerBatch: 1000,
    nullValues: 'null',
    maxBytes: 5_000_000,
    ...overrides,
  };
}

export function longQuery(overrides: Partial<LongQuery> = {}): LongQuery {
  return {
    from: 'table',
    table: 'readings',
    sensorColumn: 'sensor',
    timestampColumn: 'ts',
    valueColumn: 'value',
    ...overrides,
  };
}

/** @param iso in UTC, with any fraction */
export function timeAt(iso: string, timeZone: string): TestTime {
  const [whole = '', fraction = ''] = iso.replace('Z', '').split('.');
  const seconds = Date.parse(`${whole}Z`) / 1000;
  const local = new Date(toLocal(seconds, timeZone) * 1000).toISOString().slice(0, 19).replace('T', ' ');
  return { seconds, fraction, local };
}

/** A posted timestamp without zeros that only a type's width puts behind it. */
export function shortest(timestamp: string): string {
  return timestamp.replace(/(\.\d*?)0+Z$/, '$1Z').replace('.Z', 'Z');
}

export function valuesOf(readings: readonly PostedReading[] | undefined): unknown[] {
  return (readings ?? []).map(({ value }) => value);
}
