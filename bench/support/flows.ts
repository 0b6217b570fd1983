/** The flows that are measured: the connector's own line, and what a user would wire of other nodes. */
import type { Flow } from '../../scripts/start/node-red';

type Overrides = Readonly<Record<string, object>>;

/** inject → tm-bookmark → tm-fetch → tm-post → tm-bookmark with default settings, but for `overrides`. */
export function connectorFlow(table: string, overrides: Overrides = {}): Flow {
  const nodes = [
    {
      id: 'config',
      type: 'tm-config',
      endpoint: '${POST_DATA_ENDPOINT}',
      credentials: { databaseUrl: '${DATABASE_URL}', endpointKey: '${POST_DATA_API_KEY}' },
    },
    { id: 'begun', type: 'bench-mark', name: 'begun', wires: [['set']] },
    { id: 'set', type: 'tm-bookmark', config: 'config', action: 'set', bookmark: 'bench', wires: [[]] },
    { id: 'trigger', type: 'bench-mark', name: 'trigger', wires: [['next']] },
    {
      id: 'next',
      type: 'tm-bookmark',
      config: 'config',
      action: 'next',
      bookmark: 'bench',
      wires: [['fetch']],
    },
    { id: 'fetch', type: 'tm-fetch', config: 'config', table, wires: [['post']] },
    { id: 'post', type: 'tm-post', config: 'config', wires: [['commit'], []] },
    { id: 'commit', type: 'tm-bookmark', config: 'config', action: 'commit', wires: [['committed']] },
    { id: 'committed', type: 'bench-mark', name: 'committed', wires: [[]] },
    ...TICKER,
    ...ERRORS,
  ];
  return onTab(nodes, overrides);
}

/**
 * The same line with the windows in a queue that several machines share, and state where all of them see it. No
 * other flow beside it: it would be there once for each machine.
 */
export function sharedFlow(table: string, queue: object, overrides: Overrides = {}): Flow {
  const flow = connectorFlow(table, {
    ...overrides,
    config: {
      ...overrides.config,
      state: 'database',
      credentials: {
        databaseUrl: '${DATABASE_URL}',
        endpointKey: '${POST_DATA_API_KEY}',
        stateUrl: '${STATE_DATABASE_URL}',
        brokerUrl: '${BROKER_URL}',
      },
    },
    next: { ...overrides.next, wires: [['queue']] },
  });
  const alone = flow.filter(({ id }) => !TICKER.some((node) => node.id === id));
  return [
    ...alone,
    { id: 'queue', type: 'tm-queue', z: 'tab', config: 'config', ...queue, wires: [['fetch']] },
  ];
}

/** Another flow beside the measured one: an inject node every 10 ms. */
const TICKER = [
  { id: 'ticker', type: 'inject', props: [], repeat: '0.01', once: true, onceDelay: 0.1, wires: [['tick']] },
  { id: 'tick', type: 'bench-tick', wires: [[]] },
];
const ERRORS = [
  { id: 'catch', type: 'catch', scope: null, wires: [['failed']] },
  { id: 'failed', type: 'debug', active: true, tosidebar: false, console: true, complete: 'true', wires: [] },
];

const GROUP_BY_SENSOR = `
const data = {};
for (const { sensor_id, timestamp, value } of msg.payload) {
  (data[sensor_id] ??= []).push({ timestamp, value });
}
msg.payload = { start_time: msg.params[0], end_time: msg.params[1], data };
msg.url = env.get('POST_DATA_ENDPOINT');
msg.headers = { authorization: 'Bearer ' + env.get('POST_DATA_API_KEY'), 'content-type': 'application/json' };
return msg;`;

/** A query node, a function, an http request: all rows in memory, no bookmark, no retry. */
export function userFlow(table: string): Flow {
  return onTab([
    { id: 'begun', type: 'bench-mark', name: 'begun', wires: [['query']] },
    {
      id: 'query',
      type: 'bench-query',
      sql: `SELECT sensor_id, timestamp, value FROM ${table} WHERE timestamp >= $1 AND timestamp < $2 ORDER BY timestamp`,
      wires: [['group']],
    },
    { id: 'group', type: 'function', func: GROUP_BY_SENSOR, outputs: 1, libs: [], wires: [['request']] },
    {
      id: 'request',
      type: 'http request',
      method: 'POST',
      ret: 'txt',
      url: '',
      persist: true,
      wires: [['posted']],
    },
    { id: 'posted', type: 'bench-mark', name: 'posted', wires: [[]] },
    ...TICKER,
    ...ERRORS,
  ]);
}

type BenchNode = Readonly<Record<string, unknown>> & { readonly id: string; readonly type: string };

function onTab(nodes: readonly BenchNode[], overrides: Overrides = {}): Flow {
  return [
    { id: 'tab', type: 'tab', label: 'bench' },
    ...nodes.map((node) => ({
      ...(node.type === 'tm-config' ? {} : { z: 'tab', x: 100, y: 100 }),
      ...node,
      ...overrides[node.id],
    })),
  ];
}
