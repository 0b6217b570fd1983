import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Reply } from '../../scripts/start/cloud';
import { brokerMissing, brokerUrl } from '../support/brokers';
import { testDirectory } from '../support/directory';
import { Headless } from '../support/headless';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const ENDPOINT_KEY = 'test-endpoint-key';
const REQUEST_KEY = 'request key of the plant "93ab"';

/** So many seconds ago, on a whole minute. */
const ago = (seconds: number): string =>
  new Date(Math.floor((Date.now() / 1000 - seconds) / 60) * 60_000).toISOString();

describe('The connector without an editor', function () {
  this.timeout(120_000);
  let reply: Reply | undefined;
  const plant = usePlant({ respond: () => reply });
  const directory = testDirectory();
  let headless: Headless;
  beforeEach(async () => {
    headless = await Headless.install(directory.path);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.log(headless.log);
    await headless.stop('SIGKILL');
  });

  /** What the Python connector's file held; its URL is in SQLAlchemy's form. */
  const environment = (): Record<string, string> => ({
    DATABASE_URL: plant.credentials['cfg-1'].databaseUrl.replace(/^postgres(ql)?:/, 'postgresql+psycopg2:'),
    POST_DATA_ENDPOINT: plant.cloud.url,
    POST_DATA_API_KEY: ENDPOINT_KEY,
    API_KEY: `'${REQUEST_KEY}'`,
    FETCH_DATA_INTERVAL: '1',
    BATCH_SIZE: '30',
    CELERY_BROKER_URL: 'redis://localhost:6379/0',
  });

  /** Every file below a directory, with its text. */
  const filesOf = async (folder: string): Promise<Map<string, string>> => {
    const files = new Map<string, string>();
    for (const name of await readdir(folder, { recursive: true })) {
      const path = join(folder, name);
      if (!path.includes('node_modules') && (await stat(path)).isFile())
        files.set(name, await readFile(path, 'utf8'));
    }
    return files;
  };

  const raise = (start_time: string, end_time: string, key = REQUEST_KEY): Promise<Response> =>
    fetch(`${headless.url}raise-request`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ start_time, end_time }),
    });
  interface Task {
    readonly state: string;
    readonly current: number;
  }
  const task = async (id: string): Promise<Task> =>
    (await (await fetch(`${headless.url}tasks/${id}`)).json()) as Task;

  const noRedis = brokerMissing('redis');
  (noRedis === undefined ? it : it.skip)(
    `shares windows through a queue${noRedis === undefined ? '' : ` (skipped: ${noRedis})`}`,
    async () => {
      await plant.history(ago(7200), 3600);
      const other = await Headless.install(join(directory.path, 'other'));
      const values = {
        ...environment(),
        ...{ BATCH_SIZE: '5', METRICS_KEY: 'metrics-key-55' },
        STATE_DATABASE_URL: plant.credentials['cfg-1'].databaseUrl,
        BROKER_URL: await brokerUrl('redis'),
      };
      const machines = [headless, other];
      // Until both have windows in their hands.
      reply = { status: 503 };
      try {
        for (const machine of machines) await machine.writeEnv(values);
        for (const machine of machines) await machine.start('both');
        const measured = async ({ url }: Headless, what: RegExp): Promise<boolean> => {
          const headers = { authorization: 'Bearer metrics-key-55' };
          return what.test(await (await fetch(`${url}tm/metrics`, { headers })).text());
        };
        for (const machine of machines)
          await until(() => measured(machine, /^tm_post_retries_total\S* [1-9]/m));
        reply = undefined;
        await until(() => plant.cloud.readings().length >= 3600 * 3);
        await plant.assertAllArrived();
        for (const machine of machines)
          await until(() => measured(machine, /^tm_readings_sent_total\S* [1-9]/m));
      } finally {
        reply = undefined;
        await other.stop('SIGKILL');
      }
    },
  );

  it('delivers by the clock, stops at SIGTERM, and goes on after an update in place where it stood', async () => {
    await plant.history(ago(7200), 3600);
    const values = { ...environment(), FETCH_DATA_INTERVAL: '0.05', SETTLE_SECONDS: '0' };
    await headless.writeEnv({ ...values, METRICS_KEY: 'metrics-key-55' }, '\r\n');
    await headless.start('schedule');
    await until(() => plant.cloud.readings().length >= 3600 * 3);
    await plant.assertAllArrived();
    await until(() => headless.linesWith(/caught up/).length > 0);
    const windows = headless.linesWith(
      /\[info\] \[tm-bookmark:.+Z to .+Z: [\d,]+ readings of 3 sensors in \d+ batch/,
    );
    assert(windows.length >= 2, headless.log);
    assert.equal((await fetch(`${headless.url}flows`)).status, 404, 'no admin API');
    assert.equal((await raise(ago(7200), ago(3600))).status, 404, 'no request API');

    assert.equal(await headless.stop(), 0, headless.log);
    const files = await filesOf(headless.data);
    assert(files.has('connector.json'));
    const secrets = ['DATABASE_URL', 'POST_DATA_API_KEY'].map((name) => environment()[name] ?? '');
    for (const secret of [...secrets, ENDPOINT_KEY, 'metrics-key-55']) {
      for (const [name, text] of files) assert(!text.includes(secret), `a secret is in ${name}`);
      assert(!headless.log.includes(secret), 'a secret is in the log');
    }

    const posts = plant.cloud.exchanges.length;
    await headless.update();
    await plant.client.query("insert into sensor_data values ('K102.NEW', date_trunc('second', now()), 7)");
    await headless.start('schedule');
    await until(() => plant.cloud.readings().length > 3600 * 3);
    await plant.assertAllArrived();
    const bodies = plant.cloud.exchanges.slice(posts).map(({ posted }) => posted?.start_time ?? '');
    for (const begun of bodies) assert(begun > ago(3600), `${begun} had been delivered before`);
    assert.equal(await headless.stop('SIGINT'), 0);
  });

  it('answers requests, and finishes after a change of mode what it had begun', async () => {
    await plant.history(ago(86_400), 7200);
    const values = { ...environment(), BATCH_SIZE: '5', LOG_FORMAT: 'json' };
    await headless.writeEnv(values);
    await headless.start('request');
    const range = [ago(86_400), ago(86_400 - 7200)] as const;
    assert.equal((await raise(...range, 'wrong')).status, 403);
    const { task_id } = (await (await raise(...range)).json()) as { task_id: string };
    await until(async () => (await task(task_id)).current >= 2);
    assert.equal(await headless.stop(), 0, headless.log);
    const lines = headless.linesWith(/^\{/).map((line) => JSON.parse(line) as Record<string, unknown>);
    const delivered = lines.find(({ task: id, readings }) => id === task_id && readings === 900);
    assert(delivered, headless.log);
    assert.equal(delivered.level, 'info');
    assert.deepEqual((delivered.node as { type: string }).type, 'tm-request');

    await headless.writeEnv({ ...values, START_AT: 'now' });
    await headless.start('both');
    await until(async () => (await task(task_id)).state === 'SUCCESS');
    assert.equal((await task(task_id)).current, 24);
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().conflicts, 0);
  });

  it('reads the table, the columns and the bookmark table that the environment names', async () => {
    await plant.client.query(`
      create schema if not exists "Plant";
      drop table if exists "Plant"."Tags", bookmarks;
      create table "Plant"."Tags" ("tagName" text, at timestamp, reading text);
      create table bookmarks (id serial primary key, name varchar, timestamp timestamp);
      insert into bookmarks (name, timestamp) values ('last_run', date_trunc('minute', now() at time zone 'Asia/Kolkata') - interval '1 h');
      insert into "Plant"."Tags"
        select 'K101.P', now() at time zone 'Asia/Kolkata' - minute * interval '1 min', 'Bad' from generate_series(1, 120) minute;`);
    const { DATABASE_URL = '' } = environment();
    await headless.writeEnv({
      ...environment(),
      ...{
        SENSOR_TABLE: 'Plant.Tags',
        SENSOR_COLUMN: 'tagName',
        TIMESTAMP_COLUMN: 'at',
        VALUE_COLUMN: 'reading',
      },
      ...{ TIME_ZONE: 'Asia/Kolkata', TIMESTAMP_FORMAT: 'naive', SETTLE_SECONDS: '0' },
      ...{ STATE_DATABASE_URL: DATABASE_URL, BOOKMARK_TABLE: 'bookmarks', BOOKMARK: 'last_run' },
    });
    await headless.start('schedule');
    await until(() => plant.cloud.readings().length >= 59);
    const [first] = plant.cloud.readings();
    assert.equal(first?.sensor, 'K101.P');
    assert.equal(first.value, 'Bad');
    assert.match(String(first.timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/);
    await until(async () => {
      const { rows } = await plant.client.query<{ late: boolean }>(
        "select timestamp > now() at time zone 'Asia/Kolkata' - interval '3 min' as late from bookmarks where name = 'last_run'",
      );
      return rows[0]?.late;
    });
    assert(plant.cloud.readings().length <= 61, 'nothing from before the bookmark');
  });

  it('reads SQL of its own from a file', async () => {
    await plant.history(ago(1200), 300, 2);
    await writeFile(
      join(directory.path, 'query.sql'),
      "select sensor_id || '.X' as sensor, timestamp, value from sensor_data where timestamp >= :start_time and timestamp < :end_time",
    );
    await headless.writeEnv({ ...environment(), SENSOR_SQL_FILE: 'query.sql', START_AT: ago(1800) });
    await headless.start('schedule');
    await until(() => plant.cloud.readings().length >= 600);
    assert(plant.cloud.readings().every(({ sensor }) => sensor.endsWith('.X')));
  });

  it('with the editor: asks for the password, and keeps the flow that was changed in it', async () => {
    const values = {
      ...environment(),
      ...{
        NODE_RED_EDITOR: 'on',
        ADMIN_PASSWORD: 'a password 77',
        CREDENTIAL_SECRET: 'secret of the credentials',
      },
    };
    await headless.writeEnv(values);
    await headless.start('both');
    assert.equal((await fetch(`${headless.url}flows`)).status, 401);
    const login = async (password: string): Promise<Response> =>
      fetch(`${headless.url}auth/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          client_id: 'node-red-admin',
          grant_type: 'password',
          scope: '*',
          username: 'admin',
          password,
        }),
      });
    assert.equal((await login('another password')).status, 403);
    const { access_token } = (await (await login('a password 77')).json()) as { access_token: string };
    const headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' };
    const health = (await (await fetch(`${headless.url}tm/health`, { headers })).json()) as object;
    assert('bookmarks' in health, 'whoever may log in sees why');
    assert.equal((await fetch(`${headless.url}tm/metrics`, { headers })).status, 200);
    assert.equal((await fetch(`${headless.url}tm/metrics`)).status, 401);
    assert.deepEqual(Object.keys((await (await fetch(`${headless.url}tm/health`)).json()) as object), [
      'status',
    ]);

    const flow = (await (await fetch(`${headless.url}flows`, { headers })).json()) as {
      type: string;
      label?: string;
    }[];
    const typed = 'a key typed into the dialog';
    const changed = flow.map((node) => {
      if (node.type === 'tab') return { ...node, label: 'Our own' };
      return node.type === 'tm-config' ? { ...node, credentials: { requestKey: typed } } : node;
    });
    const deployed = await fetch(`${headless.url}flows`, {
      method: 'POST',
      headers,
      body: JSON.stringify(changed),
    });
    assert.equal(deployed.status, 204);
    assert.equal(await headless.stop(), 0);
    const stored = await readFile(join(headless.data, 'flows_cred.json'), 'utf8');
    assert.match(stored, /^\{\s*"\$":/);
    assert(!stored.includes(typed));

    await headless.start('both');
    assert.match(await readFile(join(headless.data, 'flows.json'), 'utf8'), /Our own/);
    assert.equal((await raise(ago(600), ago(540), typed)).status, 200, 'the credentials can be read');
  });

  it('does not start with what is missing or malformed, names each, and quotes no secret', async () => {
    const { code, said } = await headless.run(['both']);
    assert.equal(code, 78);
    for (const name of Object.keys(environment()).filter((each) => each !== 'CELERY_BROKER_URL')) {
      assert.match(said, new RegExp(`^  - ${name} is not set\\. Give `, 'm'));
    }

    await headless.writeEnv({
      ...environment(),
      ...{ DATABASE_URL: 'mysql:secret-1@host', POST_DATA_ENDPOINT: 'plant.example', API_KEY: 'geheim-2-ä' },
      ...{
        POST_DATA_API_KEY: 'secret-3#4',
        FETCH_DATA_INTERVAL: 'often',
        BATCH_SIZE: '-1',
        TIME_ZONE: 'Mars/Olympus',
      },
      ...{ START_AT: '2026-02-30', SENSOR_SQL_FILE: 'gone.sql', PORT: '80000', NODE_RED_EDITOR: 'yes' },
    });
    const wrong = await headless.run(['both']);
    assert.equal(wrong.code, 78);
    for (const pattern of [
      /DATABASE_URL is not a URL/,
      /POST_DATA_ENDPOINT is "plant\.example"/,
      /POST_DATA_API_KEY holds a "#".+quotes/,
      /API_KEY is empty or holds a character/,
      /FETCH_DATA_INTERVAL is "often"/,
      /BATCH_SIZE is "-1"/,
      /TIME_ZONE.+"Mars\/Olympus"/,
      /START_AT is not a date that exists: "2026-02-30"/,
      /SENSOR_SQL_FILE: .+gone\.sql/,
      /PORT is "80000"/,
      /NODE_RED_EDITOR is "yes"/,
    ]) {
      assert.match(wrong.said, pattern);
    }
    assert.doesNotMatch(wrong.said, /secret|geheim/);

    await headless.writeEnv({ ...environment(), FETCH_DATA_INTERVAL: '60', NODE_RED_EDITOR: 'on' });
    assert.match(
      (await headless.run(['both'])).said,
      /ADMIN_PASSWORD is not set[\s\S]+CREDENTIAL_SECRET is not set/,
    );
    await headless.writeEnv({ ...environment(), FETCH_DATA_INTERVAL: '60' });
    assert.match((await headless.run(['both'])).said, /BATCH_SIZE is 30, less than FETCH_DATA_INTERVAL, 60/);
    assert.deepEqual(await readdir(directory.path).then((names) => names.includes('data')), false);
  });

  it('says how it is used, and where Node-RED is missing what to install', async () => {
    assert.match(
      (await headless.run(['--help'])).said,
      /Usage: turbomechanica-connector <request\|schedule\|both>/,
    );
    assert.equal((await headless.run(['shedule'])).code, 78);
    assert.match(headless.log, /There is no mode "shedule"/);
    await headless.writeEnv(environment());
    await rm(join(directory.path, 'node_modules', 'node-red'));
    const { code, said } = await headless.run(['schedule']);
    assert.equal(code, 78);
    assert.match(said, /Node-RED is not installed beside this package.+npm install node-red/);
  });
});
