/** A look into a database before anything is deployed: its tables, what one of them holds, its newest readings. */
import { BatchBuilder } from './batch';
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
  const index = along === undefined ? undefined : indexFor(along, indexes);
  const lacks = along !== undefined && !index && !isView && columns.some((column) => column.name === along);
  return {
    columns: columns.map((column) => ({ name: column.name, type: column.type })),
    mapping,
    ...(index ? { index: index.name } : {}),
    ...(lacks
      ? {
          warning: `No index begins with ${JSON.stringify(along)}: each window reads the whole table. Ask the administrator of the database for: ${source.createIndexSql(name, along)}`,
        }
      : {}),
  };
}

async function newestReadings(
  source: Source,
  query: ReadingsQuery,
  { timeZone, signal }: PreviewRequest,
): Promise<PreviewReading[]> {
  const builders: BatchBuilder[] = [];
  await source.newest(query, NEWEST, {
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
      return builder;
    },
  });
  const [batch] = builders[0]?.end() ?? [];
  if (!batch) return [];
  const { data } = JSON.parse(batch.body.toString()) as {
    data: Record<string, readonly Omit<PreviewReading, 'sensor'>[]>;
  };
  return Object.entries(data)
    .flatMap(([sensor, list]) => list.map((reading) => ({ ...reading, sensor }) as PreviewReading))
    .sort((a, b) => (a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : 0));
}
