/**
 * The endpoint that readings are posted to: its connections, how it is doing, and what has been learned of it.
 * One for all that post to it.
 */
import { setMaxListeners } from 'node:events';
import { TmError } from '../errors';
import { withSignals } from '../signals';
import type { Random } from './backoff';
import { systemClock, type Clock } from './clock';
import { deliver, holdError, type DeliverOptions, type Delivery, type PostLine } from './delivery';
import { Exchanger, type ExchangeSettings } from './exchange';
import { Gate, type EndpointState } from './gate';
import { LargestBody } from './largest-body';
import { measuredExchange } from './measure';
import type { Outcome } from './outcome';
import { SearchMemory } from './search-memory';
import type { Batch } from './split';
import type { Timeouts } from './transport';

export type { DeliverOptions, Delivery } from './delivery';
export type { ExchangeSettings as EndpointSettings } from './exchange';
export type { EndpointState } from './gate';
export type { Outcome } from './outcome';

/** What tests put in place. */
export interface EndpointSurroundings {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly timeouts?: Partial<Timeouts>;
}

export class Endpoint {
  readonly #exchanger: Exchanger;
  readonly #line: PostLine;
  readonly #closing = new AbortController();

  /** @throws TmError TM_SETTING_INVALID */
  constructor(settings: ExchangeSettings, surroundings: EndpointSurroundings = {}) {
    // As many listeners as posts under way.
    setMaxListeners(0, this.#closing.signal);
    const { clock = systemClock, random = Math.random, timeouts } = surroundings;
    const exchanger = new Exchanger(settings, timeouts);
    this.#exchanger = exchanger;
    this.#line = {
      address: exchanger.address,
      gate: new Gate(clock, random),
      exchange: (body, key, signal) => measuredExchange(exchanger.exchange(body, key, signal)),
      largest: new LargestBody(clock),
      searches: new SearchMemory(),
    };
  }

  /** Where it posts to, without what may be secret. */
  get address(): string {
    return this.#line.address;
  }

  get state(): EndpointState {
    return this.#line.gate.state;
  }

  /** Why it holds, and what to do; undefined while it does not. */
  get held(): TmError | undefined {
    const { state, lastFailure } = this.#line.gate;
    return state.state === 'hold' && lastFailure
      ? holdError(
          this.address,
          lastFailure,
          'No window is lost meanwhile; a message that belongs to none is given up after a while, and told',
        )
      : undefined;
  }

  /** Calls `watcher` once for each change of how the endpoint is doing. @returns what ends it */
  watch(watcher: (state: EndpointState) => void): () => void {
    return this.#line.gate.watch(watcher);
  }

  /**
   * Posts once, whatever the state of the endpoint.
   * @throws the signal's reason, TmError TM_CLOSED; every other failure is an outcome
   */
  async exchange(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<Outcome> {
    return withSignals([this.#closing.signal, signal], (either) =>
      this.#exchanger.exchange(body, idempotencyKey, either),
    );
  }

  /**
   * Posts until every reading of the batch is accepted, or refused for good.
   * @throws the signal's reason; TmError TM_ENDPOINT_UNAVAILABLE, TM_ENDPOINT_HOLD, TM_CLOSED
   */
  async deliver(batch: Batch, options: DeliverOptions): Promise<Delivery> {
    const { onState } = options;
    const unwatch = onState && this.watch(onState);
    if (this.state.state !== 'ok') onState?.(this.state);
    try {
      return await withSignals([this.#closing.signal, options.signal], (signal) =>
        deliver(this.#line, batch, { ...options, signal }),
      );
    } finally {
      unwatch?.();
    }
  }

  /** Readings are asked for again on purpose: what a held batch had accepted is posted again too. */
  forgetAccepted(): void {
    this.#line.searches = new SearchMemory();
  }

  /** Whatever is under way ends at once. */
  async close(): Promise<void> {
    this.#closing.abort(
      new TmError('TM_CLOSED', 'Posting was stopped; what was not accepted is posted again after the start.'),
    );
    await this.#exchanger.close();
  }
}
