/**
 * Posts a batch until each of its readings is accepted, or refused for good: again while the endpoint is
 * unavailable, in halves where it is too large, in halves too where it is refused, to find the readings that
 * are meant.
 */
import { TmError } from '../errors';
import type { EndpointState, Gate } from './gate';
import { Ticket } from './gate';
import { idempotencyKey } from './idempotency';
import type { LargestBody } from './largest-body';
import { measureAccepted, measureRefused } from './measure';
import { adviceFor, type Outcome } from './outcome';
import type { SearchMemory, SearchResult } from './search-memory';
import { halve, smallestPieceBytes, type Batch } from './split';

/** How much the endpoint may still be asked in search of the readings that it refuses. */
export interface SearchBudget {
  /** Posts, to divide what was refused. */
  left: number;
  /**
   * Readings, each too large by itself. Dividing what is too large has no bound: it ends where it fits, unless
   * the endpoint says so of everything.
   */
  tooLargeLeft: number;
}

const SEARCH_POSTS = 64;

export function searchBudget(): SearchBudget {
  return { left: SEARCH_POSTS, tooLargeLeft: SEARCH_POSTS };
}

export interface DeliverOptions {
  /** What tells this source of readings apart from others; see idempotency.ts. */
  readonly source: string;
  /** Failures after which a post is given up, its own and those of probes that it waited for. */
  readonly attempts: number;
  /** Larger bodies are posted in pieces. */
  readonly largestBodyBytes?: number;
  readonly signal: AbortSignal;
  /** How the endpoint is doing: at once where it is not ok, then once for each change. */
  readonly onState?: (state: EndpointState) => void;
  /** Who sends the batch again by itself where it is not delivered: the owner of its window. Undefined: nobody. */
  readonly sentAgainBy?: string | undefined;
  /** What is to be done then, where nobody does: `send the message again`. */
  readonly toSendAgain?: string;
  /**
   * Default: `hold`, the batch counts as not delivered. Where it is sent again for that, what of it was accepted is
   * not posted again; what is sent again for any other reason is posted whole.
   */
  readonly refused?: 'hold' | 'setAside';
  /** Default: one of 64 posts for this batch; the batches of a window may share one. */
  readonly search?: SearchBudget;
}

/** A part of the batch that the endpoint does not take. */
export interface RefusedReadings extends Batch {
  readonly status: number;
  /** The start of what it answered. */
  readonly answer: string;
}

export interface Delivery {
  /** Accepted. */
  readonly readings: number;
  /** Of the accepted bodies, before compression. */
  readonly bytes: number;
  /** Accepted. */
  readonly posts: number;
  /** In order of time. */
  readonly refused: readonly RefusedReadings[];
}

/** What the batches of one endpoint share. */
export interface PostLine {
  readonly address: string;
  readonly gate: Gate;
  exchange(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<Outcome>;
  readonly largest: LargestBody;
  searches: SearchMemory;
}

/** A piece of the batch; `path` says which halves lead to it, and so its place. */
interface Piece {
  readonly batch: Batch;
  readonly path: string;
}

interface Refusal extends Piece {
  readonly outcome: Outcome;
}

/** @throws the signal's reason; TmError TM_ENDPOINT_UNAVAILABLE, TM_ENDPOINT_HOLD */
export async function deliver(line: PostLine, batch: Batch, options: DeliverOptions): Promise<Delivery> {
  return new Delivering(line, options).run(batch);
}

class Delivering {
  #readings = 0;
  #bytes = 0;
  #posts = 0;
  /** Not posted yet, the next one last. */
  readonly #pending: Piece[] = [];
  /** Refused as a whole: which of their readings are meant is not known yet. */
  readonly #suspects: Refusal[] = [];
  readonly #refused: Refusal[] = [];
  readonly #search: SearchBudget;
  #tooLarge: Outcome | undefined;

  constructor(
    readonly line: PostLine,
    readonly options: DeliverOptions,
  ) {
    this.#search = options.search ?? searchBudget();
  }

  async run(batch: Batch): Promise<Delivery> {
    const { source, sentAgainBy, refused: becomes } = this.options;
    const key = (): string => `${idempotencyKey(source, batch.body)} ${sentAgainBy}`;
    // Should all be forgotten meanwhile, what this delivery finds must not outlive that.
    const searches = sentAgainBy === undefined || becomes === 'setAside' ? undefined : this.line.searches;
    this.#begin(batch, searches?.get(key));
    do {
      for (let next = this.#pending.pop(); next; next = this.#pending.pop()) await this.#settle(next);
    } while (this.#searchOn());
    const refused = this.#refused.sort((a, b) => (a.path < b.path ? -1 : 1));
    const accepted = { readings: this.#readings, bytes: this.#bytes, posts: this.#posts };
    searches?.note(key, { ...accepted, refused: refused.map(({ path }) => path) });
    measureRefused(refused);
    return {
      ...accepted,
      refused: refused.map(({ batch: part, outcome }) => ({
        ...part,
        status: outcome.status ?? 0,
        answer: outcome.answer,
      })),
    };
  }

  /** With all of it, or with what of it was refused before: the rest has been accepted by then. */
  #begin(batch: Batch, known: SearchResult | undefined): void {
    if (!known) {
      this.#pending.push({ batch, path: '' });
      return;
    }
    this.#readings = known.readings;
    this.#bytes = known.bytes;
    this.#posts = known.posts;
    for (const path of known.refused.toReversed()) this.#pending.push({ batch: pieceAt(batch, path), path });
  }

  async #settle(piece: Piece): Promise<void> {
    const { line, options } = this;
    const { body, readings } = piece.batch;
    const knownTooLarge = line.largest.isTooLarge(body.length);
    if (knownTooLarge && this.#tooLarge && this.#isTooLargeInAnyPieces(piece.batch)) {
      this.#refused.push({ ...piece, outcome: this.#tooLarge });
      return;
    }
    if ((knownTooLarge || body.length > (options.largestBodyBytes ?? Infinity)) && this.#divide(piece))
      return;
    const outcome = await this.#post(piece.batch);
    switch (outcome.kind) {
      case 'accepted':
        this.#readings += readings;
        this.#bytes += body.length;
        this.#posts++;
        line.largest.accepted(body.length);
        measureAccepted(readings, body.length);
        return;
      case 'split':
        line.largest.refused(body.length);
        this.#tooLarge = outcome;
        if (this.#divide(piece)) return;
        // One reading that is too large. An endpoint that says so of each would be asked about all of them.
        this.#search.tooLargeLeft--;
        this.#refused.push({ ...piece, outcome });
        return;
      case 'refused':
        this.#suspects.push({ ...piece, outcome });
        return;
      case 'retry':
      case 'hold':
        throw this.#givenUp(piece.batch, outcome);
    }
  }

  /**
   * Divides the largest suspect, for its halves to be posted: so the posts that may be spent leave the least
   * readings undelivered. What cannot be divided, or not any more, is refused.
   */
  #searchOn(): boolean {
    this.#suspects.sort((a, b) => a.batch.body.length - b.batch.body.length);
    for (let largest = this.#suspects.pop(); largest; largest = this.#suspects.pop()) {
      if (this.#search.left >= 2 && this.#divide(largest)) {
        this.#search.left -= 2;
        return true;
      }
      this.#refused.push(largest);
    }
    return false;
  }

  /** Enough readings were too large by themselves, and so would be each of these. */
  #isTooLargeInAnyPieces(batch: Batch): boolean {
    if (this.#search.tooLargeLeft > 0) return false;
    return this.line.largest.isTooLarge(whereDivisible(() => smallestPieceBytes(batch)) ?? 0);
  }

  #divide({ batch, path }: Piece): boolean {
    const halves = halvesOf(batch);
    if (!halves) return false;
    const [first, second] = halves;
    this.#pending.push({ batch: second, path: `${path}1` }, { batch: first, path: `${path}0` });
    return true;
  }

  /** Until the endpoint has decided on it. @returns `retry` or `hold` where it was given up */
  async #post({ body }: Batch): Promise<Outcome> {
    const { line, options } = this;
    const { gate } = line;
    const { attempts, signal } = options;
    const key = idempotencyKey(options.source, body);
    const ticket = new Ticket();
    let last: Outcome | undefined;
    for (;;) {
      const pass = await gate.enter(ticket, attempts, signal);
      if (!pass) return gate.lastFailure ?? last ?? { kind: 'retry', reason: '', answer: '' };
      try {
        last = await line.exchange(body, key, signal);
      } catch (error) {
        gate.abandoned(pass);
        throw error;
      }
      if (last.kind !== 'retry' && last.kind !== 'hold') {
        gate.succeeded(pass);
        return last;
      }
      gate.failed(ticket, pass, last);
      if (ticket.failures >= attempts) return last;
    }
  }

  #givenUp(batch: Batch, outcome: Outcome): TmError {
    const { address } = this.line;
    const { attempts } = this.options;
    const what = `${batch.start_time} to ${batch.end_time}`;
    const attempted = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
    if (outcome.kind === 'hold') return holdError(address, outcome, this.#whatNow(), what);
    return new TmError(
      'TM_ENDPOINT_UNAVAILABLE',
      `The endpoint ${address} was not available for ${what}, in ${attempted}: ${saidBy(outcome)}. ${this.#whatNow()}.`,
      causeOf(outcome),
    );
  }

  #whatNow(): string {
    const { sentAgainBy, toSendAgain = 'send it again' } = this.options;
    return sentAgainBy === undefined
      ? `It is not sent again by itself: ${toSendAgain}`
      : 'It is tried again later; nothing is lost meanwhile';
  }
}

/**
 * @param whatNow what becomes of what was to be posted
 * @param what was to be posted, where one post is meant and not all
 */
export function holdError(address: string, outcome: Outcome, whatNow: string, what = ''): TmError {
  return new TmError(
    'TM_ENDPOINT_HOLD',
    `The endpoint ${address} does not take readings${what === '' ? '' : ` (${what})`}: ${saidBy(outcome)}. ${adviceFor(outcome.status)}. ${whatNow}.`,
    causeOf(outcome),
  );
}

function saidBy({ status, answer }: Outcome): string {
  if (status === undefined) return answer;
  return answer === '' ? `${status}` : `${status}: ${answer}`;
}

function causeOf({ error }: Outcome): { cause?: TmError } {
  return error ? { cause: error } : {};
}

/** What the halves of `path` lead to; where it cannot be divided so far, what was reached. */
function pieceAt(batch: Batch, path: string): Batch {
  let piece = batch;
  for (const half of path) piece = halvesOf(piece)?.[half === '0' ? 0 : 1] ?? piece;
  return piece;
}

/** @returns undefined for what cannot be divided: one reading, or a body of a form of its own */
function halvesOf(batch: Batch): readonly [Batch, Batch] | undefined {
  return whereDivisible(() => halve(batch));
}

/** @returns undefined for a body of a form of its own */
function whereDivisible<Result>(scan: () => Result): Result | undefined {
  try {
    return scan();
  } catch (error) {
    if (error instanceof TmError) return undefined;
    throw error;
  }
}
