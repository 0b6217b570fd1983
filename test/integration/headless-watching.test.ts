import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { parse } from 'yaml';
import type { Reply } from '../../scripts/start/cloud';
import { testDirectory } from '../support/directory';
import { Headless } from '../support/headless';
import { usePlant } from '../support/plant';
import { postgresUrl } from '../support/postgres';
import { until } from '../support/until';

const KEY = 'key-for-prometheus';
const MONITORING = resolve(__dirname, '../../deploy/monitoring');

interface HealthAnswer {
  readonly status: 'up' | 'down';
  readonly reasons?: readonly string[];
  readonly bookmarks?: readonly { readonly bookmark: string; readonly lag_seconds: number }[];
}

/** The samples of a scrape, by name and labels as they are written. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('The connector seen from outside', function () {
  this.timeout(120_000);
  let respond: (() => Reply | undefined) | undefined;
  const plant = usePlant({ respond: () => respond?.() });
  const directory = testDirectory();
  let headless: Headless;
  beforeEach(async () => {
    respond = undefined;
    headless = await Headless.install(directory.path);
    const { databaseUrl, endpointKey, requestKey } = plant.credentials['cfg-1'];
    await headless.writeEnv({
      ...{ DATABASE_URL: databaseUrl, POST_DATA_ENDPOINT: plant.cloud.url, POST_DATA_API_KEY: endpointKey },
      ...{ API_KEY: requestKey, FETCH_DATA_INTERVAL: '0.02', BATCH_SIZE: '30', SETTLE_SECONDS: '0' },
      ...{ METRICS_KEY: KEY, START_AT: new Date(Date.now() - 3_600_000).toISOString() },
    });
  });
  afterEach(() => headless.stop('SIGKILL'));

  const keyed = { headers: { authorization: `Bearer ${KEY}` } };
  const health = async (init: RequestInit = {}): Promise<{ status: number; answer: HealthAnswer }> => {
    const response = await fetch(`${headless.url}tm/health`, init);
    return { status: response.status, answer: (await response.json()) as HealthAnswer };
  };
  /** @returns the reasons, once one of them matches */
  const downBecause = async (pattern: RegExp): Promise<readonly string[]> => {
    let found: readonly string[] = [];
    await until(async () => {
      const { status, answer } = await health(keyed);
      found = answer.reasons ?? [];
      return status === 503 && found.some((reason) => pattern.test(reason));
    });
    return found;
  };
  const scrape = async (): Promise<string> => (await fetch(`${headless.url}tm/metrics`, keyed)).text();
  const addReadings = (count: number) =>
    plant.client.query(
      "insert into sensor_data select 'S' || i, date_trunc('second', now()), i from generate_series(1, $1::int) i",
      [count],
    );

  it('tells everyone up or down, and whoever has the key why', async () => {
    await headless.start('both');
    await until(async () => (await health()).status === 200);
    assert.deepEqual((await health()).answer, { status: 'up' });
    const { answer } = await health(keyed);
    assert.deepEqual(answer.reasons, []);
    await until(async () => ((await health(keyed)).answer.bookmarks?.[0]?.lag_seconds ?? 99) < 60);
    const wrong = { headers: { authorization: 'Bearer wrong' } };
    assert.equal((await health(wrong)).status, 401);
    assert.equal((await fetch(`${headless.url}tm/metrics`)).status, 401);
    assert.equal((await fetch(`${headless.url}tm/metrics`, wrong)).status, 401);

    respond = () => ({ status: 503 });
    await addReadings(3);
    const reasons = await downBecause(/^endpoint http.+: waiting, endpoint 503$/);
    assert(reasons.length <= 2, reasons.join());
    assert.deepEqual((await health()).answer, { status: 'down' });
    assert.equal(
      (await fetch(`${headless.url}tm/health/live`)).status,
      200,
      'starting it again would not help',
    );
    assert.deepEqual(await headless.ask(['health']), { code: 1, said: '{"status":"down"}\n' });
    respond = undefined;
    await until(async () => (await headless.ask(['health'])).code === 0);

    const admin = new Client(await postgresUrl());
    await admin.connect();
    const name = new URL(plant.credentials['cfg-1'].databaseUrl).pathname.slice(1);
    try {
      await admin.query(`alter database ${name} allow_connections false`);
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
      const said = await downBecause(/^database postgresql:\/\/.+: /);
      for (const reason of said) assert(!reason.includes(plant.credentials['cfg-1'].databaseUrl), reason);
    } finally {
      await admin.query(`alter database ${name} allow_connections true`);
      await admin.end();
    }
    await until(async () => (await health()).status === 200);
  });

  it('counts what it sent, repeated and refused, and has every metric of the dashboard and the alerts', async () => {
    respond = () => {
      respond = () => {
        respond = undefined;
        return { status: 422, body: 'not these' };
      };
      return { status: 503 };
    };
    await plant.history(new Date(Date.now() - 2_400_000).toISOString(), 600, 2);
    await headless.start('both');
    await until(() => plant.cloud.readings().length >= 1200);
    const task = await fetch(`${headless.url}raise-request`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer test-request-key' },
      body: JSON.stringify({ start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-01T00:10:00Z' }),
    });
    assert.equal(task.status, 200);
    let samples = new Map<string, number>();
    let text = '';
    await until(async () => {
      text = await scrape();
      samples = samplesOf(text);
      return samples.get('tm_tasks{state="SUCCESS"}') === 1 && samples.get('tm_readings_sent_total') === 1200;
    });
    const at = (name: string): number => samples.get(name) ?? NaN;
    const sent = plant.cloud.exchanges.filter(({ status }) => status === 200);
    assert.equal(at('tm_batches_sent_total'), sent.length);
    assert.equal(
      at('tm_sent_bytes_total'),
      sent.reduce((sum, { body }) => sum + body.length, 0),
    );
    assert.equal(at('tm_post_retries_total{class="unavailable"}'), 1);
    assert.equal(at('tm_post_retries_total{class="timeout"}'), 0, 'what never happened is there as 0');
    assert.equal(at('tm_readings_refused_total'), 0, 'halves of what was refused were accepted');
    assert.equal(at('tm_post_duration_seconds_count{outcome="accepted"}'), sent.length);
    assert.equal(at('tm_post_duration_seconds_count{outcome="refused"}'), 1);
    assert.equal(at('tm_tasks_finished_total{state="SUCCESS"}'), 1);
    assert(at('tm_windows_total{outcome="delivered"}') >= 2);
    assert.equal(at('tm_windows_total{outcome="delivered"}'), at('tm_window_duration_seconds_count'));
    assert(at('tm_bookmark_lag_seconds{bookmark="schedule"}') >= 0);
    assert(at('tm_bookmark_position_timestamp_seconds{bookmark="schedule"}') > Date.now() / 1000 - 3700);
    assert.equal(at('tm_up'), 1);

    const shown = new Set([...samples.keys(), 'up'].map((name) => name.replace(/\{.*$/, '')));
    const asked = [...(await dashboardQueries()), ...(await alertQueries())];
    assert(asked.length > 20);
    const names = new Set(
      asked.flatMap((query) => query.match(/\b(?:tm|process|nodejs)_\w+|\bup\b(?=\{)/g) ?? []),
    );
    for (const name of names) assert(shown.has(name), `no metric ${name} in what was scraped`);
    for (const name of shown)
      assert(
        !name.startsWith('tm_') || /_(bucket|count|sum)$/.test(name) || names.has(name),
        `${name} is shown nowhere`,
      );
  });

  it('has alerts and names that promtool accepts', async function () {
    const promtool = (...args: string[]) => {
      const running = promisify(execFile)('promtool', args);
      return running;
    };
    try {
      await promtool('--version');
    } catch {
      this.skip();
    }
    await promtool('check', 'rules', join(MONITORING, 'alerts.yml'));
    await headless.start('schedule');
    const checking = promtool('check', 'metrics');
    checking.child.stdin?.end((await scrape()).replace(/^.*nodejs_.*\n/gm, ''));
    const { stdout, stderr } = await checking;
    assert.equal(`${stdout}${stderr}`, '');
  });
});

async function dashboardQueries(): Promise<string[]> {
  const dashboard = JSON.parse(await readFile(join(MONITORING, 'grafana-dashboard.json'), 'utf8')) as {
    panels: { targets: { expr: string }[] }[];
    templating: { list: { query: string }[] };
  };
  return [
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.map(({ query }) => query),
  ];
}

async function alertQueries(): Promise<string[]> {
  const rules = parse(await readFile(join(MONITORING, 'alerts.yml'), 'utf8')) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  };
  return rules.groups.flatMap(({ rules: each }) => each.map(({ expr }) => expr));
}
