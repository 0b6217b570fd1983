/** A database's address and settings as the driver takes them. */
import type mssql from 'mssql';
import { TmError } from '../errors';
import type { EngineSettings } from './engine-settings';

export const CANCEL_TIMEOUT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** The server agrees to 16,383 at most where the connection is encrypted. */
const PACKET_BYTES = 16_000;

/** ODBC drivers that ask for no certificate unless they are told to: everything before version 18. */
const TRUSTING_DRIVER = /odbc driver 1[0-7]\b|sql server native client|freetds|^sql server$/i;

/** @throws TmError TM_SETTING_INVALID */
export function mssqlConfig(settings: EngineSettings): mssql.config & { options: mssql.IOptions } {
  const { address, statementTimeoutSeconds, poolSize, tls } = settings;
  const options = Object.fromEntries(
    Object.entries(address.options).map(([key, value]) => [key.toLowerCase().replace(/[\s_]/g, ''), value]),
  );
  const { port } = address;
  const encryption = encryptionOf(options);
  const trust = tls?.rejectUnauthorized === undefined ? encryption.trust : !tls.rejectUnauthorized;
  return {
    server: address.host,
    ...(port > 0 ? { port } : {}),
    database: address.database,
    ...login(settings, options),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: Math.round(statementTimeoutSeconds * 1000),
    pool: { min: 0, max: poolSize, idleTimeoutMillis: 60_000, acquireTimeoutMillis: 60_000 },
    // A connection that the server has closed meanwhile is known to be; no query is spent on it.
    validateConnection: 'socket',
    options: {
      ...(port > 0 ? {} : { instanceName: address.instance }),
      appName: 'turbomechanica-data-connector',
      encrypt: encryption.encrypt,
      trustServerCertificate: trust,
      ...(tls ? { cryptoCredentialsDetails: tls } : {}),
      ...(tls?.servername ? { serverName: tls.servername } : {}),
      readOnlyIntent: options.applicationintent?.toLowerCase() === 'readonly',
      multiSubnetFailover: isYes(options.multisubnetfailover) ?? false,
      packetSize: PACKET_BYTES,
      cancelTimeout: CANCEL_TIMEOUT_MS,
      // The transaction and its end are the connector's.
      abortTransactionOnError: false,
      // What text is converted to in the user's own SQL must not depend on the login's language.
      language: 'us_english',
      dateFormat: 'ymd',
      useUTC: true,
    },
  };
}

function encryptionOf(options: Readonly<Record<string, string>>): {
  encrypt: boolean | 'strict';
  trust: boolean;
} {
  const trust = isYes(options.trustservercertificate);
  const asked = options.encrypt?.toLowerCase();
  if (asked === 'strict') return { encrypt: 'strict', trust: false };
  const encrypt = asked === 'mandatory' ? true : asked === 'optional' ? false : isYes(asked);
  const trusting = asked === undefined && TRUSTING_DRIVER.test(options.driver ?? '');
  return { encrypt: encrypt ?? true, trust: trust ?? trusting };
}

/** `CORP\reader`, or a `domain` beside the user, is a Windows login (NTLM); any other is SQL Server's own. */
function login(
  { address: { user, password } }: EngineSettings,
  options: Readonly<Record<string, string>>,
): Pick<mssql.config, 'user' | 'password' | 'domain'> {
  const integrated = options.integratedsecurity ?? options.trustedconnection;
  const windows = integrated?.toLowerCase() === 'sspi' || isYes(integrated) === true;
  if (user === '') {
    throw new TmError(
      'TM_SETTING_INVALID',
      `databaseUrl names no user${windows ? ': the account of the service cannot be used' : ''}. Give a user and a password, for a Windows login DOMAIN\\user.`,
    );
  }
  const [, domain, name = user] = /^([^\\]+)\\(.+)$/.exec(user) ?? [];
  const of = domain ?? options.domain ?? (windows ? '' : undefined);
  return { user: name, password, ...(of === undefined ? {} : { domain: of }) };
}

function isYes(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(yes|true|1|on)$/i.test(text)) return true;
  return /^(no|false|0|off)$/i.test(text) ? false : undefined;
}
