/** Addresses of SQL Server as plants write them, and what the driver is given for them. */
import assert from 'node:assert/strict';
import type { ConnectionOptions } from 'node:tls';
import { parseDatabaseUrl } from '../../lib/database-url';
import { mssqlConfig } from '../../lib/source/mssql-config';
import { mssqlError } from '../../lib/source/mssql-error';

const configOf = (url: string, tls?: ConnectionOptions) =>
  mssqlConfig({
    address: parseDatabaseUrl(url),
    timeZone: 'UTC',
    statementTimeoutSeconds: 90,
    poolSize: 3,
    tls,
  });

describe('A connection to SQL Server', () => {
  it('is encrypted, to a server whose certificate is known, unless the URL says otherwise', () => {
    for (const [url, encrypt, trust] of [
      ['mssql://reader:pw@plant/hist', true, false],
      ['mssql://reader:pw@plant/hist?encrypt=false', false, false],
      ['mssql://reader:pw@plant/hist?TrustServerCertificate=yes', true, true],
      ['Server=plant;Database=hist;User Id=reader;Password=pw;Encrypt=Mandatory', true, false],
      ['Server=plant;Database=hist;User Id=reader;Password=pw;Encrypt=Optional', false, false],
      ['Server=plant;Database=hist;User Id=reader;Password=pw;Trust Server Certificate=True', true, true],
      ['Server=plant;Database=hist;User Id=reader;Password=pw;Encrypt=Strict', 'strict', false],
      // What these drivers do for the Python connector: they ask for no certificate.
      ['mssql+pyodbc://reader:pw@plant/hist?driver=ODBC+Driver+17+for+SQL+Server', true, true],
      ['mssql+pyodbc://reader:pw@plant/hist?driver=SQL+Server', true, true],
      ['mssql+pyodbc://reader:pw@plant/hist?driver=ODBC+Driver+17+for+SQL+Server&Encrypt=yes', true, false],
      ['mssql+pyodbc://reader:pw@plant/hist?driver=ODBC+Driver+18+for+SQL+Server', true, false],
    ] as const) {
      const { options } = configOf(url);
      assert.deepEqual([options.encrypt, options.trustServerCertificate], [encrypt, trust], url);
    }
  });

  it('obeys the TLS settings of tm-config', () => {
    const tls = { ca: 'PEM', rejectUnauthorized: true, servername: 'sql.plant' };
    const { options } = configOf('mssql+pyodbc://reader:pw@plant/hist?driver=SQL+Server', tls);
    assert.equal(options.trustServerCertificate, false);
    assert.equal(options.serverName, 'sql.plant');
    assert.equal(options.cryptoCredentialsDetails?.ca, 'PEM');
  });

  it('goes to a port, or to a named instance that says its own', () => {
    for (const [url, port, instance] of [
      ['mssql://reader:pw@plant/hist', 1433, undefined],
      [String.raw`mssql://reader:pw@plant\HIST/hist`, undefined, 'HIST'],
      [String.raw`Server=plant\HIST;Database=hist;Uid=reader;Pwd=pw`, undefined, 'HIST'],
      [String.raw`Server=plant\HIST,1500;Database=hist;Uid=reader;Pwd=pw`, 1500, undefined],
      ['DRIVER={FreeTDS};SERVER=plant;PORT=1500;DATABASE=hist;UID=reader;PWD=pw', 1500, undefined],
    ] as const) {
      const { server, port: given, options } = configOf(url);
      assert.deepEqual([server, given, options.instanceName], ['plant', port, instance], url);
    }
  });

  it('signs in as SQL Server’s own user, or as one of a Windows domain', () => {
    for (const [url, domain] of [
      ['mssql://reader:pw@plant/hist', undefined],
      [String.raw`mssql://CORP\reader:pw@plant/hist`, 'CORP'],
      ['mssql://CORP%5Creader:pw@plant/hist', 'CORP'],
      ['mssql://reader:pw@plant/hist?domain=CORP', 'CORP'],
      ['mssql+pyodbc://reader:pw@plant/hist?trusted_connection=yes', ''],
      ['Server=plant;Database=hist;User Id=reader;Password=pw;Integrated Security=SSPI', ''],
    ] as const) {
      const config = configOf(url);
      assert.deepEqual([config.user, config.password, config.domain], ['reader', 'pw', domain], url);
    }
    assert.throws(() => configOf('Server=plant;Database=hist;Integrated Security=true'), {
      code: 'TM_SETTING_INVALID',
      message: /account of the service cannot be used\. Give a user and a password/,
    });
  });

  it('carries the statement timeout, the pool’s size, and intent and failover of the URL', () => {
    const config = configOf(
      'Server=plant;Database=hist;Uid=reader;Pwd=pw;ApplicationIntent=ReadOnly;MultiSubnetFailover=True',
    );
    assert.equal(config.requestTimeout, 90_000);
    assert.equal(config.pool?.max, 3);
    assert.equal(config.options.readOnlyIntent, true);
    assert.equal(config.options.multiSubnetFailover, true);
    assert.equal(config.options.useUTC, true);
    assert.equal(config.options.dateFormat, 'ymd');
  });

  it('fails with a code of the connector’s, and says what to do', () => {
    for (const [thrown, code, says] of [
      [
        { number: 208, message: "Invalid object name 'x'." },
        'TM_QUERY_FAILED',
        /Invalid object name 'x'\. \(208\)/,
      ],
      [{ number: 229, message: 'SELECT was denied' }, 'TM_DATABASE_REFUSED', /Grant the user SELECT/],
      [{ number: 1033, message: 'ORDER BY' }, 'TM_QUERY_FAILED', /leave its ORDER BY out/],
      [{ number: 208, class: 16, message: 'Invalid object name' }, 'TM_QUERY_FAILED', /Check table/],
      // Outages: no task is given up for them.
      [{ number: 1105, class: 17, message: 'tempdb is full' }, 'TM_DATABASE_UNREACHABLE', /its error log/],
      [{ number: 40501, class: 20, message: 'The service is busy' }, 'TM_DATABASE_UNREACHABLE', /40501/],
      [{ number: 983, class: 14, message: 'replica' }, 'TM_DATABASE_UNREACHABLE', /stopping or starting/],
      [{ number: 1205, class: 13, message: 'deadlock victim' }, 'TM_DATABASE_UNREACHABLE', /gave way/],
      [{ number: 942, class: 14, message: 'is offline' }, 'TM_DATABASE_UNREACHABLE', /stopping or starting/],
      [{ number: 8631, class: 17, message: 'stack limit' }, 'TM_QUERY_FAILED', /Check table, columns/],
      [{ number: 1222, message: 'Lock request' }, 'TM_QUERY_TIMEOUT', /lock/],
      [{ code: 'ELOGIN', message: "Login failed for user 'x'." }, 'TM_DATABASE_REFUSED', /user, password/],
      [{ code: 'ETIMEOUT', name: 'RequestError', message: 'Timeout' }, 'TM_QUERY_TIMEOUT', /index/],
      [{ code: 'ETIMEOUT', message: 'Failed to connect' }, 'TM_DATABASE_UNREACHABLE', /Failed to connect/],
      [
        { code: 'ESOCKET', message: 'self-signed certificate' },
        'TM_DATABASE_UNREACHABLE',
        /TrustServerCertificate/,
      ],
      [{ code: 'EINSTLOOKUP', message: 'Port not found' }, 'TM_DATABASE_UNREACHABLE', /UDP 1434/],
      [{ code: 'ECONNCLOSED', message: 'closed' }, 'TM_DATABASE_UNREACHABLE', /closed/],
    ] as const) {
      const error = mssqlError(Object.assign(new Error(thrown.message), thrown)) as Error & { code?: string };
      assert.equal(error.code, code, thrown.message);
      assert.match(error.message, says);
    }
  });
});
