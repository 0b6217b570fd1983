/**
 * Windows in RabbitMQ: a quorum queue, durable messages, publishes that the broker confirms. Who works on a window
 * holds its message; where its connection is lost, another machine is handed the message. A window that failed
 * waits in a queue for its pause and comes back from there by itself.
 *
 * RabbitMQ does not know a repeat: the same window may be in the queue twice, and be handed to two machines.
 */
import { randomUUID } from 'node:crypto';
import type * as RabbitMQ from 'rabbitmq-client';
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
  type Done,
  type QueuedWindow,
  type QueueListener,
  type QueueSettings,
  type WindowQueue,
} from './queue';

export type RabbitPackage = Pick<typeof RabbitMQ, 'Connection' | 'ConsumerStatus'>;

type Message = RabbitMQ.AsyncMessage;
type QueueDeclare = RabbitMQ.MethodParams[RabbitMQ.Cmd.QueueDeclare];

/** A machine that falls silent is taken for dead after two or three of them. */
const HEARTBEAT_SECONDS = 10;
const RETRY_LOW_MS = 500;
const RETRY_HIGH_MS = 10_000;
const ACQUIRE_WITHIN_MS = 10_000;
const CLOSE_WITHIN_MS = 3_000;
/** Pauses between attempts, each with a queue of its own: in one queue a short one would wait behind a long one. */
const PAUSES_SECONDS = [1, 5, 15, 60] as const;
/** So often a machine may die with a window before the window is set aside for the longest pause. */
const DELIVERY_LIMIT = 20;
/** A broker takes a window from whoever holds it for longer; by default it does so after half an hour. */
const CONSUMER_TIMEOUT_MS = 24 * 3_600_000;
const FAILURES = 'tm-failures';

export class RabbitQueue implements WindowQueue {
  /** Confirmed and on disk it is not lost; this is for what nobody thought of. */
  readonly repeatAfterSeconds = 600;

  readonly #package: RabbitPackage;
  readonly #address: BrokerAddress;
  readonly #listener: QueueListener;
  readonly #name: string;
  readonly #declarations: QueueDeclare[];
  readonly #connection: RabbitMQ.Connection;
  readonly #publisher: RabbitMQ.Publisher;
  readonly #replies: RabbitMQ.Consumer;
  /** Where other machines say that a window of this one is done with. */
  readonly #replyTo: string;
  /** Keys of windows that the broker had no queue for. */
  readonly #returned = new Set<string>();
  #taker: RabbitMQ.Consumer | undefined;

  constructor(
    rabbit: RabbitPackage,
    address: BrokerAddress,
    { name }: QueueSettings,
    listener: QueueListener,
  ) {
    this.#package = rabbit;
    this.#address = address;
    this.#listener = listener;
    this.#name = name;
    this.#declarations = declarationsOf(name);
    this.#replyTo = `${name}.done.${randomUUID()}`;
    this.#connection = new rabbit.Connection({
      url: withDefaultUser(address.url),
      connectionName: 'turbomechanica',
      heartbeat: HEARTBEAT_SECONDS,
      retryLow: RETRY_LOW_MS,
      retryHigh: RETRY_HIGH_MS,
      acquireTimeout: ACQUIRE_WITHIN_MS,
    });
    this.#connection.on('connection', () => {
      listener.onConnected();
    });
    this.#connection.on('error', (error: unknown) => {
      listener.onUnreachable(this.#unreachable(error));
    });
    this.#publisher = this.#connection.createPublisher({ confirm: true, queues: this.#declarations });
    this.#publisher.on('basic.return', ({ messageId }) => {
      if (messageId !== undefined) this.#returned.add(messageId);
    });
    this.#replies = this.#connection.createConsumer(
      { queue: this.#replyTo, noAck: true, queueOptions: { exclusive: true } },
      ({ messageId, body }) => {
        if (messageId !== undefined) listener.onDone(messageId, parseDone(body));
      },
    );
    this.#replies.on('error', ignore);
  }

  async put(queued: QueuedWindow): Promise<void> {
    const key = keyOf(queued);
    try {
      await this.#publish(this.#name, { key, replyTo: this.#replyTo, failures: 0 }, formatQueued(queued));
    } catch (thrown) {
      throw this.#unreachable(thrown);
    }
  }

  take(atOnce: number, deliver: Deliver): void {
    const [queueOptions = {}] = this.#declarations;
    this.#taker = this.#connection.createConsumer(
      { queue: this.#name, queueOptions, qos: { prefetchCount: atOnce }, concurrency: atOnce },
      (message) => this.#handOut(message, deliver),
    );
    // Whatever became of the message: it is in the queue as long as it is not acknowledged.
    this.#taker.on('error', ignore);
  }

  async close(): Promise<void> {
    const closing = this.#close();
    // Without a broker each part of it waits for one.
    if (!(await settlesWithin(CLOSE_WITHIN_MS, closing))) this.#connection.unsafeDestroy();
  }

  async #close(): Promise<void> {
    await this.#taker?.close();
    await Promise.allSettled([this.#replies.close(), this.#publisher.close()]);
    await this.#connection.close();
  }

  async #handOut(message: Message, deliver: Deliver): Promise<RabbitMQ.ConsumerStatus> {
    const { ACK, REQUEUE } = this.#package.ConsumerStatus;
    let queued: QueuedWindow;
    try {
      queued = parseQueued(message.body);
    } catch (thrown) {
      this.#listener.onProblem(asTmError(thrown, 'TM_MESSAGE_INVALID'));
      return ACK;
    }
    const key = keyOf(queued);
    const { replyTo } = message;
    let done: Done;
    try {
      done = await deliver(queued);
    } catch (thrown) {
      if (asTmError(thrown, 'TM_STALLED').code === 'TM_CLOSED') return REQUEUE;
      const failures = failuresOf(message) + 1;
      try {
        const again = againQueue(this.#name, pauseSeconds(failures));
        await this.#publish(again, { key, replyTo, failures }, formatQueued(queued));
      } catch {
        return REQUEUE;
      }
      return ACK;
    }
    // Told before it is acknowledged: a machine that dies in between leaves a repeat, not a wait.
    if (replyTo !== undefined)
      await this.#publisher.send({ routingKey: replyTo, messageId: key }, done).catch(ignore);
    return ACK;
  }

  async #publish(
    routingKey: string,
    { key, replyTo, failures }: { key: string; replyTo: string | undefined; failures: number },
    body: object,
  ): Promise<void> {
    await this.#publisher.send(
      {
        routingKey,
        durable: true,
        mandatory: true,
        messageId: key,
        ...(replyTo === undefined ? {} : { replyTo }),
        headers: { [FAILURES]: failures },
      },
      body,
    );
    if (!this.#returned.delete(key)) return;
    // Somebody deleted it while it was in use.
    for (const declaration of this.#declarations) await this.#connection.queueDeclare(declaration);
    throw new Error(`there was no queue ${routingKey}; it has been made anew`);
  }

  #unreachable(thrown: unknown): TmError {
    const reason = withoutSecrets(reasonOf(thrown), this.#address);
    return new TmError(
      'TM_BROKER_UNREACHABLE',
      `The broker ${this.#address.place} does not take windows: ${reason}`,
    );
  }
}

/** The queue of windows first. */
function declarationsOf(name: string): QueueDeclare[] {
  // What is moved between them is never without a copy in one of them.
  const safely = { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' } as const;
  const quorum = (queue: string, next: string, more: object): QueueDeclare => ({
    queue,
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': next,
      ...safely,
      ...more,
    },
  });
  return [
    quorum(name, againQueue(name, Infinity), {
      'x-delivery-limit': DELIVERY_LIMIT,
      'x-consumer-timeout': CONSUMER_TIMEOUT_MS,
    }),
    ...PAUSES_SECONDS.map((seconds) =>
      quorum(againQueue(name, seconds), name, { 'x-message-ttl': seconds * 1000 }),
    ),
  ];
}

/** For the longest pause that is not longer than this. */
function againQueue(name: string, atMostSeconds: number): string {
  const pause = PAUSES_SECONDS.findLast((seconds) => seconds <= atMostSeconds) ?? PAUSES_SECONDS[0];
  return `${name}.again-in-${pause}s`;
}

function failuresOf({ headers }: Message): number {
  const failures: unknown = headers?.[FAILURES];
  return typeof failures === 'number' ? failures : 0;
}

/** As other clients have it where the URL names none. */
export function withDefaultUser(text: string): string {
  const url = new URL(text);
  if (url.username === '' && url.password === '')
    Object.assign(url, { username: 'guest', password: 'guest' });
  return url.href;
}

function ignore(): void {
  // Said by the connection, or of no consequence.
}
