import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import helper from 'node-red-node-test-helper';
import type { NodeInitializer } from 'node-red';
import { TmError } from '../../lib/errors';
import { transfers, type Transfer } from '../../lib/transfer';
import registerConfig from '../../nodes/tm-config/tm-config';
import registerRequest from '../../nodes/tm-request/tm-request';
import { testDirectory } from '../support/directory';
import { collect, inject, messageWhere, nextMessage, useNodeRed, type FlowMessage } from '../support/flow';
import { nodeRedMain } from '../support/node-red';
import { until } from '../support/until';

const KEY = 'test-request-key';
const requireFromNodeRed = createRequire(nodeRedMain());
const NODES: NodeInitializer[] = [
  registerConfig,
  registerRequest,
  ...['25-catch', '25-status', '24-complete'].map(
    (file) => requireFromNodeRed(`@node-red/nodes/core/common/${file}.js`) as NodeInitializer,
  ),
];
const RANGE = { start_time: '2026-01-31T12:00:00Z', end_time: '2026-01-31T12:03:00Z' };

/** What http-in sends on, as far as it concerns the node. */
function httpMessage(method: string, path: string, payload: unknown = {}, key = KEY): object {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return {
    req: { method, path, headers, params: {} },
    res: { _res: 'the response' },
    payload,
    other: 'stays',
  };
}

describe('tm-request', () => {
  useNodeRed();
  const directory = testDirectory();

  const deploy = async (requestKey = KEY): Promise<void> => {
    await helper.load(
      NODES,
      [
        { id: 'tab', type: 'tab', label: 'test' },
        { id: 'cfg-1', type: 'tm-config', stateDirectory: `${directory.path}/state` },
        ...[
          {
            id: 'request-1',
            type: 'tm-request',
            config: 'cfg-1',
            longestMinutes: '1',
            wires: [['answers'], ['windows']],
          },
          { id: 'answers', type: 'helper' },
          { id: 'windows', type: 'helper' },
          { id: 'catch-1', type: 'catch', wires: [['errors']] },
          { id: 'errors', type: 'helper' },
          { id: 'complete-1', type: 'complete', scope: ['request-1'], wires: [['completed']] },
          { id: 'completed', type: 'helper' },
          { id: 'status-1', type: 'status', wires: [['statuses']] },
          { id: 'statuses', type: 'helper' },
        ].map((node) => ({ ...node, z: 'tab' })),
      ] as never,
      { 'cfg-1': { requestKey } },
    );
  };
  const ask = async (...request: Parameters<typeof httpMessage>): Promise<FlowMessage> => {
    const answer = nextMessage('answers');
    inject('request-1', httpMessage(...request));
    return answer;
  };
  const raise = async (): Promise<string> => {
    const { payload } = await ask('POST', '/raise-request', RANGE);
    return (payload as { task_id: string }).task_id;
  };
  const stateOf = async (id: string): Promise<string> =>
    ((await ask('GET', `/tasks/${id}`)).payload as { state: string }).state;
  const transferOf = ({ tm }: FlowMessage): Transfer => {
    const transfer = transfers.get((tm as { transfer: string }).transfer);
    assert(transfer);
    return transfer;
  };
  const deliver = (message: FlowMessage): void => {
    const sequence = transferOf(message).open();
    sequence.settle(sequence.send([], 1), 'post', { readings: 0, bytes: 0 });
  };
  const startOf = ({ payload }: FlowMessage): string => (payload as typeof RANGE).start_time;

  it('answers on its first output with the message that asked, and sends windows of their own on its second', async () => {
    await deploy();
    const [window, completed] = [nextMessage('windows'), nextMessage('completed')];
    const answer = await ask('POST', '/api/v1/raise-request', RANGE);
    const { task_id: task } = answer.payload as { task_id: string };
    assert.deepEqual(answer.payload, { task_id: task, status: 'task submitted' });
    assert.equal(answer.statusCode, 200);
    assert.deepEqual(answer.res, { _res: 'the response' });
    assert.equal(answer.other, 'stays');
    const sent = await window;
    const { _msgid: _id, ...rest } = sent;
    assert.deepEqual(rest, {
      payload: { start_time: '2026-01-31T12:00:00Z', end_time: '2026-01-31T12:01:00Z' },
      tm: { transfer: transferOf(sent).id, task },
    });
    assert.deepEqual(transferOf(sent).owner, { task });
    assert.deepEqual((await completed).payload, answer.payload);
  });

  it('sends the next window when the one before is delivered, and shows how far it is', async () => {
    await deploy();
    const statuses = collect('statuses');
    const shown = (text: string): boolean =>
      statuses.some(({ status }) => (status as { text: string }).text === text);
    const windows = collect('windows');
    const id = await raise();
    for (let delivered = 0; delivered < 3;) {
      await until(() => windows.length > delivered);
      for (const window of windows.slice(delivered++)) deliver(window);
    }
    await until(async () => (await stateOf(id)) === 'SUCCESS');
    assert.deepEqual(windows.map(startOf), [
      '2026-01-31T12:00:00Z',
      '2026-01-31T12:01:00Z',
      '2026-01-31T12:02:00Z',
    ]);
    await until(() => shown('idle'));
  });

  it('refuses a wrong key', async () => {
    await deploy();
    const windows = collect('windows');
    assert.equal((await ask('POST', '/raise-request', RANGE, 'wrong')).statusCode, 403);
    assert.deepEqual(windows, []);
  });

  it('says in the answer what is wrong with a body', async () => {
    await deploy();
    const { statusCode, payload } = await ask('POST', '/raise-request', Buffer.from('{"start_time": '));
    assert.equal(statusCode, 422);
    assert.deepEqual(payload, {
      detail: [{ loc: ['body'], msg: 'The body is not JSON.', type: 'json_invalid' }],
    });
  });

  for (const [what, message] of Object.entries({
    'an empty message': {},
    'a window': { payload: RANGE },
    'a request without a response': { req: { method: 'GET', path: '/tasks', headers: {} } },
    'nonsense for a request': { req: 'GET /tasks', res: {} },
  })) {
    it(`${what} is one clear error, and the next request works`, async () => {
      await deploy();
      const [caught, answers] = [collect('errors'), collect('answers')];
      inject('request-1', message);
      await until(() => caught.length);
      const error = caught[0]?.error as { message: string; code: string };
      assert.equal(error.code, 'TM_MESSAGE_INVALID');
      assert.match(error.message, /does not come from an http in node/);
      assert.deepEqual(answers, []);
      assert.equal((await ask('GET', '/tasks')).statusCode, 200);
      assert.equal(caught.length, 1);
    });
  }

  it('redeployed in the middle of a window: goes on at that window, without a message', async () => {
    await deploy();
    const first = messageWhere('windows', (message) => startOf(message) === '2026-01-31T12:01:00Z');
    const begun = nextMessage('windows');
    const id = await raise();
    deliver(await begun);
    const { signal } = transferOf(await first);
    await helper.unload();
    assert.equal((signal.reason as TmError).code, 'TM_CLOSED');
    assert.equal(transfers.size, 0);

    await deploy();
    const windows = collect('windows');
    await until(() => windows.length === 1);
    const { payload } = await ask('GET', `/tasks/${id}`);
    assert.deepEqual(payload, {
      ...{ state: 'STARTED', current: 1, total: 3, status: '1 of 3 windows delivered' },
    });
    assert.deepEqual(windows.map(startOf), ['2026-01-31T12:01:00Z']);
    assert.equal((await ask('DELETE', `/tasks/${id}`)).statusCode, 200);
  });

  it('shows what a window waits for, and that it goes on', async () => {
    await deploy();
    const statuses = collect('statuses');
    const last = (): unknown => (statuses.at(-1)?.status as { text: string } | undefined)?.text;
    const window = nextMessage('windows');
    const id = await raise();
    const transfer = transferOf(await window);
    transfer.onWaiting?.('endpoint 503');
    await until(() => last() === 'waiting: endpoint 503');
    transfer.onWaiting?.(undefined);
    await until(() => last() === 'task 0/3');
    transfer.fail(new TmError('TM_ENDPOINT_UNAVAILABLE', 'The endpoint answered 503.'));
    await until(() => last() === 'again: endpoint');
    await ask('DELETE', `/tasks/${id}`);
    await until(() => last() === 'idle');
  });

  it('a window that no node takes is said, with what to check', async () => {
    await deploy();
    const [window, caught] = [nextMessage('windows'), nextMessage('errors')];
    const id = await raise();
    transferOf(await window).onStalled?.('The window stands still: no tm-fetch has taken it.');
    const { code, message } = (await caught).error as { code: string; message: string };
    assert.deepEqual(
      [code, message],
      ['TM_STALLED', 'TmError: The window stands still: no tm-fetch has taken it.'],
    );
    await ask('DELETE', `/tasks/${id}`);
  });

  it('state that cannot be written: the caller is told to come again, Catch why', async () => {
    await deploy();
    const caught = nextMessage('errors');
    await ask('GET', '/tasks');
    await writeFile(`${directory.path}/state`, 'in the way');
    const answer = await ask('POST', '/raise-request', RANGE);
    assert.equal(answer.statusCode, 503);
    assert.equal(((await caught).error as { code: string }).code, 'TM_STATE_WRITE');
    await rm(`${directory.path}/state`);
    assert.equal((await ask('POST', '/raise-request', RANGE)).statusCode, 200);
  });

  it('an unset key is said at deploy, by the name of its variable', async () => {
    await deploy('${API_KEY}');
    const { error } = await nextMessage('errors');
    assert.equal((error as { code: string }).code, 'TM_ENV_UNSET');
    assert.match((error as { message: string }).message, /API_KEY is not set/);
  });
});
