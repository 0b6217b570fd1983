/** What the fields of a query's rows mean: made once from the query and its columns, then followed row by row. */
import { TmError } from '../errors';
import { AcceptedQuality } from '../quality';
import { looksNumeric, valueKind, type ColumnInfo, type TimeColumn, type ValueKind } from './columns';
import { SensorNames, suffixesOf } from './sensors';
import type { ReadingsQuery } from './query';

export interface ReadingPlan {
  /** What rows are ordered by: batches are cut and reads taken up again along it. */
  readonly order: TimeField;
  /** The time that is posted; the same field as `order`, unless windows track another column. */
  readonly timestamp: TimeField;
  /** Undefined: each value's field is a sensor of its own. */
  readonly sensor: { readonly field: number; readonly padded: boolean } | undefined;
  readonly values: readonly ValueField[];
  readonly extras: readonly ExtraField[];
  /** Rows of other qualities are left out; undefined: there are none to look at. */
  readonly quality: { readonly field: number; readonly accepted: AcceptedQuality } | undefined;
  readonly names: SensorNames;
}

export interface TimeField {
  readonly field: number;
  readonly time: TimeColumn;
}

interface ValueField {
  readonly field: number;
  readonly kind: ValueKind;
  readonly padded: boolean;
  /** Behind the sensor's name; or the sensor itself, where there is no sensor field. */
  readonly name: string;
}

type ExtraField = ValueField;

/** The columns of a query by what they are for. */
export interface Roles {
  readonly timestamp: ColumnInfo;
  readonly order: ColumnInfo;
  readonly sensor: ColumnInfo | undefined;
  readonly values: readonly ColumnInfo[];
  readonly quality: ColumnInfo | undefined;
  readonly extras: readonly ColumnInfo[];
}

/** Names of columns to ask for; undefined: all there are. */
export function namedColumns(query: ReadingsQuery): string[] | undefined {
  if (query.from === 'sql' || (query.shape === 'wide' && query.valueColumns.length === 0)) return undefined;
  const values = query.shape === 'wide' ? query.valueColumns : valueColumnsOf(query.valueColumn);
  return [
    ...new Set([
      query.timestampColumn,
      ...(query.shape === 'wide' ? [] : [query.sensorColumn]),
      ...values,
      ...optionalColumns(query),
    ]),
  ];
}

/**
 * @param columns of {@link namedColumns}, in their order; or all of the table or of the user's SQL
 * @throws TmError TM_QUERY_COLUMNS where one is missing
 */
export function rolesOf(query: ReadingsQuery, columns: readonly ColumnInfo[]): Roles {
  const asked = namedColumns(query);
  // A database may answer with names in other letters than they were asked for: their order tells them apart.
  const named = new Map(asked?.map((name, index) => [name, columns[index]]));
  const find = (name: string): ColumnInfo => {
    const column = asked ? named.get(name) : columnNamed(columns, [name]);
    if (column) return column;
    throw new TmError(
      'TM_QUERY_COLUMNS',
      `There is no column ${JSON.stringify(name)}; there are ${namesOf(columns)}.`,
    );
  };
  const main = query.from === 'sql' ? sqlRoles(columns) : tableRoles(query, columns, find);
  return {
    ...main,
    order: query.trackBy === undefined ? main.timestamp : find(query.trackBy),
    quality: query.quality && find(query.quality.column),
    extras: (query.extras ?? []).map(({ column }) => find(column)),
  };
}

/** The fields of a row in the order in which they are selected. */
export function selectedColumns(roles: Roles): ColumnInfo[] {
  const { timestamp, order, sensor, values, extras, quality } = roles;
  return [
    timestamp,
    ...(order === timestamp ? [] : [order]),
    ...(sensor ? [sensor] : []),
    ...values,
    ...extras,
    ...(quality ? [quality] : []),
  ];
}

export function planOf(
  query: ReadingsQuery,
  roles: Roles,
  times: { readonly timestamp: TimeColumn; readonly order: TimeColumn },
): ReadingPlan {
  let field = 0;
  const timestamp = { field: field++, time: times.timestamp };
  const order = roles.order === roles.timestamp ? timestamp : { field: field++, time: times.order };
  const sensor = roles.sensor && { field: field++, padded: roles.sensor.padded === true };
  const suffixes = sensor ? suffixesOf(roles.values.map(({ name }) => name)) : [''];
  const prefix = query.from === 'table' && query.shape === 'wide' ? query.prefix : '';
  const valueField = (column: ColumnInfo, name: string): ValueField => ({
    field: field++,
    kind: valueKind(column),
    padded: column.padded === true,
    name,
  });
  return {
    timestamp,
    order,
    sensor,
    values: roles.values.map((column, index) =>
      valueField(column, sensor ? (suffixes[index] ?? '') : `${prefix}${column.name}`),
    ),
    extras: roles.extras.map((column, index) =>
      valueField(column, query.extras?.[index]?.name ?? column.name),
    ),
    quality: roles.quality && {
      field: field++,
      accepted: new AcceptedQuality(query.quality?.accepted ?? [], {
        kind: valueKind(roles.quality),
        padded: roles.quality.padded === true,
      }),
    },
    names: new SensorNames(query, suffixes),
  };
}

type MainRoles = Pick<Roles, 'timestamp' | 'sensor' | 'values'>;
type Find = (name: string) => ColumnInfo;

function tableRoles(
  query: Exclude<ReadingsQuery, { from: 'sql' }>,
  columns: readonly ColumnInfo[],
  find: Find,
): MainRoles {
  const timestamp = find(query.timestampColumn);
  if (query.shape !== 'wide') {
    return {
      timestamp,
      sensor: find(query.sensorColumn),
      values: valueColumnsOf(query.valueColumn).map(find),
    };
  }
  const other = new Set([timestamp, ...optionalColumns(query).map(find)]);
  const chosen =
    query.valueColumns.length > 0
      ? query.valueColumns.map(find)
      : columns.filter((column) => looksNumeric(column) && !other.has(column));
  const names = new SensorNames(query);
  const values = chosen.filter(({ name }) => names.posted(`${query.prefix}${name}`) !== undefined);
  if (values.length > 0) return { timestamp, sensor: undefined, values };
  throw new TmError(
    'TM_QUERY_COLUMNS',
    chosen.length > 0
      ? `None of the columns ${namesOf(chosen)} is among the sensors that are read. Their names are ${JSON.stringify(query.prefix)} and the column.`
      : `There is no numeric column besides the timestamp; there are ${namesOf(columns)}.`,
  );
}

function sqlRoles(columns: readonly ColumnInfo[]): MainRoles {
  const timestamp = columnNamed(columns, ['timestamp']);
  const sensor = columnNamed(columns, ['sensor', 'sensor_id']);
  const value = columnNamed(columns, ['value']);
  if (timestamp && sensor && value) return { timestamp, sensor, values: [value] };
  throw new TmError(
    'TM_QUERY_COLUMNS',
    `The SQL must return the columns timestamp, value and sensor (or sensor_id); it returns ${namesOf(columns)}. Name them with AS.`,
  );
}

function optionalColumns({ trackBy, quality, extras = [] }: ReadingsQuery): string[] {
  return [
    ...(trackBy === undefined ? [] : [trackBy]),
    ...(quality === undefined ? [] : [quality.column]),
    ...extras.map(({ column }) => column),
  ];
}

function valueColumnsOf(valueColumn: string | readonly string[]): readonly string[] {
  return typeof valueColumn === 'string' ? [valueColumn] : valueColumn;
}

/** Exactly, or else in whatever letters. */
function columnNamed(columns: readonly ColumnInfo[], names: readonly string[]): ColumnInfo | undefined {
  const lower = names.map((name) => name.toLowerCase());
  return (
    columns.find(({ name }) => names.includes(name)) ??
    columns.find(({ name }) => lower.includes(name.toLowerCase()))
  );
}

function namesOf(columns: readonly ColumnInfo[]): string {
  return columns.map(({ name }) => name).join(', ') || 'none';
}
