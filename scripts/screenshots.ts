/**
 * Makes docs/images: every dialog and the first two examples, from a real Node-RED in a real browser. The same,
 * but for the shade of a pixel, each time: clock, language and zone of the browser are fixed, and what a flow does
 * meanwhile is hidden.
 *
 * Node-RED is the one named by TEST_NODE_RED or the development dependency; from version 5 on there are pictures
 * of the dark theme too.
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Browser } from 'playwright-core';
import { findBrowser, launchBrowser } from './editor/browser';
import { EditorPage, type Dialog, type Theme } from './editor/editor-page';
import { startCloud } from './start/cloud';
import { startNodeRed, type Flow } from './start/node-red';

const PROJECT = dirname(__dirname);
const IMAGES = join(PROJECT, 'docs/images');
const NOW = '2026-01-31T12:00:00Z';
const KEY = 'of the pictures alone';
const MARGIN = 12;

const SQL = `SELECT tag AS sensor_id, ts AS timestamp, val AS value
FROM historian.read_raw(:start_time, :end_time)
WHERE quality = 192`;

const FLOW: Flow = [
  { id: 'tab', type: 'tab', label: 'Plant' },
  {
    ...{ id: 'config', type: 'tm-config', name: 'Plant', endpoint: '${POST_DATA_ENDPOINT}' },
    credentials: {
      databaseUrl: '${DATABASE_URL}',
      endpointKey: '${POST_DATA_API_KEY}',
      requestKey: '${API_KEY}',
      stateUrl: '${DATABASE_URL}',
      brokerUrl: '${BROKER_URL}',
    },
  },
  ...[
    { id: 'next', type: 'tm-bookmark', action: 'next', bookmark: 'K101', start: 'oldest' },
    { id: 'commit', type: 'tm-bookmark', action: 'commit' },
    { id: 'set', type: 'tm-bookmark', action: 'set', bookmark: 'K101' },
    {
      id: 'table',
      type: 'tm-fetch',
      from: 'table',
      table: 'public.sensor_data',
      sensors: 'K101.DE_BRG_X_VIB\nK101.SPEED',
    },
    { id: 'sql', type: 'tm-fetch', from: 'sql', sql: SQL },
    { id: 'post', type: 'tm-post' },
    { id: 'request', type: 'tm-request' },
    { id: 'queue', type: 'tm-queue', queue: 'turbomechanica' },
  ].map((node, index) => ({ ...node, z: 'tab', config: 'config', x: 200, y: 60 + index * 60, wires: [] })),
];

/** Pictures of nodes' dialogs, by the node's id above. */
const DIALOGS: Readonly<Record<string, string>> = {
  next: 'tm-bookmark-next',
  commit: 'tm-bookmark-commit',
  set: 'tm-bookmark-set',
  table: 'tm-fetch-table',
  sql: 'tm-fetch-sql',
  post: 'tm-post',
  request: 'tm-request',
  queue: 'tm-queue',
};
const EXAMPLES = ['schedule-mode', 'request-mode'];

async function main(): Promise<void> {
  const executable = findBrowser();
  if (executable === undefined)
    throw new Error('There is no Chromium or Chrome here; name one by CHROMIUM_PATH.');
  const folder = process.env.TEST_NODE_RED ?? dirname(require.resolve('node-red/package.json'));
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  const themes: Theme[] = Number.parseInt(version) >= 5 ? ['light', 'dark'] : ['light'];

  await mkdir(IMAGES, { recursive: true });
  const browser = await launchBrowser(executable);
  try {
    for (const example of EXAMPLES) {
      const flow = JSON.parse(await readFile(join(PROJECT, 'examples', `${example}.json`), 'utf8')) as Flow;
      await withNodeRed(folder, flow, (url) => pictureCanvas(browser, url, example));
    }
    await withNodeRed(folder, FLOW, async (url) => {
      for (const theme of themes) await pictureDialogs(browser, url, theme);
    });
  } finally {
    await browser.close();
  }
}

async function withNodeRed(folder: string, flow: Flow, work: (url: string) => Promise<void>): Promise<void> {
  const userDirectory = await mkdtemp(join(tmpdir(), 'tm-pictures-'));
  const cloud = await startCloud({ key: KEY });
  const env = {
    DATABASE_URL: 'postgresql://plant_ro@127.0.0.1:9/plant',
    POST_DATA_ENDPOINT: cloud.url,
    POST_DATA_API_KEY: KEY,
    API_KEY: KEY,
    FETCH_DATA_INTERVAL: '1',
    BATCH_SIZE: '30',
  };
  const nodeRed = await startNodeRed({ folder: resolve(folder), userDirectory, flow, env });
  try {
    await work(nodeRed.url);
  } finally {
    await nodeRed.stop();
    await cloud.close();
    await rm(userDirectory, { recursive: true, force: true });
  }
}

async function pictureCanvas(browser: Browser, url: string, name: string): Promise<void> {
  const editor = await EditorPage.open(
    await EditorPage.context(browser, { width: 1900, height: 1100 }),
    url,
    { now: NOW },
  );
  await editor.page.addStyleTag({ content: '.red-ui-flow-node-status-group { display: none !important }' });
  const nodes = await editor.page.locator('.red-ui-flow-node-group, .red-ui-flow-group-body').all();
  const boxes = (await Promise.all(nodes.map((node) => node.boundingBox()))).filter((box) => box !== null);
  const x = Math.min(...boxes.map((box) => box.x)) - MARGIN;
  const y = Math.min(...boxes.map((box) => box.y)) - MARGIN;
  const right = Math.max(...boxes.map((box) => box.x + box.width)) + MARGIN;
  const bottom = Math.max(...boxes.map((box) => box.y + box.height)) + MARGIN;
  await editor.picture(imageFile(name), { x, y, width: right - x, height: bottom - y });
  await editor.close();
}

async function pictureDialogs(browser: Browser, url: string, theme: Theme): Promise<void> {
  const editor = await EditorPage.open(await EditorPage.context(browser, { height: 1100 }), url, {
    now: NOW,
    theme,
  });
  const suffix = theme === 'dark' ? '-dark' : '';
  const picture = async (dialog: Dialog, name: string): Promise<void> => {
    const [header, form] = [await dialog.header.boundingBox(), await dialog.form.boundingBox()];
    if (!header || !form) throw new Error(`The dialog for ${name} is not there.`);
    const height = form.y + form.height + MARGIN - header.y;
    await editor.picture(imageFile(`${name}${suffix}`), { ...header, height });
  };
  for (const [id, name] of Object.entries(DIALOGS)) {
    const dialog = await editor.edit(id);
    await picture(dialog, name);
    await dialog.cancel();
  }
  const config = await editor.editConfig('tm-config', 'config');
  await picture(config, 'tm-config-database');
  await config.showTab('tm-config-tabs-endpoint');
  await config.test('endpoint');
  await picture(config, 'tm-config-endpoint');
  await config.showTab('tm-config-tabs-request');
  await picture(config, 'tm-config-request');
  await config.showTab('tm-config-tabs-state');
  await config.choose('state', 'database');
  await config.fill('bookmarkTable', 'public.bookmarks');
  await picture(config, 'tm-config-state');
  await config.showTab('tm-config-tabs-queue');
  await picture(config, 'tm-config-queue');
  await config.cancel();
  await editor.close();
}

function imageFile(name: string): string {
  return join(IMAGES, `${name}.png`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
