/** The Test and Preview buttons: whatever is in the form, they answer, and no secret is in the answer. */
import assert from 'node:assert/strict';
import type { NodeAPI } from 'node-red';
import { serveEditor, tryConnections, type TrialResult } from '../../nodes/tm-config/trial';

const PASSWORD = 'geh%40eim-17';
const MEANT = 'geh@eim-17';
const VARIABLES: Readonly<Record<string, string>> = {
  DATABASE_URL: `postgresql://reader:${PASSWORD}@127.0.0.1:1/plant`,
  BROKEN_URL: `postgresql://reader:${PASSWORD}@[::1/plant`,
  ZONE: 'Mars/Olympus',
};

const runtime = (over: object = {}): NodeAPI =>
  ({
    settings: {},
    nodes: { getCredentials: () => ({ stateUrl: `postgresql://u:${PASSWORD}@h/d` }), getNode: () => null },
    util: { getSetting: (_node: unknown, name: string) => VARIABLES[name] },
    ...over,
  }) as unknown as NodeAPI;

/** The address is connected to, and then what is thrown is whatever the database's driver might say. */
const tryForm = (form: object, said = ''): Promise<TrialResult<unknown>> =>
  tryConnections(runtime(), { id: 'cfg', endpointKey: 'key-of-it', ...form }, async (connections) => {
    const source = connections.source();
    connections.endpoint();
    if (said !== '') throw new Error(said);
    return source.identify();
  });

const assertClean = (result: unknown, what: unknown): void => {
  assert.doesNotMatch(JSON.stringify(result), /geh|eim-17/, JSON.stringify(what));
};

describe('A trial of what is in the form', () => {
  const endpoint = 'http://127.0.0.1:1/';
  const urls: readonly unknown[] = [
    `postgresql://u:${PASSWORD}@[::1/plant`,
    `postgresql://u:${PASSWORD}@ho st/plant`,
    `postgresql://u:${PASSWORD}@127.0.0.1:99999/plant`,
    `postgresql://u:${PASSWORD}@127.0.0.1:1/plant`,
    `postgresql://u:%zz${PASSWORD}@127.0.0.1:1/plant`,
    `postgresql://127.0.0.1:1/plant?sslmode=require&password=${PASSWORD}&sslmode=${PASSWORD}`,
    `mysql://u:${PASSWORD}@a%00b/plant`,
    `Server=127.0.0.1,99999;Database=plant;User Id=u;Password=${PASSWORD}`,
    `Server=127.0.0.1,1;Database=${PASSWORD};Password=${PASSWORD}`,
    `u:${PASSWORD}@127.0.0.1/plant`,
    PASSWORD,
    [PASSWORD],
    { password: PASSWORD },
    '${DATABASE_URL}',
    '${BROKEN_URL}',
    'half \ud800',
    null,
    7,
  ];
  for (const databaseUrl of urls) {
    it(`answers with what is wrong and without a secret: databaseUrl is ${JSON.stringify(databaseUrl)}`, async () => {
      const result = await tryForm({ endpoint, databaseUrl });
      assert(!result.ok && result.text !== '');
      assertClean(result, databaseUrl);
    });
  }

  for (const url of [
    `http://u:${PASSWORD}@[::1/`,
    `u:${PASSWORD}@host/path`,
    `ftp://host/?token=${PASSWORD}`,
    [PASSWORD],
    { token: PASSWORD },
  ]) {
    it(`answers without a secret: endpoint is ${JSON.stringify(url)}`, async () => {
      const result = await tryForm({ endpoint: url, databaseUrl: '${DATABASE_URL}' });
      assert(!result.ok);
      assertClean(result, url);
    });
  }

  it('takes secrets out of what a database says, as they are typed, sent, stored, and in variables', async () => {
    for (const databaseUrl of ['${DATABASE_URL}', VARIABLES.DATABASE_URL, VARIABLES.BROKEN_URL]) {
      for (const said of [
        PASSWORD,
        MEANT,
        'geh%40EIM-17'.replace('EIM', 'eim'),
        VARIABLES.DATABASE_URL ?? '',
      ]) {
        const result = await tryForm(
          { endpoint, databaseUrl, stateUrl: '__PWRD__' },
          `no such user: ${said}!`,
        );
        assert(!result.ok);
        assertClean(result, said);
      }
    }
  });

  it('shows the name of a variable in place of its value', async () => {
    const result = await tryForm({ endpoint, databaseUrl: '${DATABASE_URL}', timeZone: '${ZONE}' });
    assert(!result.ok);
    assert.match(result.text, /^timeZone "\$\{ZONE\}" is not/);
  });

  it('answers where the runtime itself fails, for what is thrown would end Node-RED', async () => {
    let route: ((request: object, response: object) => void) | undefined;
    const RED = runtime({
      auth: { needsPermission: () => undefined },
      httpAdmin: { post: (_path: string, _allowed: unknown, handler: typeof route) => (route = handler) },
    });
    serveEditor(RED, '/turbomechanica/trial-of-a-test', 'tm-config.write', () => {
      throw new Error(`the answer holds ${PASSWORD}`);
    });
    const answer = await new Promise((json) => route?.({ body: {} }, { json }));
    assert.deepEqual(answer, { ok: false, text: 'The form cannot be tried: Error.' });
  });
});
