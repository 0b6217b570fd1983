/**
 * A plant of the test's own: a table of readings in a real database, a cloud that remembers what it took, and
 * the nodes between them wired as in the schedule example.
 */
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { startCloud, type Cloud, type CloudOptions } from '../../scripts/start/cloud';
import { Bookmark } from '../../lib/bookmark';
import { FileStore } from '../../lib/state/file-store';
import { testDirectory } from './directory';
import type { FlowNode } from './flow';
import { testDatabase, type TestDatabase } from './test-database';

const KEY = 'test-endpoint-key';
const BOOKMARK = 'plant';

export interface Plant {
  readonly cloud: Cloud;
  readonly client: Client;
  readonly credentials: {
    readonly 'cfg-1': {
      readonly databaseUrl: string;
      readonly endpointKey: string;
      readonly requestKey: string;
    };
  };
  /** Readings of some sensors, one a second each; the value is the second. */
  history(from: string, seconds: number, sensors?: number): Promise<void>;
  /** Where the bookmark stands, as a process started now would find it. */
  position(): Promise<number | undefined>;
  /** Asserts that what the cloud took is what the table holds: nothing missing, nothing twice. */
  assertAllArrived(): Promise<void>;
  flow(overrides?: Readonly<Record<string, object>>): FlowNode[];
  /** Closes the cloud and opens another at the same address. */
  replaceCloud(options?: Partial<CloudOptions>): Promise<Cloud>;
}

export interface PlantSurroundings {
  /** Default: one on the tests' server. */
  readonly database?: Pick<TestDatabase, 'url'>;
  /** The URL that the nodes have of the database; default: its own. */
  readonly databaseUrl?: (url: string) => string;
}

/** Made anew for each test of the calling `describe`. */
export function usePlant(
  options: Partial<CloudOptions> = {},
  { database = testDatabase(), databaseUrl = (url) => url }: PlantSurroundings = {},
): Plant {
  const directory = testDirectory();
  let cloud: Cloud | undefined;
  let client: Client | undefined;

  beforeEach(async () => {
    cloud = await startCloud({ key: KEY, keep: 'readings', ...options });
    client = new Client(database.url);
    // A test may cut every connection to the database.
    client.on('error', () => undefined);
    await client.connect();
    await client.query(`
      drop table if exists sensor_data;
      create table sensor_data (sensor_id text not null, timestamp timestamptz not null, value double precision);
      create index on sensor_data (timestamp)`);
  });
  afterEach(async () => {
    await client?.end();
    await cloud?.close();
  });

  const opened = <Thing>(thing: Thing | undefined): Thing => {
    assert(thing, 'only inside a test');
    return thing;
  };

  return {
    get cloud() {
      return opened(cloud);
    },
    get client() {
      return opened(client);
    },
    get credentials() {
      return {
        'cfg-1': {
          databaseUrl: databaseUrl(database.url),
          endpointKey: KEY,
          requestKey: 'test-request-key',
        },
      };
    },
    async history(from, seconds, sensors = 3) {
      await opened(client).query(
        `insert into sensor_data
           select 'K101.TAG_' || sensor, $1::timestamptz + second * interval '1 s', second
             from generate_series(0, $2::int - 1) second, generate_series(1, $3::int) sensor`,
        [from, seconds, sensors],
      );
    },
    async position() {
      return (await Bookmark.open(new FileStore(directory.path), BOOKMARK)).position;
    },
    async assertAllArrived() {
      // A connection of its own: the server may have been restarted.
      const looking = new Client(database.url);
      await looking.connect();
      const { rows } = await looking.query<{ reading: string }>(`
        select sensor_id || ' ' || to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' ' || value as reading
          from sensor_data`);
      await looking.end();
      const arrived = opened(cloud)
        .readings()
        .map(({ sensor, timestamp, value }) => `${sensor} ${timestamp} ${value}`);
      assert.deepEqual(arrived.sort(), rows.map(({ reading }) => reading).sort());
    },
    flow(overrides = {}) {
      const nodes: FlowNode[] = [
        { id: 'cfg-1', type: 'tm-config', endpoint: opened(cloud).url, stateDirectory: directory.path },
        {
          id: 'bookmark-next',
          type: 'tm-bookmark',
          config: 'cfg-1',
          action: 'next',
          bookmark: BOOKMARK,
          start: 'oldest',
          wires: [['fetch-1']],
        },
        { id: 'fetch-1', type: 'tm-fetch', config: 'cfg-1', table: 'sensor_data', wires: [['post-1']] },
        { id: 'post-1', type: 'tm-post', config: 'cfg-1', wires: [['bookmark-commit'], ['refused']] },
        {
          id: 'bookmark-commit',
          type: 'tm-bookmark',
          config: 'cfg-1',
          action: 'commit',
          wires: [['committed']],
        },
        { id: 'committed', type: 'helper' },
        { id: 'refused', type: 'helper' },
        { id: 'catch-all', type: 'catch', wires: [['errors']] },
        { id: 'errors', type: 'helper' },
      ];
      return nodes.map((node) => ({ ...node, ...overrides[node.id] }));
    },
    async replaceCloud(replacement = {}) {
      const port = Number(new URL(opened(cloud).url).port);
      await opened(cloud).close();
      cloud = await startCloud({ key: KEY, keep: 'readings', ...options, port, ...replacement });
      return cloud;
    },
  };
}
