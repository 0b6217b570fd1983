import type { BatchSettings } from '../../lib/batch';
import { parseDatabaseUrl } from '../../lib/database-url';
import { readBatches } from '../../lib/reading';
import type { EngineSettings } from '../../lib/source/engine-settings';
import { openSource as open } from '../../lib/source/open';
import type { LongQuery, ReadingsQuery, Source } from '../../lib/source/source';
import { parseWindow, type Window } from '../../lib/window';

export const windowOf = (start_time: string, end_time: string): Window =>
  parseWindow({ start_time, end_time });

/** Where {@link usePlant} has its readings. */
export const SENSOR_DATA: LongQuery = {
  from: 'table',
  table: 'sensor_data',
  sensorColumn: 'sensor_id',
  timestampColumn: 'timestamp',
  valueColumn: 'value',
  sensors: [],
};

export function openSource(databaseUrl: string, settings: Partial<EngineSettings> = {}): Source {
  return open({
    address: parseDatabaseUrl(databaseUrl),
    timeZone: 'UTC',
    statementTimeoutSeconds: 60,
    poolSize: 4,
    ...settings,
  });
}

export interface Reading extends Partial<BatchSettings> {
  /** Takes each body as it is sent, where the window fails later too. */
  readonly sent?: string[];
  readonly room?: () => Promise<void>;
}

/** The bodies that a window is posted as, in order. */
export async function windowBodies(
  source: Source,
  query: ReadingsQuery,
  window: Window,
  { sent = [], room = () => Promise.resolve(), ...settings }: Reading = {},
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
      room,
      send: ({ body }) => {
        sent.push(body.toString());
      },
    },
    new AbortController().signal,
  );
  return sent;
}
