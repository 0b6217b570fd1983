/** TLS of a connection to MySQL: by a TLS configuration, or by the mode in the URL. */
import type { ConnectionOptions, SslOptions } from 'mysql2';
import type { EngineSettings } from './engine-settings';

export function mysqlTls({ address, tls }: EngineSettings): Pick<ConnectionOptions, 'ssl'> {
  if (tls) {
    // Whose certificate it is would not be looked at otherwise.
    return { ssl: { ...(tls as SslOptions), verifyIdentity: tls.rejectUnauthorized !== false } };
  }
  const { sslMode = 'plain' } = address;
  if (sslMode === 'plain') return {};
  return {
    ssl: { rejectUnauthorized: sslMode !== 'encrypted', verifyIdentity: sslMode === 'identity' },
  };
}
