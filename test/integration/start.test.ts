import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startCloud, type Received } from '../../scripts/start/cloud';
import { testDirectory } from '../support/directory';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly closed: Promise<unknown>;
}

const EDITOR = 'Node-RED, both modes deployed';
const PAGE = 'What arrived at the cloud';
const DATABASE = "The plant's database";

describe('npm start', function () {
  this.timeout(180_000);
  const directory = testDirectory();
  const started: Started[] = [];

  // PostgreSQL runs as a user of its own when the tests run as root.
  beforeEach(() => chmod(directory.path, 0o755));
  afterEach(async () => {
    for (const { child, closed } of started.splice(0)) {
      child.kill('SIGINT');
      await closed;
    }
  });

  /** As package.json's script, after its build. */
  const start = (env: Readonly<Record<string, string>> = {}): Started => {
    const { DATABASE_URL: _database, POST_DATA_ENDPOINT: _endpoint, ...inherited } = process.env;
    const child = spawn(process.execPath, ['--require', 'tsx/cjs', resolve('scripts/start.ts')], {
      env: {
        ...inherited,
        START_DIRECTORY: directory.path,
        START_HISTORY_HOURS: '0.5',
        FETCH_DATA_INTERVAL: '0.2',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const running = { child, output: () => output, closed: once(child, 'close') };
    started.push(running);
    return running;
  };
  const said = async (run: Started, pattern: RegExp): Promise<string> => {
    await until(() => pattern.test(run.output()) || run.child.exitCode !== null);
    const found = pattern.exec(run.output());
    assert(found, run.output());
    return found[1] ?? '';
  };
  const address = (run: Started, label: string) => said(run, new RegExp(`${label}\\s+(\\S+)`));
  const received = async (page: string): Promise<Received> =>
    (await (await fetch(`${page}api/received`)).json()) as Received;
  const stop = async ({ child, closed }: Started): Promise<number | null> => {
    child.kill('SIGINT');
    await closed;
    return child.exitCode;
  };
  const isGone = (url: string): Promise<boolean> =>
    fetch(url).then(
      () => false,
      () => true,
    );
  /** Whatever runs over this test's directory, by its command line. */
  const processes = async (): Promise<string[]> => {
    const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'args=']);
    return stdout.split('\n').filter((line) => line.includes(directory.path));
  };
  const query = async <Row extends object>(url: string, sql: string): Promise<Row | undefined> => {
    const client = new Client(url);
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows[0];
    } finally {
      await client.end();
    }
  };

  it('runs the whole main job by itself, stops cleanly, and goes on where it stopped', async () => {
    const first = start();
    const editor = await address(first, EDITOR);
    const page = await address(first, PAGE);
    const database = await address(first, DATABASE);
    assert.match(database, /^postgresql:/);
    assert.equal((await fetch(editor)).status, 200);
    assert.match(await (await fetch(page)).text(), /<html/);
    // 30 minutes of 12 tags less the settle delay and the minute that is not full yet.
    await until(async () => (await received(page)).readings >= 12 * 60 * 28);
    const before = await received(page);
    assert.equal(before.sensorCount, 12);
    assert.equal(before.duplicates, 0);

    const second = start();
    await second.closed;
    assert.equal(second.child.exitCode, 1);
    assert.match(second.output(), /It runs already/);
    assert.equal((await fetch(editor)).status, 200, 'the second one leaves the first alone');

    assert.equal(await stop(first), 0, first.output());
    assert(await isGone(editor));
    assert(await isGone(page));
    assert.deepEqual(await processes(), []);

    const third = start();
    const nextPage = await address(third, PAGE);
    await until(async () => (await received(nextPage)).readings > 0);
    const after = await received(nextPage);
    const earliest = after.batches.at(-1)?.start_time ?? '';
    assert(earliest >= before.latestEnd, `${earliest} begins before ${before.latestEnd}`);
    assert.equal(await stop(third), 0, third.output());
    assert.deepEqual(await processes(), []);
    const left = await readdir(directory.path, { recursive: true });
    const pids = left.filter((file) => file.endsWith('.pid'));
    assert.deepEqual(pids, [], 'what it keeps is data, and nothing that says that it runs');
  });

  it('stopped in the middle of a backlog and started again: every row arrives, and none twice', async () => {
    const key = 'endpoint-key-2b9c';
    const cloud = await startCloud({ key, keep: 'readings' });
    try {
      const endpoint = { POST_DATA_ENDPOINT: cloud.url, POST_DATA_API_KEY: key };
      const first = start({ ...endpoint, START_HISTORY_HOURS: '4', BATCH_SIZE: '5' });
      await until(() => cloud.readings().length > 0);
      assert.equal(await stop(first), 0, first.output());
      const stopped = new Date().toISOString();
      const second = start(endpoint);
      const database = await address(second, DATABASE);
      // What was written before the stop, and some of what is written since.
      await until(() => cloud.received().latestEnd > stopped);
      const { latestEnd, readings, duplicates, conflicts } = cloud.received();
      const rows = await query<{ count: number }>(
        database,
        `select count(*)::int from sensor_data where timestamp < '${latestEnd}'`,
      );
      assert.deepEqual(
        { readings, duplicates, conflicts },
        { readings: rows?.count, duplicates: 0, conflicts: 0 },
      );
      assert.equal(await stop(second), 0, second.output());
    } finally {
      await cloud.close();
    }
  });

  it('leaves nothing running and nothing half done when it is interrupted or killed', async () => {
    const interrupted = start({ START_HISTORY_HOURS: '240' });
    await said(interrupted, /Writing 240 hours/);
    assert.equal(await stop(interrupted), 0, interrupted.output());
    assert.deepEqual(await processes(), []);

    const killed = start();
    const database = await address(killed, DATABASE);
    const oldest = await query<{ minutes: number }>(
      database,
      'select extract(epoch from now() - min(timestamp))::float8 / 60 as minutes from sensor_data',
    );
    assert(oldest && oldest.minutes > 29 && oldest.minutes < 35, 'half a history would be there for good');
    const page = await address(killed, PAGE);
    await until(async () => (await received(page)).readings > 0);
    assert((await processes()).length >= 2, 'PostgreSQL and Node-RED');
    killed.child.kill('SIGKILL');
    await killed.closed;
    await until(async () => (await processes()).length === 0);

    const next = start();
    const nextPage = await address(next, PAGE);
    await until(async () => (await received(nextPage)).readings > 0);
    assert.equal(await stop(next), 0, next.output());
    assert.deepEqual(await processes(), []);
  });

  describe("with the user's own database and endpoint", () => {
    const database = testDatabase();

    it('runs only Node-RED, against them, with a bookmark of its own, and shows no secret', async () => {
      await query(
        database.url,
        `create table sensor_data as
           select 'P201.FLOW' as sensor_id, now() - second * interval '1 s' as timestamp, 1.5::float8 as value
             from generate_series(60, 600) as second`,
      );
      const key = 'endpoint-key-7d1f';
      const cloud = await startCloud({ key });
      try {
        const own = {
          ...{ DATABASE_URL: database.url, POST_DATA_ENDPOINT: cloud.url, POST_DATA_API_KEY: key },
          API_KEY: 'request-key-93ab',
        };
        const run = start(own);
        await address(run, EDITOR);
        await until(() => cloud.received().readings > 300);
        assert.equal(cloud.received().sensorCount, 1);
        assert.match(run.output(), /yours, from DATABASE_URL/);
        assert.equal(await stop(run), 0, run.output());
        for (const secret of Object.values(own)) assert(!run.output().includes(secret), secret);
        const [userDirectory, ...others] = await readdir(directory.path);
        assert.match(userDirectory ?? '', /^node-red-[0-9a-f]{8}$/);
        assert.deepEqual(others, []);
      } finally {
        await cloud.close();
      }
    });

    it('writes what fails to its output, for where nobody has the editor open', async () => {
      await query(database.url, 'drop table if exists sensor_data');
      const run = start({
        DATABASE_URL: database.url,
        POST_DATA_ENDPOINT: 'http://127.0.0.1:9/readings',
        POST_DATA_API_KEY: 'endpoint-key-7d1f',
      });
      await said(run, /(TM_QUERY_FAILED)/);
      assert.match(run.output(), /"sensor_data" does not exist/);
      assert.equal(await stop(run), 0, run.output());
    });

    it('does not send the key of the stand-in to an endpoint', async () => {
      const run = start({ POST_DATA_ENDPOINT: 'https://cloud.example/readings', POST_DATA_API_KEY: '' });
      await run.closed;
      assert.equal(run.child.exitCode, 1);
      assert.match(run.output(), /POST_DATA_API_KEY.+ is not/);
    });
  });
});
