/**
 * The package's nodes in a Node-RED of the test's own process, over a database and a cloud of the test's own.
 * A flow is written as in an export; `helper` nodes catch what arrives.
 */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import helper from 'node-red-node-test-helper';
import type { NodeInitializer, NodeMessageInFlow } from 'node-red';
import registerBookmark from '../../nodes/tm-bookmark/tm-bookmark';
import registerConfig from '../../nodes/tm-config/tm-config';
import registerFetch from '../../nodes/tm-fetch/tm-fetch';
import registerPost from '../../nodes/tm-post/tm-post';
import registerQueue from '../../nodes/tm-queue/tm-queue';
import registerRequest from '../../nodes/tm-request/tm-request';
import { transfers } from '../../lib/transfer';
import { nodeRedMain } from './node-red';
import { until } from './until';

const requireFromNodeRed = createRequire(nodeRedMain());
const coreNode = (file: string): NodeInitializer =>
  requireFromNodeRed(`@node-red/nodes/core/${file}`) as NodeInitializer;

const NODES: NodeInitializer[] = [
  registerConfig,
  registerBookmark,
  registerFetch,
  registerPost,
  registerQueue,
  registerRequest,
  coreNode('common/25-catch.js'),
  coreNode('common/25-status.js'),
  coreNode('common/24-complete.js'),
  coreNode('function/10-function.js'),
];

export type FlowNode = Readonly<Record<string, unknown>> & { readonly id: string; readonly type: string };
export type FlowMessage = NodeMessageInFlow & Readonly<Record<string, unknown>>;

/** Starts and stops Node-RED around each test of the calling `describe`. */
export function useNodeRed(): void {
  before(() => {
    helper.init(nodeRedMain());
  });
  beforeEach(() => new Promise<void>((resolve) => helper.startServer(resolve)));
  afterEach(async () => {
    await helper.unload();
    await new Promise<void>((resolve) => helper.stopServer(resolve));
    if (transfers.size > 0) throw new Error(`${transfers.size} transfers are left over`);
  });
}

/** Deploys a flow; `tab` is added where the nodes name none, for Catch and Status nodes need one. */
export async function deploy(
  flow: readonly FlowNode[],
  credentials: Readonly<Record<string, object>>,
): Promise<void> {
  const nodes = flow.map((node) => (node.type === 'tm-config' ? node : { z: 'tab', ...node }));
  await helper.load(NODES, [{ id: 'tab', type: 'tab', label: 'test' }, ...nodes] as never, {
    ...credentials,
  });
}

/** As a full deploy of a changed flow: all nodes are closed and made anew. */
export async function redeploy(
  flow: readonly FlowNode[],
  credentials: Readonly<Record<string, object>>,
): Promise<void> {
  await undeploy();
  await deploy(flow, credentials);
}

/** Closes all nodes, as a stop of Node-RED does; what they say meanwhile is in {@link logged}. */
export async function undeploy(): Promise<void> {
  // Unloading stops listening to the log before it closes the nodes.
  await helper.clearFlows();
  await helper.unload();
}

/** Sends a message to a node, as a wire would. */
export function inject(id: string, message: object = {}): void {
  helper.getNode(id).receive({ ...message });
}

/** The next message that arrives at a node; ask before what causes it. */
export async function nextMessage(id: string): Promise<FlowMessage> {
  const [message] = (await once(helper.getNode(id), 'input')) as [FlowMessage];
  return message;
}

/** The first of the messages arriving from now on for which `wanted` holds. */
export function messageWhere(id: string, wanted: (message: FlowMessage) => boolean): Promise<FlowMessage> {
  return new Promise((resolve) => {
    const receiver = helper.getNode(id);
    const look = (message: FlowMessage): void => {
      if (!wanted(message)) return;
      receiver.removeListener('input', look);
      resolve(message);
    };
    receiver.on('input', look);
  });
}

/** Everything that has arrived at a node since this was called. */
export function collect(id: string): FlowMessage[] {
  const messages: FlowMessage[] = [];
  helper.getNode(id).on('input', (message) => {
    messages.push(message);
  });
  return messages;
}

const DEBUG_LEVEL = 50;

/** What a node has said in its log since the flow was deployed: no debugging, no records of windows and states. */
export function logged(id: string): string[] {
  return helper
    .log()
    .getCalls()
    .map(
      ({ args: [entry] }) =>
        entry as { readonly id?: string; readonly level: number; readonly msg?: unknown },
    )
    .filter((entry) => entry.id === id && entry.level < DEBUG_LEVEL)
    .flatMap(({ msg }) => (msg instanceof Error ? msg.message : typeof msg === 'string' ? msg : []));
}

/** Sends message after message to a node, as an inject node does, until a condition holds. */
export async function injectUntil(id: string, condition: () => unknown): Promise<void> {
  await until(async () => {
    if (await condition()) return true;
    inject(id);
    return false;
  });
}
