/** Which columns of a table look like sensor, timestamp and value, and whether an index serves its windows. */
import { looksNumeric, type ColumnInfo } from './columns';
import type { IndexInfo, TableInfo } from './source';

export interface Mapping {
  readonly shape: 'long' | 'wide';
  readonly timestampColumn?: string;
  readonly sensorColumn?: string;
  readonly valueColumn?: string;
  readonly qualityColumn?: string;
  /** That looks as if rows were stamped by it when they came. */
  readonly trackBy?: string;
}

const NAMES = {
  // The likelier ones first.
  timestamp: [/^(time_?stamp|ts|date_?time|time|t|at)$/i, /time|date|stamp|(^|_)(ts|at)$/i],
  sensor: [
    /^(sensor|tag|point|signal|channel)(_?(id|name|no))?$/i,
    /sensor|tag|point|signal|channel/i,
    /name|id$/i,
  ],
  value: [/^(value|val|reading|measurement)$/i, /value|val$|reading|measure/i],
  quality: [/^(quality|opc_?quality|status|state)$/i, /quality/i],
  arrival: [/insert|created|received|ingest|arriv|logged|stored/i],
  arrivalTime: [/^(insert|creat|receiv|ingest|arriv|log|stor)\w*_?(at|time|on|date|ts)$/i],
} as const;

export function proposeMapping({ columns }: Pick<TableInfo, 'columns'>): Mapping {
  const taken = new Set<ColumnInfo>();
  const take = (
    role: keyof typeof NAMES,
    fits: (column: ColumnInfo) => boolean,
    fallback?: (column: ColumnInfo) => boolean,
  ): string | undefined => {
    const left = columns.filter((column) => !taken.has(column));
    const named = NAMES[role]
      .map((pattern) => left.find((column) => fits(column) && pattern.test(column.name)))
      .find((column) => column !== undefined);
    const column = named ?? (fallback && left.find(fallback));
    if (column) taken.add(column);
    return column?.name;
  };
  const arrival = take('arrival', isTime) ?? take('arrivalTime', () => true);
  // Numbers and texts are times only where they are called so.
  const timestamp =
    take('timestamp', isTime, isTime) ??
    take('timestamp', (column) => looksNumeric(column) || isText(column));
  const quality = take('quality', () => true);
  const sensor = take('sensor', isText) ?? take('sensor', looksNumeric);
  const value = take('value', () => true, looksNumeric);
  const numeric = columns.filter((column) => looksNumeric(column) && !taken.has(column));
  const isLong = sensor !== undefined || (value !== undefined && numeric.length === 0);
  return {
    shape: isLong ? 'long' : 'wide',
    ...named('timestampColumn', timestamp ?? arrival),
    ...(isLong ? { ...named('sensorColumn', sensor), ...named('valueColumn', value) } : {}),
    ...named('qualityColumn', quality),
    ...named('trackBy', timestamp === undefined ? undefined : arrival),
  };
}

/** The index that finds a window's rows: one that begins with the column of time, and has its order. */
export function indexFor(
  { name, kind }: Pick<ColumnInfo, 'name' | 'kind'>,
  indexes: readonly IndexInfo[],
): IndexInfo | undefined {
  return indexes.find(
    ({ columns: [first], byCodePoints }) => first === name && (kind !== 'text' || byCodePoints === true),
  );
}

function named<Name extends string>(name: Name, column: string | undefined): Partial<Record<Name, string>> {
  return column === undefined ? {} : ({ [name]: column } as Partial<Record<Name, string>>);
}

function isTime({ kind }: ColumnInfo): boolean {
  return kind === 'instant' || kind === 'naive';
}

function isText({ kind }: ColumnInfo): boolean {
  return kind === 'text' || kind === 'mixed';
}
