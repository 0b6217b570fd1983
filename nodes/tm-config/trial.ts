/**
 * What stands in the editor, deployed or not, tried for real: connections of its own that are closed again, with
 * stored secrets and environment variables put in as a deploy will. Nothing is stored, no secret is answered.
 */
import type { NodeAPI } from 'node-red';
import { parseDatabaseUrl } from '../../lib/database-url';
import { reasonOf } from '../../lib/errors';
import { redact } from '../../lib/redact';
import type { RawSettings } from '../../lib/settings';
import { Connections, type ConfigCredentials } from './connections';

/** What came of it, or in words why nothing did. */
export type TrialResult<Result> =
  { readonly ok: true; readonly result: Result } | { readonly ok: false; readonly text: string };

interface Trial {
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
  /** A text of elsewhere without the secrets of the form. */
  readonly clean: (text: string) => string;
}

/** What the editor sends in place of a secret that is stored and was not typed anew. */
const STORED = '__PWRD__';
const SECRETS = ['databaseUrl', 'endpointKey', 'requestKey', 'stateUrl', 'brokerUrl'] as const;
export const TRIED_FOR_MS = 15_000;

const served = new WeakMap<object, Set<string>>();

/** Serves a route of the editor's, once; none where the runtime has no editor. */
export function serveEditor(
  RED: NodeAPI,
  path: string,
  permission: string,
  answer: (body: unknown) => Promise<unknown>,
): void {
  // Undefined without an editor, whatever the types say.
  const app = RED.httpAdmin as NodeAPI['httpAdmin'] | undefined;
  if (!app) return;
  const paths = served.get(app) ?? new Set();
  // Twice would answer twice.
  if (paths.has(path)) return;
  served.set(app, paths.add(path));
  app.post(path, RED.auth.needsPermission(permission), (request, response) => {
    void answer(request.body).then((result) => {
      response.json(result);
    });
  });
}

/** @param form settings and secrets of a tm-config, with its `id` */
export async function tryConnections<Result>(
  RED: NodeAPI,
  form: unknown,
  work: (connections: Connections, trial: Trial) => Promise<Result>,
): Promise<TrialResult<Result>> {
  const values = resolveSettings(RED, form);
  const id = typeof values.id === 'string' ? values.id : '';
  const credentials: ConfigCredentials = Object.fromEntries(SECRETS.map((name) => [name, values[name]]));
  const given = new AbortController();
  let connections: Connections | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    connections = new Connections(RED, { id, warn: () => undefined }, values, credentials);
    const tooLong = new Promise<TrialResult<Result>>((settle) => {
      timer = setTimeout(settle, TRIED_FOR_MS, {
        ok: false,
        text: `no answer within ${TRIED_FOR_MS / 1000} s`,
      });
    });
    const trial = { signal: given.signal, clean: (text: string) => withoutSecrets(text, values) };
    const done = work(connections, trial).then((result) => ({ ok: true as const, result }));
    return await Promise.race([done, tooLong]);
  } catch (error) {
    return { ok: false, text: withoutSecrets(reasonOf(error), values) };
  } finally {
    clearTimeout(timer);
    given.abort();
    void connections?.close().catch(() => undefined);
  }
}

/** A form's values with stored secrets and environment variables put in. */
export function resolveSettings(RED: NodeAPI, form: unknown): RawSettings {
  if (typeof form !== 'object' || form === null) return {};
  const { id }: { id?: unknown } = form;
  const known = typeof id === 'string' ? id : '';
  const stored = RED.nodes.getCredentials(known) as Readonly<Record<string, unknown>> | undefined;
  const node = RED.nodes.getNode(known);
  return Object.fromEntries(
    Object.entries(form).map(([name, typed]: [string, unknown]) => {
      const value = typed === STORED ? stored?.[name] : typed;
      const variable = typeof value === 'string' ? /^\$\{([^}]+)\}$/.exec(value.trim())?.[1] : undefined;
      if (variable === undefined) return [name, value];
      const found = RED.util.getSetting(node, variable) as unknown;
      return [name, found === undefined ? value : found];
    }),
  );
}

function withoutSecrets(text: string, values: RawSettings): string {
  return SECRETS.flatMap((name) => {
    const secret = values[name];
    return typeof secret === 'string' && secret !== '' ? [secret, ...passwordsOf(secret)] : [];
  }).reduce(redact, text);
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
