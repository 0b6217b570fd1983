import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { BrowserContext } from 'playwright-core';
import { findBrowser, launchBrowser } from '../../scripts/editor/browser';
import { EditorPage, type Dialog } from '../../scripts/editor/editor-page';
import { startCloud, type Cloud } from '../../scripts/start/cloud';
import { startNodeRed, type NodeRed } from '../../scripts/start/node-red';
import { BROKERS, brokerMissing, brokerUrl } from '../support/brokers';
import { nodeRedPath, nodeRedVersion } from '../support/node-red';
import { testDatabase } from '../support/test-database';

const SECRET = 'plant-secret-7f3a';
const DATABASE_URL = `postgresql://plant_ro:${SECRET}@127.0.0.1:9/plant`;

/** One node of each type, with every setting, as the editor saves them. */
const FLOW = [
  { id: 'tab1', type: 'tab', label: 'Schedule mode' },
  {
    ...{ id: 'config1', type: 'tm-config', name: 'Plant', databaseTls: '', timeZone: 'Europe/Berlin' },
    ...{
      statementTimeoutSeconds: 60,
      poolSize: 4,
      endpoint: 'https://cloud.example/readings',
      endpointTls: '',
    },
    ...{ proxy: '', timestampFormat: 'iso', compression: 'auto', requestTimeoutSeconds: 60, state: 'file' },
    ...{
      conflict: 'refused',
      longestRetryAfterSeconds: 300,
      stateDirectory: '',
      bookmarkTable: '',
      bookmarkNameColumn: 'name',
      bookmarkTimestampColumn: 'timestamp',
    },
  },
  {
    ...{ id: 'bookmark1', type: 'tm-bookmark', z: 'tab1', name: '', config: 'config1', action: 'next' },
    ...{ bookmark: 'K101', start: 'now', startDate: '', intervalMinutes: 1, longestMinutes: 30 },
    ...{ settleSeconds: 30, lookbackMinutes: 0, inFlight: 1, alarmMinutes: 15 },
    ...{ x: 150, y: 100, wires: [['fetch1']] },
  },
  {
    ...{ id: 'fetch1', type: 'tm-fetch', z: 'tab1', name: '', config: 'config1', from: 'table' },
    ...{ table: 'public.sensor_data', sensorColumn: 'sensor_id', timestampColumn: 'timestamp' },
    ...{ valueColumn: 'value', sensors: '', sql: '', readingsPerBatch: 10000, output: 'body' },
    ...{ shape: 'long', wideColumns: '', sensorPrefix: '', exclude: '', rename: '', qualityColumn: '' },
    ...{ qualityAccepted: '192', extraColumns: '', trackBy: '', epochUnit: 'auto' },
    ...{ nullValues: 'null', x: 380, y: 100, wires: [['post1']] },
  },
  {
    ...{
      id: 'post1',
      type: 'tm-post',
      z: 'tab1',
      name: '',
      config: 'config1',
      largestBodyMB: 5,
      inFlight: 2,
    },
    ...{ attempts: 10, refused: 'hold', x: 580, y: 100, wires: [[], []] },
  },
  {
    ...{ id: 'request1', type: 'tm-request', z: 'tab1', name: '', config: 'config1', longestMinutes: 30 },
    ...{
      inFlight: 1,
      queueLimit: 100,
      keepDays: 7,
      keepTasks: 1000,
      x: 150,
      y: 200,
      wires: [[], ['fetch1']],
    },
  },
  {
    ...{ id: 'queue1', type: 'tm-queue', z: 'tab1', name: '', config: 'config1', queue: 'plant' },
    ...{ inFlight: 2, x: 150, y: 300, wires: [['fetch1']] },
  },
];
const BROKER_URL = `redis://:${SECRET}@127.0.0.1:9`;
const SECRETS = {
  databaseUrl: DATABASE_URL,
  endpointKey: SECRET,
  requestKey: SECRET,
  brokerUrl: BROKER_URL,
};
/** Where the flow above holds something else than a new node has. */
const FIRST_VALUES: Readonly<Record<string, object>> = {
  config1: { name: '', timeZone: 'UTC' },
  bookmark1: { bookmark: '' },
  queue1: { queue: 'turbomechanica' },
};
/** Lists of other config nodes. */
const CONFIG_CHOICES = ['databaseTls', 'endpointTls', 'proxy'];

/** Field, what is typed, and what is said of it. */
const WRONG: Readonly<Record<string, readonly (readonly [string, string, RegExp])[]>> = {
  config1: [
    ['timeZone', 'Europe/Berlinn', /^Time zone "Europe\/Berlinn" is not an IANA time zone/],
    ['poolSize', '51', /^Pool size is "51"; it must be a whole number from 2 to 50\.$/],
    ['statementTimeoutSeconds', 'a minute', /^Statement timeout is "a minute"; it must be a number/],
    ['databaseUrl', 'http://plant/db', /^Database URL begins with "http:\/\/", a database that is not/],
    ['databaseUrl', 'plant', /^Database URL is not a URL/],
  ],
  bookmark1: [
    ['longestMinutes', '0.5', /^Longest window is 0.5, less than Interval, 1:/],
    ['intervalMinutes', '0', /^Interval is "0"; it must be a number from more than 0/],
    ['inFlight', '65', /^Windows in flight is "65"; it must be a whole number from 1 to 64\.$/],
    ['settleSeconds', '-1', /^Settle delay is "-1"/],
  ],
  fetch1: [
    ['table', '', /^Table is empty\. Give the name of the table/],
    ['table', 'a.b.c.d', /^Table is not a table's name/],
    ['readingsPerBatch', '0', /^Batch is "0"; it must be a whole number from 1/],
  ],
  post1: [
    ['largestBodyMB', '0', /^Largest body is "0"; it must be a number from more than 0 to 100\.$/],
    ['attempts', '2.5', /^Attempts is "2.5"; it must be a whole number from 1/],
  ],
  request1: [
    ['queueLimit', '<b>', /^Queue limit is "‹b›"; it must be a whole number/],
    ['keepDays', '-1', /^Keep for is "-1"/],
  ],
  queue1: [
    ['queue', 'a:b', /^Queue is "a:b"; it must be up to 100 letters, digits/],
    ['inFlight', '65', /^Windows in flight is "65"; it must be a whole number from 0 to 64\.$/],
  ],
};
const NODES = ['bookmark1', 'fetch1', 'post1', 'request1', 'queue1'];

const browserPath = findBrowser();
const title = `Dialogs in Node-RED ${nodeRedVersion()}`;
const suite = browserPath
  ? { describe, title }
  : {
      describe: describe.skip,
      title: `${title} (skipped: no Chromium or Chrome; name one by CHROMIUM_PATH)`,
    };

suite.describe(suite.title, () => {
  let userDirectory: string;
  let nodeRed: NodeRed;
  let context: BrowserContext;
  let editor: EditorPage;
  /** What `before` opened, whether it came to its end or not; the last first. */
  const closing: (() => Promise<unknown>)[] = [];

  before(async () => {
    userDirectory = await mkdtemp(join(tmpdir(), 'tm-editor-'));
    closing.unshift(() => rm(userDirectory, { recursive: true, force: true }));
    nodeRed = await startNodeRed({ folder: nodeRedPath(), userDirectory, flow: [] });
    closing.unshift(() => nodeRed.stop());
    const browser = await launchBrowser(browserPath ?? '');
    closing.unshift(() => browser.close());
    context = await EditorPage.context(browser);
  });
  after(async () => {
    for (const close of closing) await close();
  });
  beforeEach(async () => {
    await deploy(FLOW.map((node) => (node.type === 'tm-config' ? { ...node, credentials: SECRETS } : node)));
    editor = await EditorPage.open(context, nodeRed.url);
  });
  afterEach(async () => {
    await editor.close();
    assert.deepEqual(editor.complaints, []);
  });

  async function deploy(flow: readonly object[]): Promise<void> {
    const response = await fetch(new URL('flows', nodeRed.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'node-red-deployment-type': 'full' },
      body: JSON.stringify(flow),
    });
    assert.equal(response.status, 204);
  }

  async function deployed(id: string): Promise<Record<string, unknown>> {
    const flow = (await (await fetch(new URL('flows', nodeRed.url))).json()) as Record<string, unknown>[];
    const node = flow.find((each) => each.id === id);
    assert(node, `${id} is not in the flow`);
    return node;
  }

  function open(id: string): Promise<Dialog> {
    return id === 'config1' ? editor.editConfig('tm-config', id) : editor.edit(id);
  }

  it('open with all texts in place, and close without a change', async () => {
    for (const id of NODES) {
      const dialog = await editor.edit(id);
      assert.deepEqual(await dialog.untranslated(), [], id);
      await dialog.save();
    }
    const config = await editor.editConfig('tm-config', 'config1');
    assert.deepEqual(await config.untranslated(), []);
    await config.save();
    assert.equal(await editor.changed, false);
  });

  describe('say what is wrong', () => {
    for (const [id, fields] of Object.entries(WRONG)) {
      it(`in ${id}`, async () => {
        const dialog = await open(id);
        for (const [name, value, reason] of fields) {
          await dialog.fill(name, value);
          assert.match(await dialog.reason(name), reason);
          await dialog.fill(name, '${PLANT_SETTING}');
          assert.equal(await dialog.isWrong(name), false, `${name}: an environment variable will do`);
        }
        await dialog.cancel();
      });
    }

    it('with a start date, once it is asked for', async () => {
      const dialog = await editor.edit('bookmark1');
      assert.equal(await dialog.field('startDate').isVisible(), false);
      await dialog.choose('start', 'date');
      assert.match(await dialog.reason('startDate'), /^Date is empty\. Give a date/);
      await dialog.fill('startDate', '2026-02-30');
      assert.match(await dialog.reason('startDate'), /^Date is not a date that exists: "2026-02-30"/);
      await dialog.fill('startDate', '2026-02-28T12:00:00+01:00');
      assert.equal(await dialog.isWrong('startDate'), false);
      await dialog.cancel();
    });

    it('with the one setting of set, and with none that only next window has', async () => {
      const dialog = await editor.edit('bookmark1');
      await dialog.fill('intervalMinutes', '-5');
      assert.equal(await dialog.isWrong('intervalMinutes'), true);
      await dialog.choose('action', 'set');
      await dialog.fill('bookmark', '');
      assert.match(await dialog.reason('bookmark'), /^Bookmark is empty\. Give the name/);
      assert.equal(await dialog.isWrong('intervalMinutes'), false);
      assert.equal(await dialog.field('intervalMinutes').isVisible(), false);
      await dialog.cancel();
    });

    it('with the URL of a broker', async () => {
      const dialog = await editor.editConfig('tm-config', 'config1');
      await dialog.showTab('tm-config-tabs-queue');
      await dialog.fill('brokerUrl', `kafka://:${SECRET}@plant`);
      assert.match(
        await dialog.reason('brokerUrl'),
        /^Broker URL begins with "kafka:\/\/", a broker that is not/,
      );
      await dialog.fill('brokerUrl', `redis://:${SECRET}@`);
      const reason = await dialog.reason('brokerUrl');
      assert.match(reason, /^Broker URL names no host/);
      assert(!reason.includes(SECRET));
      for (const right of [BROKER_URL, 'amqps://user:password@host/vhost', '${BROKER_URL}', '']) {
        await dialog.fill('brokerUrl', right);
        assert.equal(await dialog.isWrong('brokerUrl'), false, right);
      }
      await dialog.cancel();
    });

    it('with SQL that does not bound the window', async () => {
      const dialog = await editor.edit('fetch1');
      await dialog.choose('from', 'sql');
      const reason = editor.page.locator('#tm-fetch-sql-reason');
      const sql = editor.page.locator('#tm-fetch-sql-editor');
      assert.match(await reason.innerText(), /^SQL is empty/);
      await sql.click();
      await editor.page.keyboard.insertText(
        `SELECT ':start_time' AS sensor, t::text AS timestamp, v AS value -- :end_time`,
      );
      assert.match(await reason.innerText(), /^SQL has no :start_time/);
      await editor.page.keyboard.insertText(`\nFROM plant WHERE t >= :start_time`);
      assert.match(await reason.innerText(), /^SQL has no :end_time/);
      await editor.page.keyboard.insertText(` AND t < :end_time`);
      assert.equal(await reason.innerText(), '');
      await dialog.save();
      assert.deepEqual(await editor.problems('fetch1'), []);
      assert.match(String(await editor.setting('fetch1', 'sql')), /AND t < :end_time$/);
    });

    it('on the canvas, of a node whose configuration lacks what it needs', async () => {
      const config = await editor.editConfig('tm-config', 'config1');
      await config.showTab('tm-config-tabs-endpoint');
      await config.fill('endpoint', '');
      await config.save();
      assert.deepEqual(await editor.problems('post1'), [
        'Configuration: Plant lacks what this node needs: Endpoint',
      ]);
      assert.deepEqual(await editor.problems('fetch1'), []);
    });
  });

  it('save what was typed, for the deployed flow to have it', async () => {
    const changes = {
      bookmark1: { bookmark: 'K102', intervalMinutes: 0.5, longestMinutes: '${BATCH_SIZE}', inFlight: 4 },
      fetch1: { table: '"plant.1".readings', sensors: 'K101.DE_BRG_X_VIB\nK101 "é"', readingsPerBatch: 2000 },
      post1: { largestBodyMB: 2.5, attempts: 3 },
      request1: { queueLimit: 5, keepDays: 0.5 },
      queue1: { queue: 'plant-2', inFlight: 0 },
      config1: { timeZone: 'America/Chicago', poolSize: 8 },
    };
    for (const [id, settings] of Object.entries(changes)) {
      const dialog = await open(id);
      for (const [name, value] of Object.entries(settings)) await dialog.fill(name, String(value));
      await dialog.save();
    }
    const post = await editor.edit('post1');
    await post.choose('refused', 'setAside');
    await post.save();
    await editor.deploy();
    for (const [id, settings] of Object.entries({
      ...changes,
      post1: { ...changes.post1, refused: 'setAside' },
    })) {
      const node = await deployed(id);
      for (const [name, value] of Object.entries(settings))
        assert.deepEqual(node[name], value, `${id} ${name}`);
    }
  });

  it('fold away what most users never set, and show what was set', async () => {
    const dialog = await editor.edit('fetch1');
    assert.equal(await dialog.field('rename').isVisible(), false);
    await dialog.form.locator('.tm-section > summary').first().click();
    await dialog.fill('rename', 'FI-1,K101.FLOW\nFI-2,K101.FLOW');
    assert.match(await dialog.reason('rename'), /^New names gives "FI-1" and "FI-2" the same name/);
    await dialog.fill('rename', 'FI-1,K101.FLOW');
    assert.equal(await dialog.isWrong('rename'), false);
    await dialog.choose('shape', 'wide');
    assert.equal(await dialog.field('sensorColumn').isVisible(), false);
    await dialog.fill('sensorPrefix', 'K101.');
    await dialog.save();
    const again = await editor.edit('fetch1');
    assert.equal(await again.field('rename').inputValue(), 'FI-1,K101.FLOW');
    assert.equal(await again.field('rename').isVisible(), true);
    assert.equal(await again.field('trackBy').isVisible(), false);
    await again.choose('from', 'sql');
    assert.equal(await again.field('exclude').isVisible(), false);
    await again.cancel();
  });

  it('take an environment variable where there is a list to choose from', async () => {
    const dialog = await editor.edit('post1');
    await dialog.chooseVariable('refused', 'REFUSED');
    assert.equal(await dialog.isWrong('refused'), false);
    await dialog.save();
    await editor.deploy();
    assert.equal((await deployed('post1')).refused, '${REFUSED}');
    const again = await editor.edit('post1');
    assert.equal(await again.field('refused').inputValue(), '${REFUSED}');
    await again.cancel();
  });

  it('open with defaults where an older flow lacks settings, and are valid on the canvas', async () => {
    const kept = ['id', 'type', 'label', 'z', 'x', 'y', 'wires', 'config', 'endpoint', 'table'];
    await deploy(
      FLOW.map((node) => Object.fromEntries(Object.entries(node).filter(([name]) => kept.includes(name)))),
    );
    await editor.close();
    editor = await EditorPage.open(context, nodeRed.url);
    for (const id of NODES) assert.deepEqual(await editor.problems(id), [], id);
    for (const { id, ...settings } of FLOW.slice(1)) {
      const dialog = await open(id);
      for (const [name, value] of Object.entries({ ...settings, ...FIRST_VALUES[id] })) {
        if (kept.includes(name)) continue;
        if (!CONFIG_CHOICES.includes(name))
          assert.equal(await dialog.field(name).inputValue(), String(value), `${id} ${name}`);
        assert.equal(await dialog.isWrong(name), false, `${id} ${name}`);
      }
      await dialog.cancel();
    }
  });

  describe('try the connections', () => {
    const database = testDatabase();
    let cloud: Cloud;
    before(async () => {
      cloud = await startCloud({ key: SECRET });
    });
    after(() => cloud.close());

    it('to the database, as typed and not yet deployed', async () => {
      const dialog = await editor.editConfig('tm-config', 'config1');
      await dialog.fill('databaseUrl', database.url);
      assert.match(
        await dialog.test('database'),
        /^connected to PostgreSQL \d+(\.\d+)? as \S+, clock \d+\.\d s (ahead|behind)/,
      );
      await dialog.fill('databaseUrl', DATABASE_URL);
      const answer = await dialog.test('database');
      assert.match(answer, /127\.0\.0\.1:9|ECONNREFUSED|refused/);
      assert(!answer.includes(SECRET));
      await dialog.cancel();
      assert.equal(await editor.changed, false);
    });

    it('to a table, with its newest readings, what its columns look like and their names while typing', async () => {
      const client = new Client(database.url);
      await client.connect();
      await client.query(`create table plant_log (tag text, logged_at timestamptz, val double precision);
        insert into plant_log select 'K101.TAG_' || n % 3, timestamptz '2026-01-31 12:00Z' + n * interval '1 s', n / 10.0
          from generate_series(0, 299) n`);
      await client.end();
      const config = await editor.editConfig('tm-config', 'config1');
      await config.fill('databaseUrl', database.url);
      await config.save();
      const dialog = await editor.edit('fetch1');
      const answer = editor.page.locator('#tm-fetch-answer:not(:has(.fa-spinner))');
      const shown = editor.page.locator('#tm-fetch-readings');
      const preview = async (): Promise<string> => {
        await editor.page.locator('#tm-fetch-preview').click();
        await answer.and(editor.page.locator('.tm-success, .tm-reason')).waitFor();
        return answer.innerText();
      };
      assert.match(await preview(), /There is no table public\.sensor_data/);
      await dialog.field('table').fill('');
      await dialog.field('table').pressSequentially('plant');
      await editor.page.getByText('public.plant_log', { exact: true }).click();
      assert.match(await dialog.field('table').inputValue(), /plant_log/);
      assert.match(await preview(), /column readings\.timestamp does not exist/);
      assert.match(await shown.innerText(), /look like timestamp: logged_at, sensor: tag, value: val\./);
      assert.match(await shown.innerText(), /No index begins with "logged_at".*CREATE INDEX/);
      await shown.getByRole('button').click();
      await shown.locator('tbody tr').first().waitFor();
      assert.match(await answer.innerText(), /the newest 100 readings, up to 2026-01-31T12:04:59/);
      assert.equal(await shown.locator('tbody tr').count(), 100);
      assert.equal(await shown.locator('svg path:not(.tm-axis)').count(), 3);
      assert.equal(await dialog.field('sensorColumn').inputValue(), 'tag');
      await dialog.cancel();
    });

    for (const kind of BROKERS) {
      const missing = brokerMissing(kind);
      const test = missing === undefined ? it : it.skip;
      test(`to the broker: ${kind}, and one that is away`, async () => {
        const dialog = await editor.editConfig('tm-config', 'config1');
        await dialog.showTab('tm-config-tabs-queue');
        await dialog.fill('brokerUrl', await brokerUrl(kind));
        assert.match(await dialog.test('broker'), /^connected to (Redis \d|RabbitMQ)/);
        await dialog.fill('brokerUrl', `${kind === 'redis' ? 'redis' : 'amqp'}://user:${SECRET}@127.0.0.1:9`);
        const answer = await dialog.test('broker');
        assert.match(answer, /127\.0\.0\.1:9: not connected/);
        assert(!answer.includes(SECRET));
        await dialog.cancel();
      });
    }

    it('to the endpoint, with the stored key and with another', async () => {
      const dialog = await editor.editConfig('tm-config', 'config1');
      await dialog.showTab('tm-config-tabs-endpoint');
      await dialog.fill('endpoint', cloud.url);
      assert.match(await dialog.test('endpoint'), /^200: the endpoint accepted the key/);
      await dialog.fill('endpointKey', 'not-the-key');
      assert.match(await dialog.test('endpoint'), /^40[13]: the key was refused/);
      await dialog.cancel();
    });
  });

  it('keep secrets out of the flow, and replace them when something is typed', async () => {
    const dialog = await editor.editConfig('tm-config', 'config1');
    assert.equal(await dialog.field('databaseUrl').inputValue(), '__PWRD__');
    await dialog.field('databaseUrl').click();
    await editor.page.keyboard.type(DATABASE_URL.replace('/plant', '/other'));
    assert.equal(await dialog.field('databaseUrl').inputValue(), DATABASE_URL.replace('/plant', '/other'));
    await dialog.save();
    await editor.deploy();
    for (const path of ['flows', 'credentials/tm-config/config1', 'nodes']) {
      const answer = await (
        await fetch(new URL(path, nodeRed.url), { headers: { accept: 'application/json' } })
      ).text();
      assert(!answer.includes(SECRET), path);
    }
    assert(!(await readFile(join(userDirectory, 'flows.json'), 'utf8')).includes(SECRET));
    assert(!nodeRed.log.includes(SECRET));
  });
});
