/** Machines that share a queue of a test's own in a real broker, each with connections of its own. */
import { randomBytes } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import * as bullmq from 'bullmq';
import * as ioredis from 'ioredis';
import * as rabbit from 'rabbitmq-client';
import type { TmError } from '../../lib/errors';
import { parseBrokerUrl } from '../../lib/queue/broker-url';
import { keyOf, type Done, type QueuedWindow, type WindowQueue } from '../../lib/queue/queue';
import { RabbitQueue } from '../../lib/queue/rabbit-queue';
import { RedisQueue } from '../../lib/queue/redis-queue';
import type { BrokerKind } from './brokers';
import { removeQueue } from './remove-queue';
import { until } from './until';

/** A machine that dies keeps its windows for a short time only. */
const LOCK_MS = 1_000;

export class Machine {
  readonly taken: string[] = [];
  readonly done = new Map<string, Done>();
  readonly problems: TmError[] = [];
  readonly unreachable: TmError[] = [];
  connections = 0;
  readonly queue: WindowQueue;
  readonly #emitters: EventEmitter[] = [];

  constructor(kind: BrokerKind, url: string, name: string) {
    const listener = {
      onDone: (key: string, done: Done) => {
        this.done.set(key, done);
      },
      onConnected: () => {
        this.connections++;
      },
      onUnreachable: (error: TmError) => {
        this.unreachable.push(error);
      },
      onProblem: (error: TmError) => {
        this.problems.push(error);
      },
    };
    const address = parseBrokerUrl(url);
    const keep = (emitter: EventEmitter): void => {
      this.#emitters.push(emitter);
    };
    this.queue =
      kind === 'redis'
        ? new RedisQueue({ bullmq, ioredis: { Redis: keptRedis(keep) } }, address, { name }, listener, {
            lockMs: LOCK_MS,
            lookMs: LOCK_MS / 2,
          })
        : new RabbitQueue({ ...rabbit, Connection: keptConnection(keep) }, address, { name }, listener);
  }

  /** On all that it has opened so far, by whomever. */
  get listeners(): number {
    const counts = this.#emitters.flatMap((emitter) =>
      emitter.eventNames().map((name) => emitter.listenerCount(name)),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  take(atOnce: number, deliver: (queued: QueuedWindow) => Promise<Done> | Done): void {
    this.queue.take(atOnce, async (queued) => {
      this.taken.push(keyOf(queued));
      return deliver(queued);
    });
  }

  async connected(): Promise<this> {
    await until(() => this.connections > 0);
    return this;
  }
}

type Keep = (emitter: EventEmitter) => void;

function keptRedis(keep: Keep): typeof ioredis.Redis {
  return new Proxy(ioredis.Redis, {
    construct(Redis, args, newTarget) {
      const client = Reflect.construct(Redis, args, newTarget) as ioredis.Redis;
      keep(client);
      const duplicate = client.duplicate.bind(client);
      client.duplicate = (override) => {
        const another = duplicate(override);
        keep(another);
        return another;
      };
      return client;
    },
  });
}

function keptConnection(keep: Keep): typeof rabbit.Connection {
  return class extends rabbit.Connection {
    constructor(options?: string | rabbit.ConnectionOptions) {
      super(options);
      keep(this);
    }

    override createConsumer(...args: Parameters<rabbit.Connection['createConsumer']>): rabbit.Consumer {
      const consumer = super.createConsumer(...args);
      keep(consumer);
      return consumer;
    }

    override createPublisher(props?: rabbit.PublisherProps): rabbit.Publisher {
      const publisher = super.createPublisher(props);
      keep(publisher);
      return publisher;
    }
  };
}

export interface Machines {
  readonly name: string;
  /** @param through another URL than the broker's own */
  add(through?: string): Machine;
}

/** All are closed and the queue is removed after each test of the calling `describe`. */
export function useMachines(kind: BrokerKind, url: () => Promise<string>): Machines {
  let machines: Machine[] = [];
  let name = '';
  let broker = '';
  beforeEach(async () => {
    broker = await url();
    name = `tm-test-${randomBytes(6).toString('hex')}`;
    machines = [];
  });
  afterEach(async () => {
    await Promise.all(machines.map(({ queue }) => queue.close()));
    await removeQueue(kind, broker, name);
  });
  return {
    get name() {
      return name;
    },
    add(through = broker) {
      const machine = new Machine(kind, through, name);
      machines.push(machine);
      return machine;
    },
  };
}

/** All messages of a queue as they lie in the broker, whatever else lies with them. */
export async function rawMessages(kind: BrokerKind, url: string, name: string): Promise<string[]> {
  if (kind === 'redis') {
    const redis = new ioredis.Redis(url);
    const found: string[] = [];
    for (const key of await redis.keys(`tm:${name}:*`)) {
      if ((await redis.type(key)) === 'hash') found.push(JSON.stringify(await redis.hgetall(key)));
      if ((await redis.type(key)) === 'stream') found.push(JSON.stringify(await redis.xrange(key, '-', '+')));
    }
    await redis.quit();
    return found;
  }
  const connection = new rabbit.Connection(url);
  const found: string[] = [];
  for (;;) {
    const message = await connection.basicGet({ queue: name, noAck: true });
    if (!message) break;
    found.push(JSON.stringify(message));
  }
  await connection.close();
  return found;
}
