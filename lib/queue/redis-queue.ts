/**
 * Windows in Redis, by BullMQ. A window is a job whose id is its key, so that it is in the queue once however
 * often it is put. Who works on one holds its lock and renews it for as long as it takes; where the lock runs
 * out, another machine takes the window.
 */
import { setTimeout } from 'node:timers/promises';
import type * as BullMQ from 'bullmq';
import type * as IORedis from 'ioredis';
import { asTmError, reasonOf, TmError } from '../errors';
import { settlesWithin } from '../signals';
import { withoutSecrets, type BrokerAddress } from './broker-url';
import {
  formatQueued,
  keyOf,
  parseDone,
  parseQueued,
  pauseSeconds,
  type Deliver,
  type QueuedWindow,
  type QueueListener,
  type QueueSettings,
  type WindowQueue,
} from './queue';
import { RedisClients } from './redis-clients';

export interface RedisPackages {
  readonly bullmq: Pick<typeof BullMQ, 'Queue' | 'QueueEvents' | 'Worker' | 'WaitingError'>;
  readonly ioredis: Pick<typeof IORedis, 'Redis'>;
}

export interface RedisTimes {
  /** How long a machine that died keeps its windows; renewed at half of it. */
  readonly lockMs: number;
  /** How often it is looked for windows without a lock. */
  readonly lookMs: number;
}

type Job = BullMQ.Job<unknown, unknown>;

/** What BullMQ keeps going until it is closed: a worker, or the events of a queue. */
interface Running {
  run(): Promise<void>;
  /** Resolves when nothing is under way any more. */
  finish(): Promise<void>;
  /** Waits for nothing. */
  close(): Promise<void>;
}

/** One after another: a machine that dies frees its windows within half a minute. */
const TIMES: RedisTimes = { lockMs: 15_000, lookMs: 5_000 };
const PREFIX = 'tm';
const COMMAND_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
const CLOSE_WITHIN_MS = 2_000;
/** A window is tried until it is delivered: the first never to be given up is the bookmark's. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

export class RedisQueue implements WindowQueue {
  /** A job that is still there is not put twice: asking costs nothing. */
  readonly repeatAfterSeconds = 15;

  readonly #packages: RedisPackages;
  readonly #address: BrokerAddress;
  readonly #settings: QueueSettings;
  readonly #listener: QueueListener;
  readonly #times: RedisTimes;
  readonly #clients: RedisClients;
  readonly #client: IORedis.Redis;
  readonly #queue: BullMQ.Queue;
  readonly #running = new Map<Running, RedisClients>();
  readonly #loops: Promise<void>[] = [];
  readonly #closing = new AbortController();

  constructor(
    packages: RedisPackages,
    address: BrokerAddress,
    settings: QueueSettings,
    listener: QueueListener,
    times = TIMES,
  ) {
    this.#packages = packages;
    this.#address = address;
    this.#settings = settings;
    this.#listener = listener;
    this.#times = times;
    this.#clients = new RedisClients(packages.ioredis, address.url);
    // Without Redis a window is not put, and whoever has it keeps it: nothing piles up here meanwhile.
    this.#client = this.#clients.connect({ enableOfflineQueue: false, commandTimeout: COMMAND_TIMEOUT_MS });
    this.#tellConnection(this.#client);
    this.#queue = new packages.bullmq.Queue(settings.name, { connection: this.#client, prefix: PREFIX });
    this.#queue.on('error', ignore);
    this.#keepRunning((connection) => this.#events(connection));
  }

  async put(queued: QueuedWindow): Promise<void> {
    try {
      await this.#queue.add('window', formatQueued(queued), {
        jobId: keyOf(queued),
        attempts: UNLIMITED,
        backoff: { type: 'custom' },
        // Its id is free again then: the bookmark may be set back, and the window come once more.
        removeOnComplete: true,
        removeOnFail: true,
      });
    } catch (thrown) {
      throw this.#unreachable(thrown);
    }
  }

  take(atOnce: number, deliver: Deliver): void {
    this.#keepRunning((connection) => this.#worker(connection, atOnce, deliver));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const running = [...this.#running];
    const finished = Promise.allSettled(running.map(([each]) => each.finish()));
    // Without Redis they would wait for it to come back.
    if (this.#client.status === 'ready') await settlesWithin(CLOSE_WITHIN_MS, finished);
    const closed = Promise.allSettled([...running.map(([each]) => each.close()), this.#queue.close()]);
    const clients = [this.#clients, ...running.map(([, ofThis]) => ofThis)];
    await Promise.all(clients.map((each) => each.end()));
    await settlesWithin(CLOSE_WITHIN_MS, closed);
  }

  #keepRunning(open: (connection: IORedis.Redis) => Running): void {
    this.#loops.push(this.#loop(open));
  }

  /** What ends it for good, such as a refused password, may be over later. Never rejects. */
  async #loop(open: (connection: IORedis.Redis) => Running): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const clients = new RedisClients(this.#packages.ioredis, this.#address.url);
      const running = open(clients.connect());
      this.#running.set(running, clients);
      // The connection tells what is wrong with it.
      await running.run().catch(ignore);
      // Closing closes it.
      if (this.#closing.signal.aborted) return;
      const closing = running.close();
      await clients.end();
      await settlesWithin(CLOSE_WITHIN_MS, closing);
      this.#running.delete(running);
      await setTimeout(RETRY_MS, undefined, { signal, ref: false }).catch(ignore);
    }
  }

  #events(connection: IORedis.Redis): Running {
    const { QueueEvents } = this.#packages.bullmq;
    const events = new QueueEvents(this.#settings.name, { connection, prefix: PREFIX, autorun: false });
    events.on('error', ignore);
    events.on('completed', ({ jobId, returnvalue }) => {
      this.#listener.onDone(jobId, parseDone(returnvalue));
    });
    return { run: () => events.run(), finish: async () => undefined, close: () => events.close() };
  }

  #worker(connection: IORedis.Redis, concurrency: number, deliver: Deliver): Running {
    const { Worker } = this.#packages.bullmq;
    const process = (job: Job, token?: string): Promise<unknown> => this.#process(job, token, deliver);
    const worker = new Worker(this.#settings.name, process, {
      connection,
      prefix: PREFIX,
      concurrency,
      autorun: false,
      lockDuration: this.#times.lockMs,
      stalledInterval: this.#times.lookMs,
      maxStalledCount: UNLIMITED,
      runRetryDelay: RETRY_MS,
      settings: { backoffStrategy: (failures) => pauseSeconds(failures) * 1000 },
    });
    worker.on('error', ignore);
    // Its own close waits for what is under way, and cannot be told later not to.
    return { run: () => worker.run(), finish: () => worker.pause(), close: () => worker.close(true) };
  }

  async #process(job: Job, token: string | undefined, deliver: Deliver): Promise<unknown> {
    let queued: QueuedWindow;
    try {
      queued = parseQueued(job.data);
    } catch (thrown) {
      this.#listener.onProblem(asTmError(thrown, 'TM_MESSAGE_INVALID'));
      return {};
    }
    try {
      return await deliver(queued);
    } catch (thrown) {
      const { code } = asTmError(thrown, 'TM_STALLED');
      if (code === 'TM_CLOSED') {
        await job.moveToWait(token);
        throw new this.#packages.bullmq.WaitingError();
      }
      // What it fails with is kept in Redis: the code alone, for what a server said may be anybody's secret.
      throw new GivenBack(code);
    }
  }

  #tellConnection(client: IORedis.Redis): void {
    const unknown = new Error('the connection was closed');
    let reason: unknown = unknown;
    client.on('error', (error: unknown) => {
      reason = error;
    });
    client.on('ready', () => {
      reason = unknown;
      this.#listener.onConnected();
    });
    client.on('close', () => {
      if (!this.#closing.signal.aborted) this.#listener.onUnreachable(this.#unreachable(reason));
    });
  }

  #unreachable(thrown: unknown): TmError {
    const reason = withoutSecrets(reasonOf(thrown), this.#address);
    return new TmError(
      'TM_BROKER_UNREACHABLE',
      `The broker ${this.#address.place} does not take windows: ${reason}`,
    );
  }
}

class GivenBack extends Error {
  constructor(code: string) {
    super(code);
    this.name = 'GivenBack';
    this.stack = code;
  }
}

function ignore(): void {
  // Said by the connection that `put` uses.
}
