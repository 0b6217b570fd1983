/** SQL Server's, the driver's and the socket's errors in the connector's own family. */
import { TmError, reasonOf, type TmErrorCode } from '../errors';

interface Meaning {
  readonly code: TmErrorCode;
  readonly advice: string;
}

const PERMISSION: Meaning = { code: 'TM_DATABASE_REFUSED', advice: 'Grant the user SELECT on the table.' };
const LOGIN: Meaning = {
  code: 'TM_DATABASE_REFUSED',
  advice: 'Check user, password and database name in the database URL.',
};
const RESOURCES: Meaning = {
  code: 'TM_DATABASE_UNREACHABLE',
  advice: 'The database server is short of resources.',
};
const STOPPING: Meaning = {
  code: 'TM_DATABASE_UNREACHABLE',
  advice: 'The database server is stopping or starting.',
};
const TIMEOUT: Meaning = {
  code: 'TM_QUERY_TIMEOUT',
  advice: 'The query took longer than the statement timeout. Is there an index on the timestamp column?',
};

const MISTAKE: Meaning = { code: 'TM_QUERY_FAILED', advice: 'Check table, columns and SQL in tm-fetch.' };

/** By number: SQL Server documentation, "Database engine events and errors". */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  229: PERMISSION,
  230: PERMISSION,
  300: PERMISSION,
  916: LOGIN,
  4060: LOGIN,
  18452: LOGIN,
  18456: LOGIN,
  701: RESOURCES,
  802: RESOURCES,
  8645: RESOURCES,
  8651: RESOURCES,
  596: STOPPING,
  921: STOPPING,
  922: STOPPING,
  927: STOPPING,
  942: STOPPING,
  6005: STOPPING,
  17142: STOPPING,
  976: STOPPING,
  982: STOPPING,
  983: STOPPING,
  1205: {
    code: 'TM_DATABASE_UNREACHABLE',
    advice: 'The read and a writer waited for each other, and the read gave way.',
  },
  1222: { code: 'TM_QUERY_TIMEOUT', advice: 'Another connection holds a lock on the rows.' },
  // Said as trouble of the server's own, but of a statement that is too complex for it.
  8631: MISTAKE,
  8632: MISTAKE,
  1033: {
    code: 'TM_QUERY_FAILED',
    advice: 'The SQL is selected from: leave its ORDER BY out, rows are put in order of time.',
  },
};

/** From here on the server has trouble of its own: no memory, no room, a fault that ends the connection. */
const SEVERITY_OF_ITS_OWN = 17;
const TROUBLE: Meaning = {
  code: 'TM_DATABASE_UNREACHABLE',
  advice: 'That is the server’s own trouble, and not of the SQL: see its error log.',
};

/** Of a transaction at snapshot isolation: the database, or a linked server, does not have it. */
const NO_SNAPSHOT = new Set([3951, 3952, 3953, 3956, 3957, 3958, 3961, 3963, 3987]);
/** A linked server, such as a historian, that takes part in no transaction. */
const NO_TRANSACTION = new Set([3910, 7390, 7391, 7395, 7396, 8501, 8509, 8522]);

export function mssqlError(thrown: unknown): Error {
  if (thrown instanceof TmError || (thrown instanceof Error && thrown.name === 'AbortError')) return thrown;
  const { code, number, severity } = numbered(thrown);
  if (number === undefined) return withoutNumber(thrown, code);
  const meaning = MEANINGS[number] ?? (severity < SEVERITY_OF_ITS_OWN ? MISTAKE : TROUBLE);
  return new TmError(meaning.code, `The database says: ${reasonOf(thrown)} (${number}). ${meaning.advice}`, {
    cause: thrown,
  });
}

export function lacksSnapshot(thrown: unknown): boolean {
  return NO_SNAPSHOT.has(numbered(thrown).number ?? 0);
}

export function lacksTransaction(thrown: unknown): boolean {
  return NO_TRANSACTION.has(numbered(thrown).number ?? 0);
}

/** @returns the driver's code, and the server's number and severity where the server said something */
function numbered(thrown: unknown): { code: string; number: number | undefined; severity: number } {
  const { code, number, class: severity } = thrown as { code?: unknown; number?: unknown; class?: unknown };
  return {
    code: typeof code === 'string' ? code : '',
    number: typeof number === 'number' ? number : undefined,
    severity: typeof severity === 'number' ? severity : 0,
  };
}

function withoutNumber(thrown: unknown, code: string): TmError {
  const reason = reasonOf(thrown);
  if (code === 'ETIMEOUT' && isRequest(thrown)) {
    return new TmError(TIMEOUT.code, `${reason}. ${TIMEOUT.advice}`, { cause: thrown });
  }
  if (code === 'ELOGIN') {
    return new TmError(LOGIN.code, `The database says: ${reason} ${LOGIN.advice}`, { cause: thrown });
  }
  if (code === 'EINSTLOOKUP') {
    return new TmError(
      'TM_DATABASE_UNREACHABLE',
      `The database cannot be reached: ${reason}. A named instance is found through SQL Server Browser (UDP 1434); give its port instead, as in host:1433.`,
      { cause: thrown },
    );
  }
  // What the driver made of the parameters: nothing that another try would change.
  if (code === 'EPARAM' || code === 'EARGS') {
    return new TmError('TM_QUERY_FAILED', `The driver says: ${reason}`, { cause: thrown });
  }
  const advice = /certificate|self.signed|altnames/i.test(reason)
    ? ' Add the certificate’s authority to the TLS settings of the database, or TrustServerCertificate=yes to the database URL where its network is trusted.'
    : /\b(ssl|tls)\b/i.test(reason)
      ? ' A server that knows no TLS 1.2 can be reached with Encrypt=no in the database URL, where its network is trusted.'
      : '';
  return new TmError('TM_DATABASE_UNREACHABLE', `The database cannot be reached: ${reason}${advice}`, {
    cause: thrown,
  });
}

function isRequest(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'RequestError';
}
