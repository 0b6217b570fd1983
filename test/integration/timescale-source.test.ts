import assert from 'node:assert/strict';
import { Client } from 'pg';
import { readBatches } from '../../lib/reading';
import { parseDatabaseUrl } from '../../lib/database-url';
import { preview } from '../../lib/preview';
import { openSource } from '../../lib/source/open';
import { parameterised, postgresDialect } from '../../lib/source/postgres-dialect';
import type { Source } from '../../lib/source/source';
import type { Window } from '../../lib/window';
import { batchSettings, longQuery, windowOf, windowStatement } from '../contract/harness';
import { testDatabase } from '../support/test-database';

const SERVER = process.env.TEST_TIMESCALE_URL;
const without = SERVER ? '' : ' (skipped: TEST_TIMESCALE_URL names no TimescaleDB)';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** Ten chunks of a day each, a reading of each sensor a minute. */
const FIRST_DAY = '2026-01-01';
const DAYS = 10;
const SENSORS = 20;
const ACROSS_CHUNKS = windowOf('2026-01-03T22:00:00Z', '2026-01-04T02:00:00Z');
const READINGS = 4 * 60 * SENSORS;

(SERVER ? describe : describe.skip)(`A source on TimescaleDB${without}`, () => {
  const database = testDatabase(() => SERVER ?? '');
  let client: Client;
  let source: Source;
  before(async () => {
    client = new Client(database.url);
    // The database is dropped with whoever is still connected.
    client.on('error', () => undefined);
    await client.connect();
    await client.query('CREATE EXTENSION IF NOT EXISTS timescaledb');
  });
  beforeEach(async () => {
    source = openSource({
      address: parseDatabaseUrl(database.url),
      timeZone: 'UTC',
      statementTimeoutSeconds: 30,
      poolSize: 2,
    });
    await hypertable();
  });
  afterEach(() => source.close());
  after(() => client.end());

  async function hypertable(defaultIndexes = true): Promise<void> {
    await client.query('DROP TABLE IF EXISTS readings');
    await client.query(
      'CREATE TABLE readings (sensor text NOT NULL, ts timestamptz NOT NULL, value double precision)',
    );
    await client.query(
      `SELECT create_hypertable('readings', 'ts', chunk_time_interval => interval '1 day', create_default_indexes => ${defaultIndexes})`,
    );
    await client.query(
      `INSERT INTO readings
         SELECT 'K' || sensor, timestamptz '${FIRST_DAY}T00:00:00Z' + minute * interval '1 minute', minute
           FROM generate_series(0, ${DAYS * 1440 - 1}) minute, generate_series(1, ${SENSORS}) sensor`,
    );
    await client.query('ANALYZE readings');
  }

  /** As the connector runs it: with its edges as parameters. */
  async function scansOf(window: Window): Promise<PlanNode[]> {
    const { columns } = await source.table('readings');
    const { text, values } = parameterised(windowStatement(postgresDialect, columns, { newest: '', window }));
    const { rows } = await client.query<{ 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }] }>(
      `EXPLAIN (FORMAT JSON) ${text}`,
      values,
    );
    const all = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(all)];
    return rows.flatMap((row) => all(row['QUERY PLAN'][0].Plan));
  }

  /** Chunks of the days that a window touches; those with the readings themselves, compressed or not. */
  async function chunksOf({ start, end }: Window): Promise<{ chunk: string; compressed: string | null }[]> {
    const { rows } = await client.query<{ chunk: string; compressed: string | null }>(
      `SELECT c.table_name AS chunk, z.table_name AS compressed
         FROM timescaledb_information.chunks i
         JOIN _timescaledb_catalog.chunk c ON c.table_name = i.chunk_name
         LEFT JOIN _timescaledb_catalog.chunk z ON z.id = c.compressed_chunk_id
        WHERE i.hypertable_name = 'readings' AND i.range_start < to_timestamp($2) AND i.range_end > to_timestamp($1)
        ORDER BY 1`,
      [start, end],
    );
    return rows;
  }

  /** The hypertable itself is named where its chunks are appended, and holds nothing. */
  const relationsOf = (nodes: readonly PlanNode[]): string[] => {
    const relations = new Set(nodes.flatMap((node) => node['Relation Name'] ?? []));
    relations.delete('readings');
    return [...relations].sort();
  };

  async function readingsIn(window: Window): Promise<number> {
    const posted: number[] = [];
    await readBatches(
      source,
      longQuery(),
      batchSettings({ window }),
      {
        room: () => Promise.resolve(),
        send: ({ readings }) => {
          posted.push(readings);
        },
      },
      new AbortController().signal,
    );
    return posted.reduce((sum, readings) => sum + readings, 0);
  }

  it('a window is found in its own chunks alone, by their index', async () => {
    const nodes = await scansOf(ACROSS_CHUNKS);
    const chunks = await chunksOf(ACROSS_CHUNKS);
    assert.equal(chunks.length, 2);
    assert.deepEqual(relationsOf(nodes), chunks.map(({ chunk }) => chunk).sort());
    assert(!nodes.some((node) => node['Node Type'] === 'Seq Scan'));
    const indexes = new Set(nodes.flatMap((node) => node['Index Name'] ?? []));
    assert.deepEqual(
      [...indexes].sort(),
      chunks.map(({ chunk }) => `${chunk}_readings_ts_idx`),
    );
    assert.equal(await readingsIn(ACROSS_CHUNKS), READINGS);
  });

  it('of a compressed hypertable too, only the window’s chunks are opened', async () => {
    await client.query(
      "ALTER TABLE readings SET (timescaledb.compress, timescaledb.compress_segmentby = 'sensor', timescaledb.compress_orderby = 'ts')",
    );
    // The window reaches from a compressed chunk into one that is not.
    await client.query(
      "SELECT compress_chunk(chunk) FROM show_chunks('readings', older_than => timestamptz '2026-01-04T00:00:00Z') chunk",
    );
    const chunks = await chunksOf(ACROSS_CHUNKS);
    assert.deepEqual(
      chunks.map(({ compressed }) => compressed !== null),
      [true, false],
    );
    const wanted = new Set(chunks.flatMap(({ chunk, compressed }) => [chunk, compressed]));
    const scanned = relationsOf(await scansOf(ACROSS_CHUNKS));
    assert.deepEqual(
      scanned.filter((relation) => !wanted.has(relation)),
      [],
    );
    assert.equal(await readingsIn(ACROSS_CHUNKS), READINGS);
  });

  it('the preview sees the index of a hypertable, and asks for one where there is none', async () => {
    const look = async (): Promise<{ index?: string; warning?: string } | undefined> =>
      (
        await preview(source, {
          table: 'readings',
          timeZone: 'UTC',
          signal: new AbortController().signal,
        })
      ).table;
    assert.equal((await look())?.index, 'readings_ts_idx');
    await hypertable(false);
    const warning = (await look())?.warning ?? '';
    const createIndex = /CREATE INDEX .*$/.exec(warning)?.[0] ?? '';
    await client.query(createIndex);
    assert.equal((await look())?.index, 'readings_ts');
    const indexes = (await scansOf(ACROSS_CHUNKS)).flatMap((node) => node['Index Name'] ?? []);
    assert(indexes.length > 0 && indexes.every((name) => name.endsWith('_readings_ts')));
  });

  it('neither chunks nor what is TimescaleDB’s own are tables to choose from', async () => {
    assert.deepEqual(await source.tables(), ['public.readings']);
  });
});
