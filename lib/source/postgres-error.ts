/** PostgreSQL's and the socket's errors in the connector's own family. */
import { TmError, reasonOf, type TmErrorCode } from '../errors';

/** By SQLSTATE (PostgreSQL documentation, Appendix A) or its class, the longer one first. */
const CODES: Readonly<Record<string, { code: TmErrorCode; advice: string }>> = {
  '57014': {
    code: 'TM_QUERY_TIMEOUT',
    advice: 'The query took longer than the statement timeout. Is there an index on the timestamp column?',
  },
  '25006': {
    code: 'TM_QUERY_FAILED',
    advice: 'The connection is read-only: the SQL may not write.',
  },
  '42501': {
    code: 'TM_DATABASE_REFUSED',
    advice: 'Grant the user SELECT on the table.',
  },
  '3D000': { code: 'TM_DATABASE_REFUSED', advice: 'Check the database name in the database URL.' },
  '28': { code: 'TM_DATABASE_REFUSED', advice: 'Check user and password in the database URL.' },
  '08': { code: 'TM_DATABASE_UNREACHABLE', advice: '' },
  '53': { code: 'TM_DATABASE_UNREACHABLE', advice: 'The database server is short of resources.' },
  '57P': { code: 'TM_DATABASE_UNREACHABLE', advice: 'The database server is stopping or starting.' },
};

export function postgresError(thrown: unknown): Error {
  if (thrown instanceof TmError || (thrown instanceof Error && thrown.name === 'AbortError')) return thrown;
  const sqlState =
    thrown instanceof Error && 'severity' in thrown && 'code' in thrown && typeof thrown.code === 'string'
      ? thrown.code
      : undefined;
  if (sqlState === undefined) {
    return new TmError('TM_DATABASE_UNREACHABLE', `The database cannot be reached: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
  const known = CODES[sqlState] ?? CODES[sqlState.slice(0, 3)] ?? CODES[sqlState.slice(0, 2)];
  const { code, advice } = known ?? {
    code: 'TM_QUERY_FAILED' as const,
    advice: 'Check table, columns and SQL in tm-fetch.',
  };
  return new TmError(code, `The database says: ${reasonOf(thrown)} (${sqlState}). ${advice}`.trim(), {
    cause: thrown,
  });
}
