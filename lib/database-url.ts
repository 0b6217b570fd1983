/**
 * DATABASE_URL in the forms that plants have: plain (`postgresql://…`), SQLAlchemy's (`mssql+pyodbc://…`,
 * `sqlite:///…`) and SQL Server's own (`Server=…;Database=…`). Parsed once, so that everything after it sees
 * fields, never a URL with a password in it.
 */
import { adoAddress, isAdoString } from './ado-string';
import { TmError } from './errors';
import { sslModeOf, type SslMode } from './ssl-mode';

export type Engine = 'postgresql' | 'mssql' | 'mysql' | 'sqlite';

export interface DatabaseAddress {
  readonly engine: Engine;
  /** Empty for a file. */
  readonly host: string;
  /** 0 for a file, and for a named instance, which says itself where it listens. */
  readonly port: number;
  /** SQL Server's named instance. */
  readonly instance?: string;
  /** Its name, or the path of a file. */
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Query parameters of the URL, such as `driver`. */
  readonly options: Readonly<Record<string, string>>;
  /** Of PostgreSQL and MySQL, where the URL says it. */
  readonly sslMode?: SslMode;
}

const SCHEMES: Readonly<Record<string, { engine: Engine; port: number }>> = {
  postgres: { engine: 'postgresql', port: 5432 },
  postgresql: { engine: 'postgresql', port: 5432 },
  timescaledb: { engine: 'postgresql', port: 5432 },
  mssql: { engine: 'mssql', port: 1433 },
  sqlserver: { engine: 'mssql', port: 1433 },
  mysql: { engine: 'mysql', port: 3306 },
  mariadb: { engine: 'mysql', port: 3306 },
  sqlite: { engine: 'sqlite', port: 0 },
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
  const text = url.trim();
  if (text === '') throw refuse('is empty');
  if (isAdoString(text)) return { engine: 'mssql', ...adoAddress(text, refuse) };
  const match = /^([a-z][a-z0-9]*)(?:\+[a-z0-9_]+)?:\/\/(.*)$/is.exec(text);
  if (!match) throw refuse('is not a URL');
  const [, scheme = '', rest = ''] = match;
  const known = SCHEMES[scheme.toLowerCase()];
  if (!known) throw refuse(`begins with "${scheme}://", a database that is not supported`);
  if (known.engine === 'sqlite') return fileAddress(rest, refuse);
  let parsed: URL;
  try {
    // A backslash before the instance's name would be taken for the path's slash.
    parsed = new URL(`tm://${escapeUserInfo(rest).replaceAll('\\', '%5C')}`);
  } catch {
    throw refuse(
      'cannot be read: a special character in the user, password or host may have to be percent-encoded',
    );
  }
  const options = Object.fromEntries(parsed.searchParams);
  const { odbc_connect: odbc } = options;
  if (known.engine === 'mssql' && odbc !== undefined) return { engine: 'mssql', ...adoAddress(odbc, refuse) };
  const database = decode(parsed.pathname.slice(1));
  if (database === '') throw refuse('names no database');
  const sslMode = known.engine === 'mssql' ? undefined : sslModeOf(known.engine, options, refuse);
  const [host = '', instance] = decode(parsed.hostname)
    .replace(/^\[|\]$/g, '')
    .split('\\');
  return {
    engine: known.engine,
    host: host || parsed.searchParams.get('host') || 'localhost',
    port: parsed.port !== '' ? Number(parsed.port) : instance === undefined ? known.port : 0,
    ...(instance === undefined ? {} : { instance }),
    database,
    user: decode(parsed.username),
    password: decode(parsed.password),
    options,
    ...(sslMode === undefined ? {} : { sslMode }),
  };
}

/** Host, port and database: what tells one source from another, without secrets. */
export function addressId({ engine, host, port, instance, database }: DatabaseAddress): string {
  if (engine === 'sqlite') return `sqlite://${database}`;
  const place = instance === undefined ? `${host}:${port}` : `${host}\\${instance}`;
  return `${engine}://${place}/${database}`;
}

/** SQLAlchemy's: three slashes before a path relative to the process, four before an absolute one. */
function fileAddress(rest: string, refuse: (why: string) => TmError): DatabaseAddress {
  const [path = '', query = ''] = rest.split('?');
  if (path !== '' && !path.startsWith('/')) {
    throw refuse('has a host: the path of an SQLite file comes after three slashes, sqlite:///plant.db');
  }
  const database = decode(path.slice(1));
  if (database === '' || database === ':memory:') throw refuse('names no file');
  return {
    engine: 'sqlite',
    host: '',
    port: 0,
    database,
    user: '',
    password: '',
    options: Object.fromEntries(new URLSearchParams(query)),
  };
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
