/**
 * The *Test database*, *Test endpoint* and *Test broker* buttons: what is in the form, deployed or not, tried for
 * real and answered in words.
 */
import type { NodeAPI } from 'node-red';
import type { Outcome } from '../../lib/endpoint/endpoint';
import { identifyBroker } from '../../lib/queue/identify';
import { formatInstant } from '../../lib/window';
import type { Connections } from './connections';
import { serveEditor, TRIED_FOR_MS, tryConnections } from './trial';

interface TestAnswer {
  readonly ok: boolean;
  readonly text: string;
}

/** @param signal aborted when nobody waits any more */
type Test = (connections: Connections, signal: AbortSignal) => Promise<TestAnswer>;

export function serveTests(RED: NodeAPI): void {
  const serve = (path: string, test: Test): void => {
    serveEditor(RED, path, 'tm-config.write', async (form) => {
      const answer = await tryConnections(RED, form, async (connections, { clean, signal }) => {
        const { ok, text } = await test(connections, signal);
        return { ok, text: clean(text) };
      });
      return answer.ok ? answer.result : answer;
    });
  };
  serve('/turbomechanica/test-database', testDatabase);
  serve('/turbomechanica/test-endpoint', testEndpoint);
  serve('/turbomechanica/test-broker', testBroker);
}

async function testDatabase(connections: Connections): Promise<TestAnswer> {
  const source = connections.source();
  const { product, version, user } = await source.identify();
  const skew = (await source.clock()) - Date.now() / 1000;
  const clock = `clock ${Math.abs(skew).toFixed(1)} s ${skew >= 0 ? 'ahead' : 'behind'}`;
  return { ok: true, text: `connected to ${product} ${version} as ${user}, ${clock}` };
}

/** Posts a batch without readings: it asks for the key and the form of the body, and delivers nothing. */
async function testEndpoint(connections: Connections): Promise<TestAnswer> {
  const now = formatInstant(Math.floor(Date.now() / 1000));
  const body = Buffer.from(JSON.stringify({ start_time: now, end_time: now, data: {} }));
  const outcome = await connections
    .endpoint()
    .exchange(body, `test-${now}`, AbortSignal.timeout(TRIED_FOR_MS));
  return { ok: outcome.kind === 'accepted', text: describeOutcome(outcome) };
}

/** Lets itself in, and leaves nothing behind. */
async function testBroker(connections: Connections, signal: AbortSignal): Promise<TestAnswer> {
  const { product, warning } = await identifyBroker(connections.broker(), signal);
  if (warning !== undefined) return { ok: false, text: `connected to ${product}, but ${warning}` };
  return { ok: true, text: `connected to ${product}` };
}

function describeOutcome({ kind, status, answer: text, error }: Outcome): string {
  const said = text === '' ? '' : ` It says: ${text}`;
  if (status === undefined) return error?.message ?? 'the endpoint did not answer';
  switch (kind) {
    case 'accepted':
      return `${status}: the endpoint accepted the key and an empty batch`;
    case 'hold':
      if (status === 401 || status === 403) return `${status}: the key was refused.${said}`;
      return `${status}: nothing takes readings at this address.${said}`;
    case 'refused':
    case 'split':
      return `${status}: reached, but an empty batch was refused, which real ones may not be.${said}`;
    case 'retry':
      return `${status}: the endpoint is not available now.${said}`;
  }
}
