/**
 * Windows in Redis, by BullMQ. A window is a job whose id is its key, so that it is in the queue once however
 * often it is put. Who works on one holds its lock and renews it for as long as it takes; where the lock runs
 * out, another machine takes the window.
 */
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

interface ConnectOptions {
  readonly enableOfflineQueue?: boolean;
  readonly commandTimeout?: number;
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
  readonly #clients: IORedis.Redis[] = [];
  readonly #queue: BullMQ.Queue;
  readonly #events: BullMQ.QueueEvents;
  #worker: BullMQ.Worker | undefined;
  #working: Promise<void> | undefined;
  #closed = false;
  #endPause: () => void = () => undefined;

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
    // Without Redis a window is not put, and whoever has it keeps it: nothing piles up here meanwhile.
    const client = this.#connect({ enableOfflineQueue: false, commandTimeout: COMMAND_TIMEOUT_MS });
    this.#tellConnection(client);
    const { Queue, QueueEvents } = packages.bullmq;
    this.#queue = new Queue(settings.name, { connection: client, prefix: PREFIX });
    this.#queue.on('error', ignore);
    this.#events = new QueueEvents(settings.name, { connection: this.#connect(), prefix: PREFIX });
    this.#events.on('error', ignore);
    this.#events.on('completed', ({ jobId, returnvalue }) => {
      listener.onDone(jobId, parseDone(returnvalue));
    });
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
    this.#working = this.#work(atOnce, deliver);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#endPause();
    const closing = Promise.allSettled([this.#worker?.close(), this.#events.close(), this.#queue.close()]);
    // Without Redis its own close waits for it to come back.
    if (!(await settlesWithin(CLOSE_WITHIN_MS, closing))) void this.#worker?.close(true).catch(ignore);
    for (const client of this.#clients) client.disconnect();
    await settlesWithin(CLOSE_WITHIN_MS, this.#working ?? Promise.resolve());
  }

  /** What ends a worker for good, such as a refused password, may be over later. */
  async #work(atOnce: number, deliver: Deliver): Promise<void> {
    const { Worker } = this.#packages.bullmq;
    while (!this.#closed) {
      const worker = new Worker(
        this.#settings.name,
        (job: Job, token?: string) => this.#process(job, token, deliver),
        {
          connection: this.#connect(),
          prefix: PREFIX,
          concurrency: atOnce,
          autorun: false,
          lockDuration: this.#times.lockMs,
          stalledInterval: this.#times.lookMs,
          maxStalledCount: UNLIMITED,
          runRetryDelay: RETRY_MS,
          settings: { backoffStrategy: (failures) => pauseSeconds(failures) * 1000 },
        },
      );
      worker.on('error', ignore);
      this.#worker = worker;
      try {
        await worker.run();
      } catch {
        // The connection tells what is wrong with it.
      }
      if (this.#hasClosed()) return;
      await worker.close(true).catch(ignore);
      await this.#pause();
    }
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

  #connect(options: ConnectOptions = {}): IORedis.Redis {
    const client = new this.#packages.ioredis.Redis(this.#address.url, {
      // BullMQ's own condition: what waits for a window waits as long as it takes.
      maxRetriesPerRequest: null,
      connectionName: 'turbomechanica',
      ...options,
    });
    client.on('error', ignore);
    this.#clients.push(client);
    return client;
  }

  #tellConnection(client: IORedis.Redis): void {
    let reason: unknown = new Error('the connection was closed');
    client.on('error', (error: unknown) => {
      reason = error;
    });
    client.on('ready', () => {
      this.#listener.onConnected();
    });
    client.on('close', () => {
      if (!this.#closed) this.#listener.onUnreachable(this.#unreachable(reason));
    });
  }

  #unreachable(thrown: unknown): TmError {
    const reason = withoutSecrets(reasonOf(thrown), this.#address);
    return new TmError(
      'TM_BROKER_UNREACHABLE',
      `The broker ${this.#address.place} does not take windows: ${reason}`,
    );
  }

  #hasClosed(): boolean {
    return this.#closed;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, RETRY_MS).unref();
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
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
