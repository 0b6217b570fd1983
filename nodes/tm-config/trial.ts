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
  /** A text of elsewhere without the secrets of the form, and of another form whose settings were resolved. */
  readonly clean: (text: string, also?: ResolvedSettings) => string;
}

export interface ResolvedSettings {
  readonly values: RawSettings;
  /** What was put in for environment variables, and their names. */
  readonly variables: ReadonlyMap<string, string>;
}

const NONE: ResolvedSettings = { values: {}, variables: new Map() };
/** Of a variable's value that is taken out of texts: shorter ones are in any text. */
const SHORTEST_TAKEN_OUT = 6;

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
    // Whatever is in the form: what is thrown here would end Node-RED.
    void Promise.resolve(request.body as unknown)
      .then(answer)
      .catch((error: unknown) => ({ ok: false, text: `The form cannot be tried: ${nameOf(error)}.` }))
      .then((result) => {
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
  const { values, variables } = resolveSettings(RED, form);
  const id = typeof values.id === 'string' ? values.id : '';
  const credentials: ConfigCredentials = Object.fromEntries(
    SECRETS.map((name) => [name, textOf(values[name])]),
  );
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
    const clean: Trial['clean'] = (text, also = NONE) =>
      withoutSecrets(text, values, [...variables, ...also.variables]);
    const trial = { signal: given.signal, clean };
    const done = work(connections, trial).then((result) => ({ ok: true as const, result }));
    return await Promise.race([done, tooLong]);
  } catch (error) {
    return { ok: false, text: withoutSecrets(reasonOf(error), values, [...variables]) };
  } finally {
    clearTimeout(timer);
    given.abort();
    void connections?.close().catch(() => undefined);
  }
}

/** A form's values with stored secrets and environment variables put in. */
export function resolveSettings(RED: NodeAPI, form: unknown): ResolvedSettings {
  if (typeof form !== 'object' || form === null) return NONE;
  const { id }: { id?: unknown } = form;
  const known = typeof id === 'string' ? id : '';
  const stored = RED.nodes.getCredentials(known) as Readonly<Record<string, unknown>> | undefined;
  const node = RED.nodes.getNode(known);
  const variables = new Map<string, string>();
  const values = Object.entries(form).map(([name, typed]: [string, unknown]) => {
    const value = typed === STORED ? stored?.[name] : typed;
    const variable = typeof value === 'string' ? /^\$\{([^}]+)\}$/.exec(value.trim())?.[1] : undefined;
    if (variable === undefined) return [name, value];
    const found = RED.util.getSetting(node, variable) as unknown;
    if (typeof found === 'string' && found.trim().length >= SHORTEST_TAKEN_OUT)
      variables.set(found.trim(), variable);
    return [name, found === undefined ? value : found];
  });
  return { values: Object.fromEntries(values) as RawSettings, variables };
}

/** @param variables values of environment variables and their names, which are shown instead */
function withoutSecrets(
  text: string,
  values: RawSettings,
  variables: readonly (readonly [value: string, name: string])[],
): string {
  const secrets = [...SECRETS, 'endpoint'].flatMap((name) => {
    const secret = textOf(values[name])?.trim() ?? '';
    const parts = secretParts(secret);
    // The endpoint's address is none itself.
    return name === 'endpoint' ? parts : [secret, ...parts];
  });
  return [
    ...secrets.map((secret) => [secret, '…'] as const),
    ...variables.map(([value, name]) => [value, `\${${name}}`] as const),
  ]
    .sort(([a], [b]) => b.length - a.length)
    .reduce((clean, [secret, by]) => redact(clean, secret, by), text);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** What may be said of an error about which nothing is known. */
function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error';
}

/** Passwords and tokens of a URL in any of its forms, as they are typed and as they are sent. */
function secretParts(secret: string): string[] {
  const typed = /^(?:[a-z][a-z\d+.-]*:\/\/)?[^:@]*:(.*)@/is.exec(secret)?.[1] ?? '';
  let sent = '';
  try {
    sent = parseDatabaseUrl(secret).password;
  } catch {
    // No URL of a database.
  }
  const parameters = [...new URLSearchParams(/\?(.*)$/s.exec(secret)?.[1] ?? '')]
    .filter(([name]) => /key|token|secret|sig|pass|pwd|auth/i.test(name))
    .map(([, value]) => value);
  return [typed, sent, ...parameters].filter((part) => part !== '');
}
