/**
 * The *Test database* and *Test endpoint* buttons: what is in the form, deployed or not, tried for real and
 * answered in words. Nothing is stored, and no secret is in any answer.
 */
import type { NodeAPI } from 'node-red';
import { parseDatabaseUrl } from '../../lib/database-url';
import { reasonOf } from '../../lib/errors';
import type { Outcome } from '../../lib/endpoint/endpoint';
import { redact } from '../../lib/redact';
import type { RawSettings } from '../../lib/settings';
import { formatInstant } from '../../lib/window';
import { Connections, type ConfigCredentials } from './connections';

interface TestAnswer {
  readonly ok: boolean;
  readonly text: string;
}

/** What the editor sends in place of a secret that is stored and was not typed anew. */
const STORED = '__PWRD__';
const SECRETS = ['databaseUrl', 'endpointKey', 'requestKey', 'stateUrl', 'brokerUrl'] as const;
const TEST_WITHIN_MS = 15_000;

const served = new WeakSet<object>();

export function serveTests(RED: NodeAPI): void {
  // Undefined where the runtime has no editor, whatever the types say.
  const app = RED.httpAdmin as NodeAPI['httpAdmin'] | undefined;
  // Without an editor there is nobody to ask; twice would answer twice.
  if (!app || served.has(app)) return;
  served.add(app);
  const serve = (path: string, test: (connections: Connections) => Promise<TestAnswer>): void => {
    app.post(path, RED.auth.needsPermission('tm-config.write'), (request, response) => {
      void answer(RED, request.body, test).then((result) => {
        response.json(result);
      });
    });
  };
  serve('/turbomechanica/test-database', testDatabase);
  serve('/turbomechanica/test-endpoint', testEndpoint);
}

async function answer(
  RED: NodeAPI,
  body: unknown,
  test: (connections: Connections) => Promise<TestAnswer>,
): Promise<TestAnswer> {
  const form: RawSettings = typeof body === 'object' && body !== null ? { ...body } : {};
  const id = typeof form.id === 'string' ? form.id : '';
  const values = resolve(RED, id, form);
  const credentials: ConfigCredentials = Object.fromEntries(SECRETS.map((name) => [name, values[name]]));
  let connections: Connections | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    connections = new Connections(RED, { id, warn: () => undefined }, values, credentials);
    const tooLong = new Promise<TestAnswer>((settle) => {
      timer = setTimeout(settle, TEST_WITHIN_MS, {
        ok: false,
        text: `no answer within ${TEST_WITHIN_MS / 1000} s`,
      });
    });
    const { ok, text } = await Promise.race([test(connections), tooLong]);
    return { ok, text: withoutSecrets(text, values) };
  } catch (error) {
    return { ok: false, text: withoutSecrets(reasonOf(error), values) };
  } finally {
    clearTimeout(timer);
    void connections?.close().catch(() => undefined);
  }
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
    .exchange(body, `test-${now}`, AbortSignal.timeout(TEST_WITHIN_MS));
  return { ok: outcome.kind === 'accepted', text: describeOutcome(outcome) };
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

/** The form's values with stored secrets and environment variables put in, as they will be after a deploy. */
function resolve(RED: NodeAPI, id: string, form: RawSettings): Record<string, unknown> {
  const stored = RED.nodes.getCredentials(id) as Readonly<Record<string, unknown>> | undefined;
  const node = RED.nodes.getNode(id);
  return Object.fromEntries(
    Object.entries(form).map(([name, typed]) => {
      const value = typed === STORED ? stored?.[name] : typed;
      const variable = typeof value === 'string' ? /^\$\{([^}]+)\}$/.exec(value.trim())?.[1] : undefined;
      if (variable === undefined) return [name, value];
      const found = RED.util.getSetting(node, variable) as unknown;
      return [name, found === undefined ? value : found];
    }),
  );
}

function withoutSecrets(text: string, values: Readonly<Record<string, unknown>>): string {
  let clean = text;
  for (const name of SECRETS) {
    const secret = values[name];
    if (typeof secret !== 'string' || secret === '') continue;
    clean = redact(clean, secret);
    for (const password of passwordsOf(secret)) clean = redact(clean, password);
  }
  return clean;
}

/** Of a database's URL in any of its forms, as it is typed and as it is sent. */
function passwordsOf(secret: string): string[] {
  const typed = /\/\/[^:]*:(.*)@/.exec(secret)?.[1] ?? '';
  let sent = '';
  try {
    sent = parseDatabaseUrl(secret).password;
  } catch {
    // No URL of a database.
  }
  return [typed, sent].filter((password) => password !== '');
}
