/** The connections to the database that keeps the state: few, and with a limit to every wait. */
import type { ConnectionOptions } from 'node:tls';
import knex, { type Knex } from 'knex';
import type { DatabaseAddress } from '../database-url';
import { tlsOfMode } from '../ssl-mode';

/** Whoever waits for the state waits for a delivery: a server that does not answer is an error soon. */
const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 30_000;

export function openKnex(address: DatabaseAddress, tls: ConnectionOptions | undefined): Knex {
  const { host, port, database, user, password } = address;
  return knex({
    client: 'pg',
    connection: {
      ...{ host, port, database },
      ...(user === '' ? {} : { user }),
      ...(password === '' ? {} : { password }),
      ssl: tls ?? tlsOfMode(address.sslMode),
      application_name: 'turbomechanica-state',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    },
    acquireConnectionTimeout: QUERY_TIMEOUT_MS,
    pool: { min: 0, max: 2 },
    // What goes wrong is thrown, and said by the node; knex would print it on the console as well.
    log: { warn: ignore, error: ignore, deprecate: ignore, debug: ignore },
  });
}

function ignore(): void {
  // Nothing.
}
