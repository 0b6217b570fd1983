/**
 * A pool of a driver's own connections, as knex keeps it, for work that may be given up at any time: each piece of
 * work has a connection to itself, in a transaction that only reads, and a server that falls silent or a signal
 * that is aborted ends the connection and what the server does for it.
 */
import type { Socket } from 'node:net';
import knex, { type Knex } from 'knex';
import { TmError } from '../errors';
import { orAborted, settlesWithin } from '../signals';
import { Silence } from './silence';

/** For a connection over which a server is told to stop what it does on another one. */
export const CANCEL_TIMEOUT_MS = 2_000;
/** Longer than the server may be busy with a statement: by then it has answered, or it cannot. */
const SILENCE_BEYOND_STATEMENT_MS = 10_000;
/** For the server's side of a goodbye. */
const GOODBYE_MS = 500;

const silent = (): void => undefined;
const SILENT = { warn: silent, error: silent, debug: silent, deprecate: silent };

/** knex takes a connection marked so out of its pool. */
export interface Pooled {
  __knex__disposed?: Error | undefined;
}

/** What differs between the drivers. */
export interface SessionDriver<Client extends Pooled> {
  /** knex's name of it. */
  readonly client: 'pg' | 'mysql2';
  readonly connection: object;
  readonly poolSize: number;
  readonly statementTimeoutSeconds: number;
  /** Settings of a session that is new. */
  begin(client: Client): Promise<unknown>;
  /** Of each transaction. */
  readonly startReadOnly: (client: Client) => Promise<unknown>;
  readonly rollback: (client: Client) => Promise<unknown>;
  /** Closes our side of a connection in whatever state it is. */
  hangUp(client: Client): void;
  /** Has the server stop what it does for a connection; what fails is a server that is gone. */
  cancel(client: Client): Promise<void>;
}

/** The part of knex's client that hands out the driver's own connections. */
interface ConnectionPool<Client> {
  acquireConnection(): Promise<Client>;
  releaseConnection(client: Client): Promise<void>;
}

export class Sessions<Client extends Pooled> {
  readonly #driver: SessionDriver<Client>;
  readonly #silenceMs: number;
  readonly #knex: Knex;
  readonly #pool: ConnectionPool<Client>;
  readonly #cancelling = new Set<Promise<void>>();
  /** Of every connection, those that are still being made too: a server that hangs lets none of them end. */
  readonly #sockets = new Set<Socket>();

  constructor(driver: SessionDriver<Client>) {
    this.#driver = driver;
    this.#silenceMs = driver.statementTimeoutSeconds * 1000 + SILENCE_BEYOND_STATEMENT_MS;
    this.#knex = knex({
      client: driver.client,
      connection: driver.connection,
      acquireConnectionTimeout: 60_000,
      // What fails is thrown; knex would print it to the console besides.
      log: SILENT,
      pool: {
        min: 0,
        max: driver.poolSize,
        idleTimeoutMillis: 60_000,
        afterCreate: (client: Client, done: (error: unknown, client: Client) => void) => {
          driver.begin(client).then(
            () => {
              done(undefined, client);
            },
            (error: unknown) => {
              done(error, client);
            },
          );
        },
      },
    });
    this.#pool = this.#knex.client as ConnectionPool<Client>;
  }

  /** A socket that a connection is made over. */
  known(socket: Socket): Socket {
    this.#sockets.add(socket);
    return socket.once('close', () => this.#sockets.delete(socket));
  }

  async run<Result>(
    signal: AbortSignal,
    work: (client: Client, silence: Silence) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#acquire(signal);
    const abandon = (): void => {
      this.abandon(client);
    };
    signal.addEventListener('abort', abandon, { once: true });
    const unheard = new AbortController();
    const silence = new Silence(this.#silenceMs, () => {
      unheard.abort();
      abandon();
    });
    try {
      signal.throwIfAborted();
      return await this.#readOnly(client, () => work(client, silence));
    } catch (cause) {
      if (!unheard.signal.aborted) throw cause;
      const seconds = this.#silenceMs / 1000;
      throw new TmError(
        'TM_DATABASE_UNREACHABLE',
        `The database cannot be reached: it has not answered for ${seconds} s.`,
        { cause },
      );
    } finally {
      silence.end();
      signal.removeEventListener('abort', abandon);
      await this.#pool.releaseConnection(client);
    }
  }

  /**
   * Ends a connection and what the server does for it. Closing our side alone would leave a long sort running;
   * cancelling alone does not reach a server that waits for us to take more of a result.
   */
  abandon(client: Client): void {
    if (client.__knex__disposed) return;
    client.__knex__disposed = new Error('abandoned');
    this.#driver.hangUp(client);
    // Where the server is gone, the query is with it; its statement timeout is the last resort.
    const cancelling = this.#driver
      .cancel(client)
      .catch(silent)
      .finally(() => this.#cancelling.delete(cancelling));
    this.#cancelling.add(cancelling);
  }

  /** Ends within seconds, whatever the server does. */
  async close(): Promise<void> {
    await settlesWithin(CANCEL_TIMEOUT_MS, Promise.allSettled([...this.#cancelling]));
    const destroyed = this.#knex.destroy();
    if (await settlesWithin(GOODBYE_MS, destroyed)) return;
    for (const socket of this.#sockets) socket.destroy();
    await settlesWithin(GOODBYE_MS, destroyed);
  }

  async #acquire(signal: AbortSignal): Promise<Client> {
    const acquiring = this.#pool.acquireConnection();
    try {
      return await orAborted(acquiring, signal);
    } catch (error) {
      // Nobody waits for it any more: it goes back when it comes.
      if (signal.aborted) acquiring.then((late) => this.#pool.releaseConnection(late)).catch(silent);
      throw error;
    }
  }

  /**
   * The session is read-only by default, but a function in the user's SQL may change a default, for this query or
   * for those that come after it on the connection. A transaction's own mode it cannot change, and whatever it
   * sets is undone with the transaction.
   */
  async #readOnly<Result>(client: Client, work: () => Promise<Result>): Promise<Result> {
    await this.#driver.startReadOnly(client);
    try {
      return await work();
    } finally {
      if (!client.__knex__disposed) {
        await this.#driver.rollback(client).catch((error: unknown) => {
          client.__knex__disposed ??= error as Error;
        });
      }
    }
  }
}
