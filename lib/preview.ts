/** A look into a database before anything is deployed: its tables, what one of them holds, its newest readings. */
import { BatchBuilder } from './batch';
import type { ColumnInfo } from './source/columns';
import { indexFor, proposeMapping, type Mapping } from './source/proposal';
import type { ReadingsQuery, Source, TableInfo } from './source/source';

export interface PreviewRequest {
  /** As a query names it. */
  readonly table?: string;
  /** Whose readings are shown; their table is looked at too. */
  readonly query?: ReadingsQuery;
  readonly timeZone: string;
  readonly signal: AbortSignal;
}

export interface Preview {
  readonly tables: readonly string[];
  readonly table?: TablePreview;
  /** As they would be posted, the newest first. */
  readonly readings?: readonly PreviewReading[];
}

export interface TablePreview {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** What the columns look like. */
  readonly mapping: Mapping;
  /** The index that serves windows of the query, or of the proposed mapping. */
  readonly index?: string;
  /** Where there is none: what to ask the administrator of the database for. */
  readonly warning?: string;
}

export interface PreviewReading {
  readonly sensor: string;
  readonly timestamp: string;
  readonly value: unknown;
  readonly [extra: string]: unknown;
}

const NEWEST = 100;
/** Rows are looked at until so many readings are found: those of sensors that are left out are none. */
const ROWS = [100, 1000, 10_000];

/** @throws what {@link Source.read} throws */
export async function preview(source: Source, request: PreviewRequest): Promise<Preview> {
  const { query } = request;
  const name = request.table ?? (query?.from === 'table' ? query.table : undefined);
  const tables = await source.tables();
  const table = name === undefined ? undefined : tablePreview(source, name, await source.table(name), query);
  const readings = query && (await newestReadings(source, query, request));
  return { tables, ...(table ? { table } : {}), ...(readings ? { readings } : {}) };
}

function tablePreview(
  source: Source,
  name: string,
  { isView, columns, indexes }: TableInfo,
  query: ReadingsQuery | undefined,
): TablePreview {
  const mapping = proposeMapping({ columns });
  const along = query?.from === 'table' ? (query.trackBy ?? query.timestampColumn) : mapping.timestampColumn;
  const column = columns.find(({ name: each }) => each === along);
  const index = column && indexFor(column, indexes);
  return {
    columns: columns.map((each) => ({ name: each.name, type: each.type })),
    mapping,
    ...(index ? { index: index.name } : {}),
    ...(column && !index && !isView
      ? { warning: withoutIndex(source.createIndexSql(name, column), column) }
      : {}),
  };
}

function withoutIndex(createIndex: string | undefined, { name }: ColumnInfo): string {
  if (createIndex === undefined) {
    return `No index serves ${JSON.stringify(name)}, for it holds texts: each window reads the whole table. Ask the administrator of the database for a column of a type of time, with an index.`;
  }
  return `No index begins with ${JSON.stringify(name)} in the order of time: each window reads the whole table. Ask the administrator of the database for: ${createIndex}`;
}

async function newestReadings(
  source: Source,
  query: ReadingsQuery,
  request: PreviewRequest,
): Promise<PreviewReading[]> {
  let readings: PreviewReading[] = [];
  for (const rows of ROWS) {
    const found = await readingsOf(source, query, rows, request);
    ({ readings } = found);
    if (readings.length >= NEWEST || found.rows < rows) break;
  }
  return readings
    .sort((a, b) => (a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : 0))
    .slice(0, NEWEST);
}

/** Of the newest rows, and how many rows there were. */
async function readingsOf(
  source: Source,
  query: ReadingsQuery,
  count: number,
  { timeZone, signal }: PreviewRequest,
): Promise<{ readings: PreviewReading[]; rows: number }> {
  const builders: BatchBuilder[] = [];
  let rows = 0;
  await source.newest(query, count, {
    signal,
    sink: (plan) => {
      // One batch whatever its size, over all of time.
      const builder = new BatchBuilder(
        {
          window: { start: 0, end: 0 },
          timeZone,
          timestampFormat: 'iso',
          readingsPerBatch: Infinity,
          nullValues: 'null',
          maxBytes: Infinity,
        },
        plan,
      );
      builders.push(builder);
      return {
        row: (bytes, starts, ends) => {
          rows++;
          builder.row(bytes, starts, ends);
        },
      };
    },
  });
  const [batch] = builders[0]?.end() ?? [];
  if (!batch) return { readings: [], rows };
  const { data } = JSON.parse(batch.body.toString()) as {
    data: Record<string, readonly Omit<PreviewReading, 'sensor'>[]>;
  };
  const readings = Object.entries(data).flatMap(([sensor, list]) =>
    list.map((reading) => ({ ...reading, sensor }) as PreviewReading),
  );
  return { readings, rows };
}
