/**
 * One for each endpoint, shared by all that is posted to it: while the endpoint fails, one post at a time goes
 * out as a probe, the others wait for its result. A cloud that comes back is met by one post, not by all.
 */
import { backoffMs, holdBackoffMs, type Random } from './backoff';
import type { Clock } from './clock';
import type { Outcome } from './outcome';

/** How the endpoint is doing. `reason` says why not `ok`, in a few characters: `endpoint 503`. */
export interface EndpointState {
  readonly state: 'ok' | 'waiting' | 'hold';
  readonly reason: string;
}

/** A post on its way through the gate, through all of its attempts. */
export class Ticket {
  /** Failures seen: its own, and those of probes that it waited for. */
  failures = 0;
  /** Its own alone: one post that the endpoint cannot digest backs off without holding up the others. */
  ownFailures = 0;
  notBefore = 0;
}

/** Leave to post once. Its result must be told: `succeeded`, `failed` or `abandoned`. */
export interface Pass {
  readonly round: number;
  readonly probe: boolean;
}

const OK: EndpointState = { state: 'ok', reason: '' };

export class Gate {
  #state = OK;
  /** Failures in a row of the endpoint as a whole. */
  #failures = 0;
  /** Counts the times that the gate closed or stayed closed: a result from before says nothing new. */
  #round = 0;
  #probing = false;
  #notBefore = 0;
  #last: Outcome | undefined;
  readonly #line: Ticket[] = [];
  readonly #sleepers = new Set<() => void>();
  readonly #watchers = new Set<(state: EndpointState) => void>();

  constructor(
    readonly clock: Clock,
    readonly random: Random,
  ) {}

  get state(): EndpointState {
    return this.#state;
  }

  /** The failure that the gate was last closed by. */
  get lastFailure(): Outcome | undefined {
    return this.#last;
  }

  /** Calls `watcher` once for each change. @returns what ends it */
  watch(watcher: (state: EndpointState) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /**
   * Waits until the ticket's post may go out.
   * @param mostFailures of the ticket; undefined is returned when it has seen so many
   * @throws the signal's reason
   */
  async enter(ticket: Ticket, mostFailures: number, signal: AbortSignal): Promise<Pass | undefined> {
    const ownWait = ticket.notBefore - this.clock.now();
    if (ownWait > 0) await this.clock.sleep(ownWait, signal);
    this.#line.push(ticket);
    try {
      for (;;) {
        signal.throwIfAborted();
        if (ticket.failures >= mostFailures) return undefined;
        if (this.#state === OK) return { round: this.#round, probe: false };
        if (this.#probing || this.#line[0] !== ticket) {
          await this.#change(signal);
          continue;
        }
        const wait = this.#notBefore - this.clock.now();
        if (wait <= 0) {
          this.#probing = true;
          return { round: this.#round, probe: true };
        }
        await this.clock.sleep(wait, signal);
      }
    } finally {
      this.#line.splice(this.#line.indexOf(ticket), 1);
      this.#wake();
    }
  }

  /** The endpoint works, whatever it thinks of the post. */
  succeeded(pass: Pass): void {
    // A post that left before the gate closed may still succeed: a sign of mercy for it, not for the others.
    if (pass.round !== this.#round || this.#state === OK) return;
    this.#probing = false;
    this.#failures = 0;
    this.#tell(OK);
    this.#wake();
  }

  /** @param outcome of kind `retry` or `hold` */
  failed(ticket: Ticket, pass: Pass, outcome: Outcome): void {
    const { random } = this;
    const now = this.clock.now();
    ticket.failures++;
    ticket.ownFailures++;
    if (pass.probe) this.#probing = false;
    const asked =
      outcome.retryAfterSeconds === undefined ? 0 : outcome.retryAfterSeconds * 1000 + backoffMs(1, random);
    if (pass.round === this.#round) {
      this.#round++;
      this.#failures++;
      this.#last = outcome;
      for (const waiting of this.#line) waiting.failures++;
      const delay = outcome.kind === 'hold' ? holdBackoffMs : backoffMs;
      this.#notBefore = now + (asked || delay(this.#failures, random));
      this.#tell({ state: outcome.kind === 'hold' ? 'hold' : 'waiting', reason: outcome.reason });
    } else {
      this.#notBefore = Math.max(this.#notBefore, now + asked);
    }
    // The others got through since: this post itself is what fails.
    if (ticket.ownFailures > this.#failures) {
      ticket.notBefore = now + backoffMs(ticket.ownFailures, random);
    }
    this.#wake();
  }

  /** The post was broken off; nothing is known of the endpoint. */
  abandoned(pass: Pass): void {
    if (!pass.probe) return;
    this.#probing = false;
    this.#wake();
  }

  #tell(state: EndpointState): void {
    const before = this.#state;
    this.#state = state;
    if (state.state === before.state && state.reason === before.reason) return;
    for (const watcher of [...this.#watchers]) watcher(state);
  }

  /** Resolves with the next change, and when the signal is aborted. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #wake(): void {
    for (const wake of [...this.#sleepers]) wake();
  }
}
