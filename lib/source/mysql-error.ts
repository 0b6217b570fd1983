/** MySQL's, MariaDB's and the socket's errors in the connector's own family. */
import { TmError, reasonOf, type TmErrorCode } from '../errors';

interface Meaning {
  readonly code: TmErrorCode;
  readonly advice: string;
}

const TIMEOUT: Meaning = {
  code: 'TM_QUERY_TIMEOUT',
  advice: 'The query took longer than the statement timeout. Is there an index on the timestamp column?',
};
const GRANT: Meaning = { code: 'TM_DATABASE_REFUSED', advice: 'Grant the user SELECT on the table.' };
const LOGIN: Meaning = {
  code: 'TM_DATABASE_REFUSED',
  advice: 'Check user and password in the database URL.',
};
const DATABASE: Meaning = {
  code: 'TM_DATABASE_REFUSED',
  advice: 'Check the database name in the database URL, and that the user may use it.',
};
const BUSY: Meaning = {
  code: 'TM_DATABASE_UNREACHABLE',
  advice: 'The database server is short of connections.',
};
const GONE: Meaning = { code: 'TM_DATABASE_UNREACHABLE', advice: '' };

/** By the server's number of the error (MySQL and MariaDB documentation, "Server Error Message Reference"). */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  1040: BUSY,
  1044: DATABASE,
  1045: LOGIN,
  1049: DATABASE,
  1053: GONE,
  1130: LOGIN,
  1142: GRANT,
  1143: GRANT,
  1203: BUSY,
  1226: BUSY,
  1251: LOGIN,
  // Interrupted from outside, as a watchdog does with what takes long.
  1317: TIMEOUT,
  1370: GRANT,
  1698: LOGIN,
  1792: { code: 'TM_QUERY_FAILED', advice: 'The connection is read-only: the SQL may not write.' },
  1927: GONE,
  1969: TIMEOUT,
  3024: TIMEOUT,
};

export function mysqlError(thrown: unknown): Error {
  if (thrown instanceof TmError || (thrown instanceof Error && thrown.name === 'AbortError')) return thrown;
  const answer = serverError(thrown);
  if (!answer) {
    return new TmError('TM_DATABASE_UNREACHABLE', `The database cannot be reached: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
  const { code, advice } = MEANINGS[answer.errno] ?? {
    code: 'TM_QUERY_FAILED' as const,
    advice: 'Check table, columns and SQL in tm-fetch.',
  };
  return new TmError(code, `The database says: ${reasonOf(thrown)} (${answer.errno}). ${advice}`.trim(), {
    cause: thrown,
  });
}

/** The server's own words; undefined for what befell the connection. */
export function serverError(thrown: unknown): { readonly errno: number } | undefined {
  return thrown instanceof Error &&
    'sqlState' in thrown &&
    'errno' in thrown &&
    typeof thrown.errno === 'number'
    ? { errno: thrown.errno }
    : undefined;
}
