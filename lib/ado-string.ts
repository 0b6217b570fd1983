/**
 * SQL Server's connection strings, `Server=host\instance,1433;Database=plant;User Id=reader;Password=…`, as ADO.NET
 * and ODBC write them: keys in any letters and with synonyms, values plain or in quotes or braces.
 * Source: Microsoft.Data.SqlClient, SqlConnection.ConnectionString.
 */
import type { TmError } from './errors';

export interface AdoAddress {
  readonly host: string;
  /** 0: the instance says itself where it listens. */
  readonly port: number;
  readonly instance?: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** What else is in the string, by keys in small letters without blanks, such as `trustservercertificate`. */
  readonly options: Readonly<Record<string, string>>;
}

const PAIRS = /\s*([^=;]+?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|\{(?:[^}]|\}\})*\}|[^;]*?)\s*(?:;|$)/gy;
const FIELDS: Readonly<Record<string, 'server' | 'port' | 'database' | 'user' | 'password'>> = {
  server: 'server',
  datasource: 'server',
  address: 'server',
  addr: 'server',
  networkaddress: 'server',
  port: 'port',
  database: 'database',
  initialcatalog: 'database',
  userid: 'user',
  uid: 'user',
  user: 'user',
  password: 'password',
  pwd: 'password',
};
const DEFAULT_PORT = 1433;

/** Whether a text begins as such a string does, and not as a URL. */
export function isAdoString(text: string): boolean {
  return /^[a-z][a-z ]*=/i.test(text);
}

/** @throws what `refuse` makes; it is never given a value of the string */
export function adoAddress(text: string, refuse: (why: string) => TmError): AdoAddress {
  const fields = { server: '', port: '', database: '', user: '', password: '' };
  const options: Record<string, string> = {};
  PAIRS.lastIndex = 0;
  while (PAIRS.lastIndex < text.length) {
    const match = PAIRS.exec(text);
    if (!match) {
      if (/^[\s;]*$/.test(text.slice(PAIRS.lastIndex))) break;
      throw refuse('is no connection string: it must be pairs such as Server=host;Database=plant');
    }
    const [, key = '', value = ''] = match;
    const name = key.toLowerCase().replace(/[\s_]/g, '');
    const field = FIELDS[name];
    if (field) fields[field] = unquote(value);
    else options[name] = unquote(value);
  }
  if (fields.server === '') throw refuse('names no server');
  if (fields.database === '') throw refuse('names no database');
  // tcp:host\instance,port
  const [place = '', port = fields.port] = fields.server.replace(/^(tcp|np|lpc|admin):/i, '').split(',');
  const [host = '', instance] = place.trim().split('\\');
  const { database, user, password } = fields;
  return {
    host: host === '.' || host.toLowerCase() === '(local)' ? 'localhost' : host,
    port: port !== '' ? Number(port) : instance === undefined ? DEFAULT_PORT : 0,
    ...(instance === undefined ? {} : { instance }),
    database,
    user,
    password,
    options,
  };
}

function unquote(value: string): string {
  const first = value.charAt(0);
  const last = first === '{' ? '}' : first;
  if ((first !== '"' && first !== "'" && first !== '{') || value.length < 2) return value;
  return value.slice(1, -1).replaceAll(last + last, last);
}
