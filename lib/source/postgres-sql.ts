/**
 * The text of the connector's queries on PostgreSQL. COPY takes no bound parameters, so every literal here is
 * either made from numbers (a window's edges) or quoted by the driver's own escaping (names, sensors).
 */
import { escapeIdentifier, escapeLiteral } from 'pg';
import { TmError } from '../errors';
import { formatInstant, type EpochSeconds, type Window } from '../window';
import { toLocalBound } from '../zone';
import type { ReadingColumns, TimestampKind, ValueKind } from './columns';
import type { ReadingsQuery, SqlQuery, TableQuery } from './source';
import { replaceParameters } from './sql-parameters';

/** Columns of the user's own SQL, by the names it may give them. */
const SENSOR_NAMES = ['sensor', 'sensor_id'];

/** `schema.table` with each part quoted; a part in double quotes may hold a dot. */
function quoteTable(table: string): string {
  const parts = table.trim().match(/"(?:[^"]|"")+"|[^".]+/g);
  if (parts?.join('.') !== table.trim() || parts.length > 3) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `table ${JSON.stringify(table)} is not a table's name. Give table or schema.table; quote a part that holds a dot: "my.schema".table`,
    );
  }
  return parts
    .map((part) =>
      escapeIdentifier(part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.trim()),
    )
    .join('.');
}

/** A query that returns no row, only what its columns are. */
export function describeSql(query: ReadingsQuery): string {
  // Any window will do; an instant serves timestamps of both kinds.
  const anyWindow = { start: 0, end: 1 };
  return query.from === 'table'
    ? `SELECT ${tableColumns(query)} FROM ${quoteTable(query.table)} LIMIT 0`
    : `SELECT * FROM (${userSql(query, anyWindow, 'instant')}\n) AS readings LIMIT 0`;
}

/** The rows of a window as (timestamp, sensor, value) in order of time. */
export function windowSql(
  query: ReadingsQuery,
  columns: PostgresColumns,
  window: Window,
  timeZone: string,
  from?: string,
): string {
  const bounds = edges(window, columns.timestamp, timeZone);
  const { timestampName } = columns;
  const type = columns.timestamp === 'instant' ? 'timestamptz' : 'timestamp';
  const behind = from === undefined ? '' : ` AND ${timestampName} >= ${escapeLiteral(from)}::${type}`;
  const range = `${timestampName} >= ${bounds.start}${behind} AND ${timestampName} < ${bounds.end}`;
  const selected = `${timestampName}, ${columns.sensorName}::text, ${columns.valueName}`;
  if (query.from === 'sql') {
    return `SELECT ${selected} FROM (${userSql(query, window, columns.timestamp, timeZone)}\n) AS readings WHERE ${range} ORDER BY 1`;
  }
  const sensors =
    query.sensors.length === 0
      ? ''
      : ` AND ${columns.sensorName} IN (${query.sensors.map((sensor) => escapeLiteral(sensor)).join(', ')})`;
  return `SELECT ${selected} FROM ${quoteTable(query.table)} WHERE ${range}${sensors} ORDER BY 1`;
}

/** The oldest timestamp as text, in UTC or naive as the column is. */
export function oldestSql(
  query: ReadingsQuery,
  columns: PostgresColumns,
  now: EpochSeconds,
  timeZone: string,
): string {
  const from =
    query.from === 'table'
      ? quoteTable(query.table)
      : `(${userSql(query, { start: 0, end: now }, columns.timestamp, timeZone)}\n) AS readings`;
  const { timestampName } = columns;
  return `SELECT min(${timestampName})::text AS oldest FROM ${from} WHERE ${timestampName} > '-infinity'`;
}

export interface PostgresColumns extends ReadingColumns {
  /** Quoted names. */
  readonly timestampName: string;
  readonly sensorName: string;
  readonly valueName: string;
}

export interface PostgresField {
  readonly name: string;
  readonly dataTypeID: number;
}

/** @throws TmError TM_QUERY_COLUMNS where a column is missing or cannot be what it is named as */
export function columnsOf(query: ReadingsQuery, fields: readonly PostgresField[]): PostgresColumns {
  const [timestamp, sensor, value] = query.from === 'table' ? fields : findByName(fields);
  if (!timestamp || !sensor || !value) throw missingColumns(fields);
  return {
    timestampName: escapeIdentifier(timestamp.name),
    sensorName: escapeIdentifier(sensor.name),
    valueName: escapeIdentifier(value.name),
    timestamp: timestampKind(timestamp),
    value: VALUE_KINDS[value.dataTypeID] ?? 'text',
  };
}

/** Type ids of pg_type.dat, stable across versions. */
const VALUE_KINDS: Readonly<Record<number, ValueKind>> = {
  16: 'boolean',
  20: 'integer',
  21: 'number',
  23: 'number',
  700: 'number',
  701: 'number',
  1700: 'decimal',
};
const TIMESTAMP_KINDS: Readonly<Record<number, TimestampKind>> = {
  1082: 'naive', // date: its midnight
  1114: 'naive',
  1184: 'instant',
};

function timestampKind(field: PostgresField): TimestampKind {
  const kind = TIMESTAMP_KINDS[field.dataTypeID];
  if (kind) return kind;
  throw new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp column ${JSON.stringify(field.name)} is neither timestamptz, timestamp nor date. Choose another column, or cast it in SQL of your own.`,
  );
}

function findByName(fields: readonly PostgresField[]): (PostgresField | undefined)[] {
  const named = (names: readonly string[]): PostgresField | undefined =>
    fields.find((field) => names.includes(field.name.toLowerCase()));
  return [named(['timestamp']), named(SENSOR_NAMES), named(['value'])];
}

function missingColumns(fields: readonly PostgresField[]): TmError {
  const given = fields.map(({ name }) => name).join(', ');
  return new TmError(
    'TM_QUERY_COLUMNS',
    `The SQL must return the columns timestamp, value and sensor (or sensor_id); it returns ${given || 'none'}. Name them with AS.`,
  );
}

function tableColumns(query: TableQuery): string {
  return [query.timestampColumn, query.sensorColumn, query.valueColumn]
    .map((name) => escapeIdentifier(name))
    .join(', ');
}

function userSql(query: SqlQuery, window: Window, kind: TimestampKind, timeZone = 'UTC'): string {
  const sql = query.sql.trim().replace(/;\s*$/, '');
  // Untyped literals: they become whatever type the user's column or function has.
  const text = edgeTexts(window, kind, timeZone);
  return replaceParameters(sql, (name) => {
    if (name === 'start_time') return escapeLiteral(text.start);
    if (name === 'end_time') return escapeLiteral(text.end);
    return `:${name}`;
  });
}

function edges(window: Window, kind: TimestampKind, timeZone: string): { start: string; end: string } {
  const type = kind === 'instant' ? 'timestamptz' : 'timestamp';
  const text = edgeTexts(window, kind, timeZone);
  return { start: `${escapeLiteral(text.start)}::${type}`, end: `${escapeLiteral(text.end)}::${type}` };
}

function edgeTexts(window: Window, kind: TimestampKind, timeZone: string): { start: string; end: string } {
  const text = (edge: EpochSeconds): string =>
    kind === 'instant'
      ? formatInstant(edge)
      : formatInstant(toLocalBound(edge, timeZone)).replace('T', ' ').replace('Z', '');
  return { start: text(window.start), end: text(window.end) };
}
