import type { BatchSettings } from '../../lib/batch';
import { parseDatabaseUrl } from '../../lib/database-url';
import { readBatches } from '../../lib/reading';
import { PostgresSource, type PostgresSettings } from '../../lib/source/postgres';
import type { ReadingsQuery, Source, TableQuery } from '../../lib/source/source';
import { parseWindow, type Window } from '../../lib/window';

export const windowOf = (start_time: string, end_time: string): Window =>
  parseWindow({ start_time, end_time });

/** Where {@link usePlant} has its readings. */
export const SENSOR_DATA: TableQuery = {
  from: 'table',
  table: 'sensor_data',
  sensorColumn: 'sensor_id',
  timestampColumn: 'timestamp',
  valueColumn: 'value',
  sensors: [],
};

export function openSource(databaseUrl: string, settings: Partial<PostgresSettings> = {}): Source {
  return new PostgresSource({
    address: parseDatabaseUrl(databaseUrl),
    timeZone: 'UTC',
    statementTimeoutSeconds: 60,
    poolSize: 4,
    ...settings,
  });
}

/** The bodies that a window is posted as, in order. `sent` takes each as it is sent, where the window fails too. */
export async function windowBodies(
  source: Source,
  query: ReadingsQuery,
  window: Window,
  settings: Partial<BatchSettings> = {},
  sent: string[] = [],
): Promise<string[]> {
  await readBatches(
    source,
    query,
    {
      window,
      timeZone: 'UTC',
      timestampFormat: 'iso',
      readingsPerBatch: 1000,
      nullValues: 'null',
      maxBytes: 5_000_000,
      ...settings,
    },
    {
      room: () => Promise.resolve(),
      send: ({ body }) => {
        sent.push(body.toString());
      },
    },
    new AbortController().signal,
  );
  return sent;
}
