/**
 * No secret leaves: a Node-RED process runs both modes through failures of the database and of an endpoint that
 * quotes the key, and everything that it shows or keeps is searched for every secret that it was given.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { Client, escapeLiteral } from 'pg';
import { WebSocket } from 'undici';
import type { Reply } from '../../scripts/start/cloud';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { brokerMissing, ownBroker } from '../support/brokers';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { patientFetch, until } from '../support/until';

const ENDPOINT_KEY = 'endpoint"key\\of/the+plant%7f3a==';
const REQUEST_KEY = 'request"key\\of/the+cloud%9b2c==';
const SECRETS = {
  databasePassword: 'pass"word\\of/the:plant@ü%3d',
  statePassword: 'pass"word\\of/the:state@ö%3d',
  endpointKey: ENDPOINT_KEY,
  requestKey: REQUEST_KEY,
  brokerPassword: 'pass"word\\of/the:broker@ä%3d',
  queryToken: 'token-in-the-query-5e1f',
  wrongKey: 'a-key/that+is=wrong',
} as const;
const RANGE = { start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-01T00:30:00Z' };

/** The ways in which a text shows a secret. */
function formsOf(secret: string): string[] {
  const json = (text: string): string => JSON.stringify(text).slice(1, -1);
  const inUrl = new URL('http://host/');
  inUrl.password = secret;
  const base64 = [0, 1, 2].flatMap((before) => {
    // Inside of something longer, at each of the three ways in which six bits fall on eight.
    const text = Buffer.from(`${'x'.repeat(before)}${secret}xx`).toString('base64');
    const inner = text.slice(before === 0 ? 0 : 4, -8);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const plain = [secret, encodeURIComponent(secret), encodeURI(secret), inUrl.password];
  return [...new Set([...plain, ...plain.map(json), ...plain.map((text) => json(json(text))), ...base64])];
}

function assertNoSecret(what: string, text: string): void {
  for (const [name, secret] of Object.entries(SECRETS)) {
    for (const form of formsOf(secret)) {
      const at = text.indexOf(form);
      assert(at < 0, `${name} as ${form} in ${what}: …${text.slice(Math.max(0, at - 200), at + 200)}…`);
    }
  }
}

const withoutBroker = brokerMissing('redis', true);

(withoutBroker === undefined ? describe : describe.skip)('Secrets', function () {
  this.timeout(240_000);
  const broker = ownBroker('redis');
  let reply: Reply | undefined;
  const plant = usePlant({
    key: ENDPOINT_KEY,
    // The wrong key is quoted to whoever sent it: the flow goes on posting with its own meanwhile.
    respond: ({ headers }) =>
      headers.authorization?.includes(SECRETS.wrongKey)
        ? { status: 401, body: `bad token ${SECRETS.wrongKey}` }
        : reply,
  });
  const directory = testDirectory();
  let nodeRed: NodeRed | undefined;
  let comms: WebSocket | undefined;

  /** Users of the test's own: their passwords are asked for. */
  const user = `tm_test_${randomBytes(6).toString('hex')}`;
  const [reader, keeper] = [`${user}_reader`, `${user}_keeper`];
  const urlOf = (name: string, password: string): string => {
    const url = new URL(plant.credentials['cfg-1'].databaseUrl);
    url.username = name;
    url.password = encodeURIComponent(password);
    return url.href;
  };
  const setPassword = (name: string, password: string): Promise<unknown> =>
    plant.client.query(`alter role ${name} password ${escapeLiteral(password)}`);

  beforeEach(async () => {
    reply = undefined;
    await plant.client.query(
      `create role ${reader} login; create role ${keeper} login;
       grant select on sensor_data to ${reader}; grant create, usage on schema public to ${keeper}`,
    );
    await setPassword(reader, SECRETS.databasePassword);
    await setPassword(keeper, SECRETS.statePassword);
  });
  afterEach(async () => {
    comms?.close();
    await nodeRed?.stop();
    // The plant's own client is closed by now.
    const client = new Client(plant.credentials['cfg-1'].databaseUrl);
    await client.connect();
    await client.query(`drop owned by ${reader}, ${keeper}; drop role ${reader}, ${keeper}`);
    await client.end();
  });

  /** Both modes as in the example, with everything that passes shown in the Debug sidebar. */
  const flowWith = async (settings: object): Promise<Flow> => {
    const example = JSON.parse(await readFile(resolve('examples/both-modes.json'), 'utf8')) as Flow;
    const tab = example.find(({ type }) => type === 'tab')?.id;
    const debug = {
      ...{ id: 'debug-all', type: 'debug', z: tab, active: true, tosidebar: true, console: true },
      ...{ complete: 'true', wires: [] },
    };
    const shown = example.map((node) => {
      if (node.type === 'tm-config') {
        const credentials = {
          ...(node.credentials as object),
          ...{ stateUrl: '${STATE_URL}', brokerUrl: '${BROKER_URL}' },
        };
        return { ...node, ...settings, credentials };
      }
      const wires = node.wires as string[][] | undefined;
      if (node.type === 'tm-post') {
        const all = wires?.map((ids) => [...ids, debug.id]);
        return { ...node, wires: all, attempts: '1', refused: 'setAside' };
      }
      if (['tm-fetch', 'catch', 'status'].includes(String(node.type)))
        return { ...node, wires: [[...(wires?.[0] ?? []), debug.id]] };
      return node;
    });
    const config = example.find(({ type }) => type === 'tm-config')?.id;
    const queue = { id: 'queue-1', type: 'tm-queue', z: tab, config, queue: 'tm-test', inFlight: 1 };
    return [...shown, debug, { ...queue, wires: [[debug.id]] }];
  };

  const ask = async (path: string, key: string, body?: unknown): Promise<string> => {
    const response = await fetch(`${nodeRed?.url ?? ''}${path}`, {
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    });
    const headers: string[] = [];
    response.headers.forEach((value, name) => headers.push(`${name}: ${value}`));
    return `${response.status} ${headers.join('; ')} ${await response.text()}`;
  };

  /** The broker's user has another password from now on, and is asked for it. */
  const setBrokerPassword = async (password: string): Promise<void> => {
    const redis = new Redis(broker.url);
    await redis.call('ACL', 'SETUSER', 'plant', 'on', 'resetpass', `>${password}`, '~*', '&*', '+@all');
    await redis.call('CLIENT', 'KILL', 'USER', 'plant');
    redis.disconnect();
  };
  const brokerUrl = (password: string): string => {
    const url = new URL(broker.url);
    url.username = 'plant';
    url.password = encodeURIComponent(password);
    return url.href;
  };

  /** As the editor's full deploy: every node is closed and made anew. */
  const redeploy = async (): Promise<void> => {
    const url = `${nodeRed?.url ?? ''}flows`;
    const { status } = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'Node-RED-Deployment-Type': 'full' },
      body: await (await fetch(url)).text(),
    });
    assert.equal(status, 204);
  };

  const filesUnder = async (folder: string): Promise<string[]> => {
    const found: string[] = [];
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isFile()) found.push(path);
      else if (entry.isDirectory() && entry.name !== 'node_modules') found.push(...(await filesUnder(path)));
    }
    return found;
  };

  const rejectedOnRecord = async (state: 'file' | 'database', userDirectory: string): Promise<string[]> => {
    if (state === 'database') {
      const query = "select record from tm_state where kind = 'rejected'";
      return (await plant.client.query<{ record: string }>(query)).rows.map(({ record }) => record);
    }
    const files = (await filesUnder(userDirectory)).filter((file) => file.includes('/rejected/'));
    // A temporary one may be gone by now.
    const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
    return texts.filter((text) => text !== '');
  };

  for (const state of ['file', 'database'] as const) {
    it(`are in no log, status, error, message, answer, export or file (state: ${state})`, async () => {
      await plant.history(RANGE.start_time, 3600, 2);
      await setBrokerPassword(SECRETS.brokerPassword);
      const userDirectory = join(directory.path, 'node-red');
      const answers: string[] = [];
      const frames: string[] = [];
      const shown = (): string => frames.join('\n') + (nodeRed?.log ?? '');
      const saw = (text: string): Promise<void> => until(() => shown().includes(text));
      nodeRed = await startNodeRed({
        folder: nodeRedPath(),
        userDirectory,
        flow: await flowWith({ state }),
        env: {
          DATABASE_URL: urlOf(reader, SECRETS.databasePassword),
          STATE_URL: urlOf(keeper, SECRETS.statePassword),
          BROKER_URL: brokerUrl(SECRETS.brokerPassword),
          POST_DATA_ENDPOINT: `${plant.cloud.url}?code=${SECRETS.queryToken}`,
          POST_DATA_API_KEY: ENDPOINT_KEY,
          API_KEY: REQUEST_KEY,
          FETCH_DATA_INTERVAL: '1',
          BATCH_SIZE: '10',
        },
      });
      const { url } = nodeRed;
      comms = new WebSocket(`${url.replace('http', 'ws')}comms`);
      comms.addEventListener('message', ({ data }) => frames.push(String(data)));
      await once(comms, 'open');
      for (const topic of ['status/#', 'debug', 'notification/#'])
        comms.send(JSON.stringify({ subscribe: topic }));

      // Both modes deliver.
      const raised = await ask('raise-request', REQUEST_KEY, RANGE);
      answers.push(raised);
      const id = /"task_id":"([^"]+)"/.exec(raised)?.[1] ?? assert.fail(`${raised} ${nodeRed.log}`);
      await until(async () => (await (await patientFetch(`${url}tasks/${id}`)).text()).includes('SUCCESS'));
      await saw(' posted');
      // The request API is asked with a wrong key, and for what is no range.
      answers.push(await ask('raise-request', SECRETS.wrongKey, RANGE));
      answers.push(await ask('raise-request', REQUEST_KEY, { start_time: 'noon' }));
      answers.push(await ask(`tasks/${id}`, SECRETS.wrongKey), await ask('tasks', REQUEST_KEY));

      // The endpoint fails in each way, and quotes what it was sent.
      const echo = `bad token ${ENDPOINT_KEY} ${encodeURIComponent(ENDPOINT_KEY)} ${JSON.stringify(ENDPOINT_KEY)}`;
      const location = `/login?key=${encodeURIComponent(ENDPOINT_KEY)}`;
      for (const [failure, status] of [
        [{ status: 401, body: echo }, 'endpoint 401'],
        [{ status: 503, body: echo }, 'endpoint 503'],
        [{ status: 302, headers: { location } }, 'endpoint 302'],
        [{ end: 'destroy' }, 'endpoint down'],
        [{ status: 422, body: echo }, 'refused'],
      ] as const satisfies readonly (readonly [Reply, string])[]) {
        reply = failure;
        // Backoff begins anew with the nodes.
        await redeploy();
        answers.push(await ask('raise-request', REQUEST_KEY, RANGE));
        await saw(status);
      }
      // Kept until the range is delivered, which it will be.
      await until(async () => {
        const kept = await rejectedOnRecord(state, userDirectory);
        answers.push(...kept);
        return kept.length > 0;
      });
      reply = undefined;
      await redeploy();

      // The database fails: a table that is gone, a password that is not taken any more.
      await plant.client.query('alter table sensor_data rename to gone');
      answers.push(await ask('raise-request', REQUEST_KEY, RANGE));
      await saw('does not exist');
      await plant.client.query('alter table gone rename to sensor_data');
      await setPassword(reader, 'another');
      await redeploy();
      answers.push(await ask('raise-request', REQUEST_KEY, RANGE));
      await saw('TM_DATABASE_REFUSED');
      await setPassword(reader, SECRETS.databasePassword);

      // The broker fails: a password that is not taken any more, and then no broker at all.
      await saw('"ready"');
      await setBrokerPassword('another');
      await saw('TM_BROKER_UNREACHABLE');
      await redeploy();
      await saw('WRONGPASS');
      await setBrokerPassword(SECRETS.brokerPassword);
      await saw('takes windows again');
      await broker.crash();
      await redeploy();
      await saw('ECONNREFUSED');
      await broker.start();

      // The Test buttons, with what is stored and with what is typed.
      const config = (await flowWith({ state })).find(({ type }) => type === 'tm-config') ?? {};
      for (const button of ['test-database', 'test-endpoint']) {
        const stored = { databaseUrl: '__PWRD__', endpointKey: '__PWRD__', requestKey: '__PWRD__' };
        const typed = { databaseUrl: urlOf(reader, SECRETS.wrongKey), endpointKey: SECRETS.wrongKey };
        reply = { status: 401, body: echo };
        answers.push(await ask(`turbomechanica/${button}`, '', { ...config, ...stored }));
        answers.push(await ask(`turbomechanica/${button}`, '', { ...config, ...typed }));
        reply = undefined;
      }

      // What the editor and an administrator can get out of it.
      for (const path of [
        ...['flows', 'nodes', 'settings', 'diagnostics', 'context/global', 'library/local/flows'],
        ...['metrics', 'health', `credentials/tm-config/${String(config.id)}`],
      ])
        answers.push(`${path}: ${await ask(path, '')}`);

      for (const word of [
        'posted',
        'TM_ENDPOINT_HOLD',
        'TM_BROKER_UNREACHABLE',
        'TM_QUERY_FAILED',
        'duration_ms',
        'bad token …',
      ])
        assert(shown().includes(word), `${word} was not shown: nothing was searched`);
      await until(() => frames.length > 20);
      for (const frame of frames) assertNoSecret('what the editor is sent', frame);
      assertNoSecret('the log', nodeRed.log);
      for (const answer of answers) assertNoSecret('an answer', answer);
      await nodeRed.stop();
      const files = await filesUnder(userDirectory);
      assert(files.some((file) => file.endsWith('flows_cred.json')));
      for (const file of files) assertNoSecret(file, await readFile(file, 'utf8'));
      if (state === 'database') {
        const { rows } = await plant.client.query<{ record: string }>('select record from tm_state');
        assert(rows.length > 0);
        for (const { record } of rows) assertNoSecret('the state database', record);
      }
    });
  }

  it('are found by this search in each form, or it would find nothing', () => {
    for (const secret of Object.values(SECRETS)) {
      for (const shown of [
        `key ${secret}.`,
        `postgresql://user:${encodeURIComponent(secret)}@host/`,
        JSON.stringify({ key: secret }),
        JSON.stringify({ frame: JSON.stringify({ key: secret }) }),
        Buffer.from(`user:${secret}`).toString('base64'),
        Buffer.from(`Bearer ${secret} and more`).toString('base64url'),
      ])
        assert.throws(() => {
          assertNoSecret('here', shown);
        });
    }
  });
});
