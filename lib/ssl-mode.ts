/**
 * How a URL asks for TLS: by the modes of PostgreSQL's and MySQL's own clients. What is not understood is refused,
 * never taken for a connection without TLS.
 */
import type { ConnectionOptions } from 'node:tls';
import type { TmError } from './errors';
import { quote } from './window';

/** `encrypted`: whoever the server is; `authority`: by its certificate; `identity`: which must name the host too. */
export type SslMode = 'plain' | 'encrypted' | 'authority' | 'identity';

/** In small letters, with hyphens. `prefer` and `allow` are without TLS, for the drivers cannot try both. */
const MODES: ReadonlyMap<string, SslMode> = new Map([
  ['disable', 'plain'],
  ['allow', 'plain'],
  ['prefer', 'plain'],
  ['require', 'encrypted'],
  ['no-verify', 'encrypted'],
  ['verify-ca', 'authority'],
  ['verify-full', 'identity'],
  ['disabled', 'plain'],
  ['preferred', 'plain'],
  ['required', 'encrypted'],
  ['verify-identity', 'identity'],
  // Of `ssl`, as drivers of other languages have it.
  ['false', 'plain'],
  ['true', 'identity'],
]);
const OF_POSTGRES = 'disable, allow, prefer, require, no-verify, verify-ca, verify-full';
const OF_MYSQL = 'DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY';

/** Parameters that ask for TLS with files, which are given in a TLS configuration here. */
const FILES = new Set(['sslca', 'sslcert', 'sslkey', 'sslrootcert']);

/**
 * @param options parameters of the URL
 * @param refuse given what is wrong, in words that follow the name of the setting
 * @returns undefined where none is given
 * @throws what `refuse` makes
 */
export function sslModeOf(
  engine: 'postgresql' | 'mysql',
  options: Readonly<Record<string, string>>,
  refuse: (why: string) => TmError,
): SslMode | undefined {
  // sslmode, ssl-mode, ssl_mode, sslMode
  const given = Object.entries(options).map(
    ([name, value]) => [name, name.toLowerCase().replace(/[-_]/g, ''), value] as const,
  );
  const modes = new Map<string, SslMode>();
  for (const [name, key, value] of given) {
    if (key !== 'sslmode' && key !== 'ssl') continue;
    const mode = MODES.get(value.toLowerCase().replaceAll('_', '-'));
    if (mode === undefined) {
      const allowed = engine === 'mysql' ? OF_MYSQL : OF_POSTGRES;
      throw refuse(`has the ${name} ${quote(value)}; it must be one of ${allowed}`);
    }
    modes.set(key, mode);
  }
  const mode = modes.get('sslmode') ?? modes.get('ssl');
  const [file] = given.find(([, key]) => FILES.has(key)) ?? [];
  if (mode === undefined && file !== undefined) {
    throw refuse(
      `names a file of certificates (${file}), which is not read from there; choose a TLS configuration instead, and leave it out`,
    );
  }
  return mode;
}

/** For a driver of PostgreSQL. */
export function tlsOfMode(mode: SslMode | undefined): ConnectionOptions | false {
  if (mode === undefined || mode === 'plain') return false;
  return { rejectUnauthorized: mode !== 'encrypted' };
}
