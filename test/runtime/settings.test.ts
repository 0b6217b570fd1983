import assert from 'node:assert/strict';
import helper from 'node-red-node-test-helper';
import { collect, deploy, inject, messageWhere, useNodeRed, type FlowMessage } from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

interface CaughtError {
  readonly code: string;
  readonly message: string;
  readonly source: { readonly id: string };
}
const errorOf = (message: FlowMessage): CaughtError => message.error as CaughtError;

describe('Settings that are wrong', () => {
  useNodeRed();
  const plant = usePlant();

  it('are said at deploy on each node that needs them: a variable that is not set by its name', async () => {
    const credentials = { 'cfg-1': { ...plant.credentials['cfg-1'], databaseUrl: '${NO_SUCH_VARIABLE}' } };
    await deploy(plant.flow(), credentials);
    const caught = collect('errors');
    await until(() => caught.length >= 2);
    for (const { code, message } of caught.map(errorOf)) {
      assert.equal(code, 'TM_ENV_UNSET');
      assert.match(message, /NO_SUCH_VARIABLE is not set; the setting databaseUrl needs it/);
    }
    const sources = caught.map((message) => errorOf(message).source.id);
    assert.deepEqual(sources.sort(), ['bookmark-next', 'fetch-1']);
    const statuses = ['fetch-1', 'bookmark-next'].map(
      (id) => (helper.getNode(id) as unknown as { status: { args: unknown[][] } }).status,
    );
    for (const { args } of statuses)
      assert.deepEqual(args[0], [{ fill: 'red', shape: 'ring', text: 'settings' }]);
  });

  const cases: [name: string, overrides: Record<string, object>, node: string, says: RegExp][] = [
    ['a number', { 'fetch-1': { readingsPerBatch: 'many' } }, 'fetch-1', /readingsPerBatch is "many"/],
    ['a table', { 'fetch-1': { table: '' } }, 'fetch-1', /table is empty/],
    ['SQL', { 'fetch-1': { from: 'sql', sql: "SELECT ':start_time'" } }, 'fetch-1', /sql has no :start_time/],
    ['an endpoint', { 'cfg-1': { endpoint: 'plant:secret@host' } }, 'post-1', /endpoint is/],
    ['a time zone', { 'cfg-1': { timeZone: 'Mars/Olympus' } }, 'fetch-1', /"Mars\/Olympus"/],
    ['a config', { 'fetch-1': { config: 'gone' } }, 'fetch-1', /config is not chosen/],
    ['an action', { 'bookmark-commit': { action: 'undo' } }, 'bookmark-commit', /action is "undo"/],
  ];
  for (const [name, overrides, node, says] of cases) {
    it(`are quoted: ${name}`, async () => {
      await deploy(plant.flow(overrides), plant.credentials);
      const caught = messageWhere('errors', (message) => errorOf(message).source.id === node);
      inject(node, {});
      const { code, message } = errorOf(await caught);
      assert.equal(code, 'TM_SETTING_INVALID');
      assert.match(message, says);
    });
  }

  it('do not leave a caller of the request API without an answer', async () => {
    const flow = [
      ...plant.flow(),
      { id: 'request-1', type: 'tm-request', config: 'cfg-1', queueLimit: '-1', wires: [['answers'], []] },
      { id: 'answers', type: 'helper' },
    ];
    await deploy(flow, plant.credentials);
    const answered = messageWhere('answers', () => true);
    inject('request-1', { req: {}, res: {} });
    const { statusCode, payload } = await answered;
    assert.equal(statusCode, 503);
    assert.match(JSON.stringify(payload), /not set up/);
  });
});
