/**
 * DATABASE_URL in the forms that plants have: plain (`postgresql://…`) and SQLAlchemy's (`postgresql+psycopg2://…`).
 * Parsed once, so that everything after it sees fields, never a URL with a password in it.
 */
import { TmError } from './errors';

export type Engine = 'postgresql';

export interface DatabaseAddress {
  readonly engine: Engine;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Query parameters of the URL, such as `sslmode`. */
  readonly options: Readonly<Record<string, string>>;
}

const SCHEMES: Readonly<Record<string, { engine: Engine; port: number }>> = {
  postgres: { engine: 'postgresql', port: 5432 },
  postgresql: { engine: 'postgresql', port: 5432 },
  timescaledb: { engine: 'postgresql', port: 5432 },
};

/**
 * @param setting its name, for the message
 * @throws TmError TM_SETTING_INVALID; the message never holds the URL, which may hold a password
 */
export function parseDatabaseUrl(url: string, setting = 'databaseUrl'): DatabaseAddress {
  const refuse = (why: string): TmError =>
    new TmError(
      'TM_SETTING_INVALID',
      `${setting} ${why}. Give a URL such as postgresql://user:password@host:5432/database.`,
    );
  if (url.trim() === '') throw refuse('is empty');
  const match = /^([a-z][a-z0-9]*)(?:\+[a-z0-9_]+)?:\/\/(.*)$/is.exec(url.trim());
  if (!match) throw refuse('is not a URL');
  const [, scheme = '', rest = ''] = match;
  const known = SCHEMES[scheme.toLowerCase()];
  if (!known) throw refuse(`begins with "${scheme}://", a database that is not supported`);
  let parsed: URL;
  try {
    parsed = new URL(`tm://${escapeUserInfo(rest)}`);
  } catch {
    throw refuse(
      'cannot be read: a special character in the user, password or host may have to be percent-encoded',
    );
  }
  const database = decode(parsed.pathname.slice(1));
  if (database === '') throw refuse('names no database');
  return {
    engine: known.engine,
    host: decode(parsed.hostname).replace(/^\[|\]$/g, '') || parsed.searchParams.get('host') || 'localhost',
    port: parsed.port === '' ? known.port : Number(parsed.port),
    database,
    user: decode(parsed.username),
    password: decode(parsed.password),
    options: Object.fromEntries(parsed.searchParams),
  };
}

/** Host, port and database: what tells one source from another, without secrets. */
export function addressId(address: DatabaseAddress): string {
  return `${address.engine}://${address.host}:${address.port}/${address.database}`;
}

/** Passwords are pasted as they are: everything up to the last `@` before the path is user and password. */
function escapeUserInfo(rest: string): string {
  const at = rest.lastIndexOf('@', authorityEnd(rest));
  if (at < 0) return rest;
  const colon = rest.indexOf(':');
  const encode = (text: string): string => encodeURIComponent(decode(text));
  const userInfo =
    colon >= 0 && colon < at
      ? `${encode(rest.slice(0, colon))}:${encode(rest.slice(colon + 1, at))}`
      : encode(rest.slice(0, at));
  return `${userInfo}${rest.slice(at)}`;
}

/** Where user, password, host and port end: at the last `/` before the query, for passwords may hold one. */
function authorityEnd(rest: string): number {
  const query = rest.indexOf('?');
  const path = rest.lastIndexOf('/', query < 0 ? rest.length : query);
  return path < 0 ? rest.length : path;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
