/**
 * The request API behind http-in nodes. Output 1: the answers, for http response. Output 2: the windows of the
 * tasks, one after another, for tm-fetch.
 */
import type { NodeAPI, NodeMessageInFlow } from 'node-red';
import { TmError } from '../../lib/errors';
import { RequestApi, type ApiRequest } from '../../lib/request-api';
import { requestSettings } from '../../lib/settings';
import { Tasks, type QueueState } from '../../lib/task';
import { transfers, type Transfer } from '../../lib/transfer';
import { formatWindow, type Window } from '../../lib/window';
import { registerNode, type ConnectorNode, type Send } from '../shared/node';
import { logDelivery, StateLog } from '../shared/progress-log';
import { watched } from '../shared/watched';
import { configOf } from '../tm-config/connections';
import { answerHttpErrors } from './http-errors';

const STATUS = {
  idle: { fill: 'green', shape: 'dot' },
  working: { fill: 'blue', shape: 'dot' },
  retrying: { fill: 'yellow', shape: 'ring' },
  standby: { fill: 'grey', shape: 'ring' },
  failed: { fill: 'red', shape: 'ring' },
} as const satisfies Record<QueueState['state'], object>;

/** What is used of the requests that http-in hands on. */
interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: ApiRequest['headers'];
  readonly ip?: unknown;
}

export = function register(RED: NodeAPI): void {
  answerHttpErrors(RED);
  registerNode(
    RED,
    'tm-request',
    (node, raw) => {
      const connections = configOf(RED, raw);
      const stateLog = new StateLog(node);
      const showState = (state: QueueState): void => {
        stateLog.show(`Tasks: ${stateForLog(state)}`, state.state === 'idle');
        node.statusLine.show({ ...STATUS[state.state], text: describeState(state) });
      };
      const shared = connections.settings.state === 'database';
      // Machines that read another database may have the same flow, and the same place for state.
      const owner = shared ? `${node.id} ${connections.sourceId}` : node.id;
      const tasks = new Tasks(
        { owner, shared, ...requestSettings(raw) },
        {
          store: connections.store(),
          emit: (window, task) =>
            emit(node, window, task, (reason) => {
              if (reason === undefined) showState(tasks.state);
              else node.statusLine.show({ ...STATUS.retrying, text: `waiting: ${reason}` });
            }),
          onSubmitted: () => {
            connections.openEndpoint?.forgetAccepted();
          },
          onState: showState,
          onProblem: (error) => {
            node.problem(error);
          },
        },
      );
      const api = new RequestApi(tasks, connections.requestKey(), connections.settings.timeZone);
      // Interrupted tasks send windows at once: not before the nodes that take them exist.
      const start = (): void => {
        tasks.start();
      };
      RED.events.once('flows:started', start);
      watched.tasks.add(tasks);
      return {
        async input(message, send) {
          const answer = await api.handle(requestOf(message));
          const { status: statusCode, headers, body: payload } = answer;
          send([Object.assign(message, { statusCode, headers, payload }), undefined]);
          if (answer.problem) node.problem(answer.problem);
        },
        async close() {
          RED.events.removeListener('flows:started', start);
          watched.tasks.delete(tasks);
          await tasks.close();
        },
      };
    },
    answerUnavailable,
  );
};

/** The settings are wrong: said on the node; the caller, who may not see why, is told to come again. */
function answerUnavailable(message: NodeMessageInFlow, send: Send): void {
  const payload = { detail: 'The connector is not set up; its administrator sees why in Node-RED.' };
  send([{ ...message, statusCode: 503, headers: { 'retry-after': '60' }, payload }, undefined]);
}

/** A message of its own: the request that asked for the window has been answered long before. */
function emit(
  node: ConnectorNode,
  window: Window,
  task: string,
  onWaiting: (reason: string | undefined) => void,
): Transfer {
  const transfer = transfers.issue(window, { task });
  logDelivery(node, transfer);
  transfer.onStalled = (message) => {
    node.problem(new TmError('TM_STALLED', message));
  };
  transfer.onWaiting = onWaiting;
  node.send([null, { payload: { ...formatWindow(window) }, tm: { transfer: transfer.id, task } }]);
  return transfer;
}

function requestOf(message: NodeMessageInFlow): ApiRequest {
  const { req, res, payload }: { req?: unknown; res?: unknown; payload?: unknown } = message;
  if (!isHttpRequest(req) || res === undefined) {
    throw new TmError(
      'TM_MESSAGE_INVALID',
      'The message does not come from an http in node: it has no msg.req and msg.res. Wire http in nodes to tm-request; for windows of your own use tm-fetch.',
    );
  }
  const { method, path, headers, ip } = req;
  return { method, path, headers, body: payload, address: typeof ip === 'string' ? ip : undefined };
}

function isHttpRequest(value: unknown): value is HttpRequest {
  if (typeof value !== 'object' || value === null) return false;
  const { method, path, headers }: Partial<Record<keyof HttpRequest, unknown>> = value;
  return (
    typeof method === 'string' && typeof path === 'string' && typeof headers === 'object' && headers !== null
  );
}

/** Without what changes all the time. */
function stateForLog(state: QueueState): string {
  if (state.state === 'standby') return `standby, ${state.behind} carries them out`;
  return 'reason' in state ? `${state.state}: ${state.reason}` : state.state;
}

/** `idle`, `task 3/48`, `3/48, 2 waiting`, `again: endpoint`, `standby: process 17 on plant-7`, `failed: endpoint` */
function describeState(state: QueueState): string {
  switch (state.state) {
    case 'idle':
      return 'idle';
    case 'working': {
      const progress = `${state.current}/${state.total}`;
      return state.waiting === 0 ? `task ${progress}` : `${progress}, ${state.waiting} waiting`;
    }
    case 'retrying':
      return `again: ${state.reason}`;
    case 'standby':
      return `standby: ${state.behind}`;
    case 'failed':
      return `failed: ${state.reason}`;
  }
}
