/** SQLite's errors in the connector's own family. */
import { TmError, reasonOf, type TmErrorCode } from '../errors';
import type { SqliteFailure } from './sqlite-messages';

/** By SQLite's primary result code (SQLite documentation, "Result and Error Codes"). */
const MEANINGS: Readonly<Record<string, { code: TmErrorCode; advice: string }>> = {
  BUSY: { code: 'TM_DATABASE_UNREACHABLE', advice: 'Another program is writing to the file.' },
  LOCKED: { code: 'TM_DATABASE_UNREACHABLE', advice: 'Another program is writing to the file.' },
  CANTOPEN: { code: 'TM_DATABASE_UNREACHABLE', advice: 'May Node-RED read the file and its folder?' },
  IOERR: { code: 'TM_DATABASE_UNREACHABLE', advice: '' },
  PERM: { code: 'TM_DATABASE_REFUSED', advice: 'May Node-RED read the file?' },
  AUTH: { code: 'TM_DATABASE_REFUSED', advice: '' },
  READONLY: { code: 'TM_QUERY_FAILED', advice: 'The file is opened read-only: the SQL may not write.' },
  NOTADB: { code: 'TM_QUERY_FAILED', advice: 'Check the path in the database URL.' },
};

/** What the process that reads the file says. */
export class SqliteError extends Error {
  readonly code: string | undefined;

  constructor({ message, code }: SqliteFailure) {
    super(message);
    this.name = 'SqliteError';
    this.code = code;
  }
}

export function sqliteError(thrown: unknown): Error {
  if (thrown instanceof TmError || (thrown instanceof Error && thrown.name === 'AbortError')) return thrown;
  const code = thrown instanceof SqliteError ? (thrown.code ?? '') : '';
  const meaning = MEANINGS[/^SQLITE_([A-Z]+)/.exec(code)?.[1] ?? ''] ?? {
    code: 'TM_QUERY_FAILED' as const,
    advice: 'Check table, columns and SQL in tm-fetch.',
  };
  const said = code === '' ? '' : ` (${code})`;
  return new TmError(
    meaning.code,
    `The database says: ${reasonOf(thrown)}${said}. ${meaning.advice}`.trim(),
    { cause: thrown },
  );
}
