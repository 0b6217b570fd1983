/**
 * The flow of a mode: the package's own example, with what the environment says put into the nodes' settings.
 * It holds `${NAME}` where a variable decides, so that no secret is ever written to a disk.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSettings, type Environment, type Mode } from './variables';

export interface FlowNode {
  readonly [setting: string]: unknown;
  readonly id: string;
  readonly type: string;
  readonly wires?: readonly (readonly string[])[];
  readonly credentials?: Readonly<Record<string, string>>;
}

const EXAMPLES: Readonly<Record<Mode, string>> = {
  request: 'request-mode.json',
  schedule: 'schedule-mode.json',
  both: 'both-modes.json',
};

/** The same in all modes, so that a change of mode starts nothing over. */
const DEFAULT_BOOKMARK = 'schedule';
/** A task belongs to the node that took it. */
const REQUESTS_ID = '7ec0de9900000001';
const PROXY_ID = '7ec0de9900000002';
const QUEUE_ID = '7ec0de9900000003';
/** Of one bookmark or task, on all machines together: the most that there can be. */
const IN_FLIGHT_WITH_QUEUE = 64;

/** An error that a Catch node takes is in no log, and without an editor nobody looks at Debug messages. */
const FOR_THE_EDITOR = ['comment', 'debug', 'status', 'switch'];

/** @param examples the folder of the example flows */
export function flowOf(mode: Mode, environment: Environment, examples: string): FlowNode[] {
  const example = parse(readFileSync(join(examples, EXAMPLES[mode]), 'utf8'));
  const dropped = ['catch', ...(environment.NODE_RED_EDITOR === 'on' ? [] : FOR_THE_EDITOR)];
  const nodes = withRequestsId(example.filter(({ type }) => !dropped.includes(type)));
  const kept = new Set(nodes.map(({ id }) => id));
  const flow = nodes.map((node) => ({
    ...node,
    ...settingsOf(node, environment),
    ...(node.wires && { wires: node.wires.map((ends) => ends.filter((id) => kept.has(id))) }),
    ...(Array.isArray(node.nodes) && { nodes: node.nodes.filter((id) => kept.has(String(id))) }),
  }));
  const shared = environment.BROKER_URL === undefined ? flow : withQueue(flow);
  return [...shared, ...proxyNodes(environment)];
}

/** Every window goes through a queue that several machines share, before it is read. */
function withQueue(flow: readonly FlowNode[]): FlowNode[] {
  const fetch = flow.find(({ type }) => type === 'tm-fetch');
  if (!fetch) throw new Error('The example has no tm-fetch.');
  const { id, config, z, x, y } = fetch;
  const queue = { id: QUEUE_ID, type: 'tm-queue', name: 'share it', config, z, x, y: Number(y) + 60 };
  return [
    ...flow.map((node) => ({
      ...node,
      ...(node.wires && {
        wires: node.wires.map((ends) => ends.map((end) => (end === id ? QUEUE_ID : end))),
      }),
      ...(isEmitter(node) && { inFlight: IN_FLIGHT_WITH_QUEUE }),
    })),
    { ...queue, queue: 'turbomechanica', inFlight: 2, wires: [[id]] },
  ];
}

function isEmitter({ type, action }: FlowNode): boolean {
  return type === 'tm-request' || (type === 'tm-bookmark' && action === 'next');
}

function withRequestsId(nodes: readonly FlowNode[]): FlowNode[] {
  const requests = nodes.find(({ type }) => type === 'tm-request');
  return requests ? parse(JSON.stringify(nodes).replaceAll(requests.id, REQUESTS_ID)) : [...nodes];
}

function settingsOf(node: FlowNode, environment: Environment): Readonly<Record<string, unknown>> {
  const given = (settings: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(settings).flatMap(([setting, name]) =>
        environment[name] === undefined ? [] : [[setting, `\${${name}}`]],
      ),
    );
  switch (node.type) {
    case 'tm-config': {
      const state = given({ stateUrl: 'STATE_DATABASE_URL' });
      return {
        ...given({
          timeZone: 'TIME_ZONE',
          timestampFormat: 'TIMESTAMP_FORMAT',
          bookmarkTable: 'BOOKMARK_TABLE',
          bookmarkNameColumn: 'BOOKMARK_NAME_COLUMN',
          bookmarkTimestampColumn: 'BOOKMARK_TIMESTAMP_COLUMN',
        }),
        ...(state.stateUrl !== undefined && { state: 'database' }),
        ...(proxyVariable(environment) !== undefined && { proxy: PROXY_ID }),
        credentials: { ...node.credentials, ...state, ...given({ brokerUrl: 'BROKER_URL' }) },
      };
    }
    case 'tm-bookmark':
      return isEmitter(node) ? scheduleOf(environment, given) : {};
    case 'tm-fetch':
      return queryOf(environment, given);
    default:
      return {};
  }
}

type Given = (settings: Readonly<Record<string, string>>) => Record<string, string>;

function scheduleOf({ START_AT, BOOKMARK }: Environment, given: Given): Record<string, string> {
  return {
    ...given({ settleSeconds: 'SETTLE_SECONDS' }),
    bookmark: BOOKMARK ?? DEFAULT_BOOKMARK,
    ...(START_AT !== undefined && startSettings(START_AT)),
  };
}

function queryOf({ SENSOR_SQL_FILE, SENSOR_LIST_FILE }: Environment, given: Given): Record<string, string> {
  return {
    ...given({
      table: 'SENSOR_TABLE',
      sensorColumn: 'SENSOR_COLUMN',
      timestampColumn: 'TIMESTAMP_COLUMN',
      valueColumn: 'VALUE_COLUMN',
    }),
    ...(SENSOR_LIST_FILE !== undefined && { sensors: readFileSync(SENSOR_LIST_FILE, 'utf8') }),
    ...(SENSOR_SQL_FILE !== undefined && { from: 'sql', sql: readFileSync(SENSOR_SQL_FILE, 'utf8') }),
  };
}

/** The proxy's variable for the endpoint's scheme, as curl and Python's requests read them. */
function proxyVariable(environment: Environment): string | undefined {
  const secure = /^https:/i.test(environment.POST_DATA_ENDPOINT ?? '');
  const names = secure ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy'];
  return names.find((name) => environment[name] !== undefined);
}

function proxyNodes(environment: Environment): FlowNode[] {
  const name = proxyVariable(environment);
  if (name === undefined) return [];
  const noProxy = environment.NO_PROXY ?? environment.no_proxy ?? '';
  const noproxy = noProxy.split(',').map((host) => host.trim());
  return [
    {
      id: PROXY_ID,
      type: 'http proxy',
      name,
      url: `\${${name}}`,
      noproxy: noproxy.filter((host) => host !== ''),
    },
  ];
}

function parse(text: string): FlowNode[] {
  return JSON.parse(text) as FlowNode[];
}
