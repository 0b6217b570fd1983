/**
 * The environment variables of a headless connector: the Python connector's own, and those that came since.
 * What each may hold is decided by the same code that checks the settings of the nodes.
 */
import { accessSync, constants, readFileSync } from 'node:fs';
import { parseDatabaseUrl } from '../lib/database-url';
import { Endpoint } from '../lib/endpoint/endpoint';
import { reasonOf } from '../lib/errors';
import { parseBrokerUrl } from '../lib/queue/broker-url';
import { fetchSettings } from '../lib/fetch-settings';
import { configSettings, requestSettings, scheduleSettings, SettingsReader } from '../lib/settings';

export const MODES = ['request', 'schedule', 'both'] as const;
export type Mode = (typeof MODES)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ['info', 'fatal', 'error', 'warn', 'debug', 'trace'] as const;
const LOG_FORMATS = ['text', 'json'] as const;
const SWITCH = ['off', 'on'] as const;
export const DEFAULT_PORT = 8000;

interface Variable {
  /** What is to be given, for the message that it is missing. */
  readonly what: string;
  readonly needed?: (mode: Mode, environment: Environment) => boolean;
  /** Its value is in no message. */
  readonly secret?: true;
  /** The setting that the messages of `check` begin with. */
  readonly setting?: string;
  /** @throws what says why not */
  readonly check?: (value: string, environment: Environment) => unknown;
}

const always = (): boolean => true;
const scheduled = (mode: Mode): boolean => mode !== 'request';
const requested = (mode: Mode): boolean => mode !== 'schedule';
const withEditor = (_mode: Mode, { NODE_RED_EDITOR }: Environment): boolean => NODE_RED_EDITOR === 'on';

const LEAST_SECRET_LENGTH = 8;
const YEAR_MINUTES = 525_600;

export const VARIABLES: Readonly<Record<string, Variable>> = {
  DATABASE_URL: {
    what: 'the URL of the database, such as postgresql://user:password@host:5432/plant',
    needed: always,
    secret: true,
    check: (value) => parseDatabaseUrl(value, 'DATABASE_URL'),
  },
  POST_DATA_ENDPOINT: {
    what: 'the URL that readings are posted to',
    needed: always,
    setting: 'endpoint',
    check: (value) => checkEndpoint(value, 'key'),
  },
  POST_DATA_API_KEY: {
    what: 'the key for POST_DATA_ENDPOINT',
    needed: always,
    secret: true,
    setting: 'endpointKey',
    check: checkKey,
  },
  API_KEY: {
    what: 'the key that callers of the request API must send',
    needed: requested,
    secret: true,
    setting: 'endpointKey',
    check: checkKey,
  },
  FETCH_DATA_INTERVAL: {
    what: 'how many minutes of new readings make a window due, such as 1',
    needed: scheduled,
    setting: 'intervalMinutes',
    check: (value) => scheduleSettings({ intervalMinutes: value, longestMinutes: YEAR_MINUTES }, 'UTC'),
  },
  BATCH_SIZE: {
    what: 'how many minutes the longest window has, such as 30',
    needed: always,
    setting: 'longestMinutes',
    check: (value) => requestSettings({ longestMinutes: value }),
  },
  START_AT: {
    what: 'oldest, now, or a date: where a bookmark begins that does not exist yet',
    setting: 'startDate',
    check: (value, { TIME_ZONE = 'UTC' }) => scheduleSettings(startSettings(value), TIME_ZONE),
  },
  SETTLE_SECONDS: {
    what: "how long before the database's own clock windows end",
    setting: 'settleSeconds',
    check: (value) => scheduleSettings({ settleSeconds: value }, 'UTC'),
  },
  BOOKMARK: { what: 'the name of the bookmark' },
  TIME_ZONE: {
    what: 'the IANA zone of timestamps without an offset',
    setting: 'timeZone',
    check: (value) => configSettings({ timeZone: value }),
  },
  TIMESTAMP_FORMAT: {
    what: 'how timestamps are posted',
    setting: 'timestampFormat',
    check: (value) => configSettings({ timestampFormat: value }),
  },
  SENSOR_TABLE: { what: 'the table of the readings' },
  SENSOR_COLUMN: { what: 'its column of the sensors' },
  TIMESTAMP_COLUMN: { what: 'its column of the timestamps' },
  VALUE_COLUMN: { what: 'its column of the values' },
  SENSOR_LIST_FILE: { what: 'a file with one sensor a line', check: (value) => readFileSync(value) },
  SENSOR_SQL_FILE: {
    what: 'a file with a SELECT of your own',
    setting: 'sql',
    check: (value) => fetchSettings({ from: 'sql', sql: readFileSync(value, 'utf8') }),
  },
  STATE_DATABASE_URL: {
    what: 'the URL of a database for bookmarks and tasks',
    needed: (_mode, { BOOKMARK_TABLE, BROKER_URL }) =>
      BOOKMARK_TABLE !== undefined || BROKER_URL !== undefined,
    secret: true,
    check: (value) => parseDatabaseUrl(value, 'STATE_DATABASE_URL'),
  },
  BROKER_URL: {
    what: 'the URL of the queue that several machines share, such as redis://:password@host:6379',
    secret: true,
    check: (value) => parseBrokerUrl(value, 'BROKER_URL'),
  },
  BOOKMARK_TABLE: { what: 'your own table of bookmarks in that database' },
  BOOKMARK_NAME_COLUMN: { what: 'its column of the names' },
  BOOKMARK_TIMESTAMP_COLUMN: { what: 'its column of the timestamps' },
  PORT: {
    what: 'the TCP port to listen on',
    check: (value) =>
      new SettingsReader({ PORT: value }).number('PORT', DEFAULT_PORT, {
        least: 1,
        most: 65_535,
        whole: true,
      }),
  },
  LISTEN_ADDRESS: { what: 'the address to listen on' },
  TLS_CERT_FILE: {
    what: 'the file of the certificate that TLS_KEY_FILE belongs to',
    needed: (_mode, { TLS_KEY_FILE }) => TLS_KEY_FILE !== undefined,
    check: (value) => {
      accessSync(value, constants.R_OK);
    },
  },
  TLS_KEY_FILE: {
    what: 'the file of the key that TLS_CERT_FILE belongs to',
    needed: (_mode, { TLS_CERT_FILE }) => TLS_CERT_FILE !== undefined,
    check: (value) => {
      accessSync(value, constants.R_OK);
    },
  },
  LOG_LEVEL: { what: 'how much is logged', check: choice('LOG_LEVEL', LOG_LEVELS) },
  LOG_FORMAT: { what: 'text or json', check: choice('LOG_FORMAT', LOG_FORMATS) },
  METRICS_KEY: {
    what: 'the key for GET /tm/metrics and the whole of GET /tm/health',
    secret: true,
    setting: 'endpointKey',
    check: checkKey,
  },
  NODE_RED_EDITOR: { what: 'on or off', check: choice('NODE_RED_EDITOR', SWITCH) },
  ADMIN_USER: { what: 'who may log in to the editor' },
  ADMIN_PASSWORD: {
    what: 'the password of the editor; without one it would be open to everyone',
    needed: withEditor,
    secret: true,
    check: checkSecret,
  },
  CREDENTIAL_SECRET: {
    what: 'what secrets that are typed into the editor are encrypted with; keep it, they cannot be read without it',
    needed: withEditor,
    secret: true,
    check: checkSecret,
  },
};

/** What is wrong with the environment, one line for each variable; nothing where it can be started with. */
export function problemsOf(mode: Mode, environment: Environment): string[] {
  const problems: string[] = [];
  for (const [name, variable] of Object.entries(VARIABLES)) {
    const value = environment[name];
    if (value === undefined) {
      if (variable.needed?.(mode, environment)) problems.push(`${name} is not set. Give ${variable.what}.`);
      continue;
    }
    const problem = problemOf(name, variable, value, environment);
    if (problem !== undefined) problems.push(problem);
  }
  if (problems.length === 0 && mode !== 'request') problems.push(...tooLongInterval(environment));
  return problems;
}

function problemOf(
  name: string,
  { check, setting, secret }: Variable,
  value: string,
  environment: Environment,
): string | undefined {
  try {
    check?.(value, environment);
    return undefined;
  } catch (error) {
    const reason = reasonOf(error);
    const about = setting !== undefined && reason.startsWith(`${setting} `) ? setting : undefined;
    const text =
      about !== undefined
        ? `${name}${reason.slice(about.length)}`
        : reason.includes(name)
          ? reason
          : `${name}: ${reason}`;
    // Belt and braces: no check quotes a secret.
    return secret ? text.replaceAll(value, '…') : text;
  }
}

function tooLongInterval({ FETCH_DATA_INTERVAL, BATCH_SIZE }: Environment): string[] {
  try {
    scheduleSettings({ intervalMinutes: FETCH_DATA_INTERVAL, longestMinutes: BATCH_SIZE }, 'UTC');
    return [];
  } catch (error) {
    return [
      reasonOf(error)
        .replaceAll('longestMinutes', 'BATCH_SIZE')
        .replaceAll('intervalMinutes', 'FETCH_DATA_INTERVAL'),
    ];
  }
}

/** `oldest`, `now` or a date, as a tm-bookmark has them. */
export function startSettings(value: string): { readonly start: string; readonly startDate?: string } {
  return value === 'oldest' || value === 'now' ? { start: value } : { start: 'date', startDate: value };
}

function checkEndpoint(url: string, key: string): void {
  void new Endpoint({ url, key, compression: 'none', requestTimeoutSeconds: 1 }).close();
}

function checkKey(value: string): void {
  checkEndpoint('http://localhost/', value);
}

function checkSecret(value: string): void {
  if (value.length >= LEAST_SECRET_LENGTH) return;
  throw new Error(`it is shorter than ${LEAST_SECRET_LENGTH} characters. Give a longer one.`);
}

function choice(name: string, choices: readonly [string, ...string[]]) {
  return (value: string): unknown => new SettingsReader({ [name]: value }).choice(name, choices);
}
