/**
 * What machines ask: `GET /tm/health` (do readings get through, and if not why), `GET /tm/health/live` (does the
 * process answer) and `GET /tm/metrics` (for Prometheus). Whoever may log in to the editor may ask, and whoever
 * sends METRICS_KEY as a bearer key; all others are told `up` or `down` and nothing else.
 */
import type { NodeAPI } from 'node-red';
import { BearerKey } from '../../lib/bearer-key';
import { describeHealth, HealthCheck } from '../../lib/health';
import { recordTo } from '../../lib/metrics';
import { whatIsWatched } from '../shared/watched';
import { loadPromClient, PrometheusText } from './prometheus';

type Handler = ReturnType<NodeAPI['auth']['needsPermission']>;
type Request = Parameters<Handler>[0];
type Response = Parameters<Handler>[1];

const PERMISSION = 'tm-config.read';
const INSTALL =
  'The package prom-client is not installed. Install it beside this one, in the user directory of Node-RED: npm install prom-client@15';

const served = new WeakSet<object>();
const health = new HealthCheck();
/** From the first node on: what was not recorded cannot be told later. */
let metrics: Promise<PrometheusText | undefined> | undefined;

export function serveWatching(RED: NodeAPI): void {
  // Without the editor's server (what stands in for it takes no requests) on that of the flows.
  const admin = adminServer(RED);
  const app = admin ?? RED.httpNode;
  if (served.has(app)) return;
  served.add(app);
  metrics ??= startMetrics();

  app.get('/tm/health/live', (_request, response) => {
    answer(response, 200, { status: 'up' });
  });
  app.get(
    '/tm/health',
    (request, response, next) => {
      if (mayKnow(RED, request) === 'all') void answerHealth(response, describeHealth);
      else if (asksForAll(RED, request, admin)) next();
      else void answerHealth(response, ({ up }) => ({ status: up ? 'up' : 'down' }));
    },
    loggedIn(RED, admin),
    (_request, response) => void answerHealth(response, describeHealth),
  );
  app.get(
    '/tm/metrics',
    (request, response, next) => {
      if (mayKnow(RED, request) === 'all') void answerMetrics(response);
      else next();
    },
    loggedIn(RED, admin),
    (_request, response) => void answerMetrics(response),
  );

  async function answerHealth(response: Response, describe: typeof describeHealth): Promise<void> {
    const watched = whatIsWatched();
    const found = await health.check(watched);
    answer(response, found.up ? 200 : 503, describe(found, watched));
  }

  async function answerMetrics(response: Response): Promise<void> {
    const text = await metrics;
    if (!text) {
      answer(response, 501, { detail: INSTALL });
      return;
    }
    const watched = whatIsWatched();
    const body = await text.text(await health.check(watched), watched);
    response.set({ 'Content-Type': text.contentType, 'Cache-Control': 'no-store' }).send(body);
  }
}

function adminServer({ httpAdmin, settings }: NodeAPI): NodeAPI['httpAdmin'] | undefined {
  return (settings as { httpAdminRoot?: unknown }).httpAdminRoot === false ? undefined : httpAdmin;
}

async function startMetrics(): Promise<PrometheusText | undefined> {
  const client = await loadPromClient();
  if (!client) return undefined;
  const text = new PrometheusText(client);
  recordTo(text);
  return text;
}

function mayKnow(RED: NodeAPI, { headers }: Request): 'all' | 'little' {
  const key = setting(RED, 'METRICS_KEY');
  return key !== '' && new BearerKey(key).check(headers.authorization) === 'valid' ? 'all' : 'little';
}

/** Node-RED's own environment, as `${NAME}` in a flow would have it. */
function setting(RED: NodeAPI, name: string): string {
  const value: unknown = RED.util.evaluateNodeProperty(`\${${name}}`, 'env', {} as never, {});
  return typeof value === 'string' ? value.trim() : '';
}

/** Whoever sends credentials wants more than up or down; and where the editor is open to all, so is this. */
function asksForAll(RED: NodeAPI, { headers, query }: Request, admin: unknown): boolean {
  if (headers.authorization !== undefined || query.access_token !== undefined) return true;
  return admin !== undefined && (RED.settings as { adminAuth?: unknown }).adminAuth === undefined;
}

/** Passes on those who may use the editor; without an editor there is nobody of that kind. */
function loggedIn(RED: NodeAPI, admin: unknown): Handler {
  if (admin !== undefined) return RED.auth.needsPermission(PERMISSION);
  return (_request, response) => {
    response.set('WWW-Authenticate', 'Bearer');
    answer(response, 401, { detail: 'Send the key METRICS_KEY as "Authorization: Bearer <key>".' });
  };
}

function answer(response: Response, status: number, body: object): void {
  response.status(status).set('Cache-Control', 'no-store').json(body);
}
