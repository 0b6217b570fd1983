/** TLS of a connection to MySQL: by a TLS configuration, or by the modes of MySQL's own clients in the URL. */
import type { ConnectionOptions, SslOptions } from 'mysql2';
import type { EngineSettings } from './engine-settings';

export function mysqlTls({ address: { options }, tls }: EngineSettings): Pick<ConnectionOptions, 'ssl'> {
  if (tls) {
    // Whose certificate it is would not be looked at otherwise.
    return { ssl: { ...(tls as SslOptions), verifyIdentity: tls.rejectUnauthorized !== false } };
  }
  const mode = options['ssl-mode'] ?? options.ssl_mode ?? options.sslmode ?? '';
  switch (mode.toUpperCase().replace('-', '_')) {
    case 'REQUIRED':
    case 'REQUIRE':
      return { ssl: { rejectUnauthorized: false } };
    case 'VERIFY_CA':
      return { ssl: { rejectUnauthorized: true } };
    case 'VERIFY_IDENTITY':
    case 'VERIFY_FULL':
      return { ssl: { rejectUnauthorized: true, verifyIdentity: true } };
    default:
      return {};
  }
}
