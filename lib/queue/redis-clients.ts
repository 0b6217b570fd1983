/**
 * The connections to Redis that belong together, with those that BullMQ makes of them for itself: ended together,
 * in whatever state they are.
 */
import type * as IORedis from 'ioredis';
import { settlesWithin } from '../signals';

interface ConnectOptions {
  readonly enableOfflineQueue?: boolean;
  readonly commandTimeout?: number;
}

const RETRY_LEAST_MS = 50;
const RETRY_MOST_MS = 2_000;
/** A server that does not answer the end of a connection is not waited for. */
const DISCONNECT_WITHIN_MS = 500;

export class RedisClients {
  readonly #Redis: typeof IORedis.Redis;
  readonly #url: string;
  /** Those that have not ended. */
  readonly #clients = new Set<IORedis.Redis>();

  constructor({ Redis }: Pick<typeof IORedis, 'Redis'>, url: string) {
    this.#Redis = Redis;
    this.#url = url;
  }

  connect(options: ConnectOptions = {}): IORedis.Redis {
    const client = new this.#Redis(this.#url, {
      // BullMQ's own condition: what waits for a window waits as long as it takes.
      maxRetriesPerRequest: null,
      connectionName: 'turbomechanica',
      disconnectTimeout: DISCONNECT_WITHIN_MS,
      retryStrategy: (attempts) => Math.min(attempts * RETRY_LEAST_MS, RETRY_MOST_MS),
      ...options,
    });
    return this.#keep(client);
  }

  /** Nothing is left of them then: no socket, no timer, and what waited for an answer has failed. */
  async end(): Promise<void> {
    const ended = [...this.#clients].map(
      (client) =>
        new Promise<void>((resolve) => {
          client.once('end', resolve);
          // Before its next attempt it would only forget that, and leave whoever waits for it without an answer.
          if (client.status === 'reconnecting') void client.connect().catch(ignore);
          client.disconnect();
          // BullMQ connects those anew that it has disconnected itself, however late that comes.
          client.connect = closed;
        }),
    );
    await settlesWithin(2 * DISCONNECT_WITHIN_MS, Promise.all(ended));
    this.#clients.clear();
  }

  #keep(client: IORedis.Redis): IORedis.Redis {
    client.on('error', ignore);
    client.once('end', () => {
      this.#clients.delete(client);
    });
    this.#clients.add(client);
    // BullMQ's, for commands that block.
    const duplicate = client.duplicate.bind(client);
    client.duplicate = (override) => this.#keep(duplicate(override));
    return client;
  }
}

function closed(): Promise<never> {
  return Promise.reject(new Error('The connection is closed.'));
}

function ignore(): void {
  // Said by the connection that windows are put through.
}
