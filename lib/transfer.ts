/**
 * One window under way in this process, from the node that emits it to the receipt: which batches of it have
 * left, which have arrived, and when the next may follow. It is the back channel that Node-RED's messages do
 * not have: a reader waits here until the downstream has room, and whoever emitted the window learns its
 * outcome here.
 */
import { randomUUID } from 'node:crypto';
import { TmError } from './errors';
import { count, time } from './metrics';
import { describeWindow, formatWindow, type Window, type WindowText } from './window';

/** What one delivered window came to; the payload of tm-post's first output. */
export interface Receipt extends WindowText {
  readings: number;
  sensors: number;
  batches: number;
  /** Bytes of JSON, before compression. */
  bytes: number;
  duration_ms: number;
}

export type TransferOutcome =
  | {
      readonly state: 'delivered';
      readonly receipt: Receipt;
      /** Another transfer delivered it, perhaps on another machine: measured and logged there. */
      readonly elsewhere?: true;
    }
  | { readonly state: 'failed'; readonly error: TmError };

/** Who emitted the window: a bookmark's name, a task's id, or (built by hand) neither. */
export interface TransferOwner {
  readonly bookmark?: string;
  readonly task?: string;
}

/** What was delivered of one batch. */
export interface Delivered {
  readonly readings: number;
  readonly bytes: number;
}

/**
 * Where a transfer stands still: no node took the window, no node took a batch. Said after the first time,
 * given up (and so emitted again) after the second, so that one lost message does not stop a bookmark for ever.
 */
export const STALL_SAID_AFTER_SECONDS = 15;
const STALL_FAILED_AFTER_SECONDS = 600;

export class Transfer {
  readonly id = randomUUID();
  readonly outcome: Promise<TransferOutcome>;
  /** Called once per standstill with what to check. */
  onStalled: ((message: string) => void) | undefined;
  /** Called when delivery waits for something outside (`endpoint 503`), and with undefined when it goes on. */
  onWaiting: ((reason: string | undefined) => void) | undefined;
  /** Called when its bookmark has it committed, or with why that failed. */
  onCommit: ((failure: TmError | undefined) => void) | undefined;

  readonly #controller = new AbortController();
  readonly #startedAt = performance.now();
  readonly #sequences: Sequence[] = [];
  #resolve: (outcome: TransferOutcome) => void = () => undefined;
  #ended: TransferOutcome | undefined;
  #stallTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly window: Window,
    readonly owner: TransferOwner = {},
  ) {
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.expectProgress('no tm-fetch has taken it; wire its output to a tm-fetch');
  }

  /** Aborted when the transfer failed or was cancelled: whoever works on it stops. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ended(): TransferOutcome | undefined {
    return this.#ended;
  }

  /** Who sends the window again where it fails; undefined: nobody, it was built by hand. */
  get sentAgainBy(): string | undefined {
    return this.owner.task ?? this.owner.bookmark;
  }

  /**
   * A reader takes the window. Several may (one window wired to two tm-fetch nodes): the window is delivered
   * when the sequences of all of them are.
   */
  open(): Sequence {
    const sequence = new Sequence(this);
    this.#sequences.push(sequence);
    this.progressed();
    return sequence;
  }

  /** Whose readings it has held so far. */
  get sensors(): Set<string> {
    return new Set(this.#sequences.flatMap(({ sensors }) => [...sensors]));
  }

  sequence(id: string): Sequence | undefined {
    return this.#sequences.find((sequence) => sequence.id === id);
  }

  fail(error: TmError): void {
    if (this.#ended) return;
    this.#end({ state: 'failed', error });
    this.#controller.abort(error);
  }

  deliveredElsewhere(receipt: Receipt): void {
    if (!this.#ended) this.#end({ state: 'delivered', receipt, elsewhere: true });
  }

  /** For the sequences: one of them is complete. @returns whether all are, and so the window is delivered */
  completed(): boolean {
    if (this.#ended || !this.#sequences.every((sequence) => sequence.complete)) return false;
    const receipt: Receipt = {
      ...formatWindow(this.window),
      readings: 0,
      sensors: this.sensors.size,
      batches: 0,
      bytes: 0,
      duration_ms: Math.round(performance.now() - this.#startedAt),
    };
    for (const sequence of this.#sequences) {
      receipt.readings += sequence.readings;
      receipt.batches += sequence.batches;
      receipt.bytes += sequence.bytes;
    }
    this.#end({ state: 'delivered', receipt });
    return true;
  }

  /** From here on another node has to do something; `missing` says what, if it does not. */
  expectProgress(missing: string): void {
    this.progressed();
    if (this.#ended) return;
    const message = `The window ${describeWindow(this.window)} stands still: ${missing}.`;
    const giveUp = (): void => {
      this.fail(
        new TmError('TM_STALLED', `${message} It is given up after ${STALL_FAILED_AFTER_SECONDS} s.`),
      );
    };
    this.#stallTimer = setTimeout(() => {
      this.onStalled?.(message);
      this.#stallTimer = setTimeout(
        giveUp,
        (STALL_FAILED_AFTER_SECONDS - STALL_SAID_AFTER_SECONDS) * 1000,
      ).unref();
    }, STALL_SAID_AFTER_SECONDS * 1000).unref();
  }

  progressed(): void {
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
  }

  #end(outcome: TransferOutcome): void {
    this.progressed();
    this.#ended = outcome;
    measure(outcome);
    this.#resolve(outcome);
  }
}

function measure(outcome: TransferOutcome): void {
  if (outcome.state === 'delivered' && outcome.elsewhere) return;
  if (outcome.state === 'delivered') time('window', outcome.receipt.duration_ms / 1000);
  const stopped =
    outcome.state === 'failed' &&
    (outcome.error.code === 'TM_CLOSED' || outcome.error.code === 'TM_CANCELLED');
  count('windows', 1, { outcome: stopped ? 'stopped' : outcome.state });
}

/** One batch on its way: how far each node that answers for it has come, and what the least of them delivered. */
interface BatchUnderWay {
  readonly receivers: Map<string, 'arrived' | 'started' | 'settled'>;
  delivered: Delivered | undefined;
}

/**
 * The batches that one reader makes of a transfer's window. `id` is their `msg.parts.id`. A batch may have several
 * receivers (nodes, by their ids): one wire goes to each of two endpoints. It is delivered when all of them say so.
 */
export class Sequence {
  readonly id = randomUUID();
  readonly sensors = new Set<string>();
  readings = 0;
  bytes = 0;

  #sent = 0;
  #count: number | undefined;
  readonly #batches = new Map<number, BatchUnderWay>();
  /** Those that a receiver has not begun to work on, or none has come to. */
  readonly #unstarted = new Set<number>();
  readonly #unsettled = new Set<number>();
  #onRoom: (() => void) | undefined;

  constructor(readonly transfer: Transfer) {
    transfer.signal.addEventListener('abort', () => this.#onRoom?.(), { once: true });
  }

  /** How many were delivered. */
  get batches(): number {
    return this.#sent - this.#unsettled.size;
  }

  get complete(): boolean {
    return this.#count !== undefined && this.#unsettled.size === 0;
  }

  /**
   * A batch is about to be sent; the downstream is expected to take it.
   * @param sensors whose readings it holds; those of earlier batches need not be named again
   * @param count on the last one: how many there are. An empty window has one, without readings
   * @returns its index
   */
  send(sensors: Iterable<string>, count?: number): number {
    for (const sensor of sensors) this.sensors.add(sensor);
    this.#count = count;
    const index = this.#sent++;
    this.#unstarted.add(index);
    this.#unsettled.add(index);
    this.transfer.expectProgress(
      'a batch left tm-fetch but reached neither tm-post nor tm-bookmark (commit); a node between them dropped it or a wire is missing',
    );
    return index;
  }

  /**
   * Resolves when the downstream works on every batch sent so far, the slowest receiver too, so that at most one
   * batch waits anywhere. Resolves too when the transfer ends: look at its signal.
   */
  async room(): Promise<void> {
    while (this.#unstarted.size > 0 && !this.transfer.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
    this.#onRoom = undefined;
  }

  /**
   * A batch has come to a node that answers for it. To be told in the turn in which its message arrives: what one
   * send brings to several nodes counts as delivered only after the last of them (see {@link everyReceiver}).
   */
  arrived(index: number, receiver: string): void {
    this.transfer.progressed();
    const { receivers } = this.#batch(index);
    if (receivers.has(receiver)) return;
    receivers.set(receiver, 'arrived');
    this.#unstarted.add(index);
    this.#unsettled.add(index);
  }

  /** The receiver begins to work on the batch: when all have, the next one may be read. */
  started(index: number, receiver: string): void {
    const { receivers } = this.#batch(index);
    if (receivers.get(receiver) !== 'settled') receivers.set(receiver, 'started');
    if ([...receivers.values()].includes('arrived')) return;
    this.#unstarted.delete(index);
    this.#onRoom?.();
  }

  /**
   * The receiver has delivered the batch. Telling it twice counts once.
   * @returns whether this was the transfer's last: the window is delivered
   */
  settle(index: number, receiver: string, delivered: Delivered): boolean {
    this.started(index, receiver);
    const batch = this.#batch(index);
    if (batch.receivers.get(receiver) === 'settled' || this.transfer.ended) return false;
    batch.receivers.set(receiver, 'settled');
    const before = batch.delivered;
    if (!before || delivered.readings < before.readings) {
      this.readings += delivered.readings - (before?.readings ?? 0);
      this.bytes += delivered.bytes - (before?.bytes ?? 0);
      batch.delivered = delivered;
    }
    this.transfer.progressed();
    for (const state of batch.receivers.values()) if (state !== 'settled') return false;
    this.#unsettled.delete(index);
    return this.complete && this.transfer.completed();
  }

  #batch(index: number): BatchUnderWay {
    const batch = this.#batches.get(index) ?? { receivers: new Map(), delivered: undefined };
    this.#batches.set(index, batch);
    return batch;
  }
}

/** Resolves when each node that one send goes to has its message: Node-RED delivers to all in one turn. */
export function everyReceiver(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** So many delivered windows are remembered after nobody waits for them any more. */
const MOST_DELIVERED = 10_000;

/**
 * The transfers of this process by id; messages carry the id alone, so they survive cloning. A delivered
 * transfer stays known until it is forgotten (committed, answered or given up).
 */
export class Transfers {
  readonly #byId = new Map<string, Transfer>();
  /** Ids; the oldest first. */
  readonly #delivered = new Set<string>();

  get size(): number {
    return this.#byId.size;
  }

  issue(window: Window, owner: TransferOwner = {}): Transfer {
    const transfer = new Transfer(window, owner);
    this.#byId.set(transfer.id, transfer);
    void transfer.outcome.then((outcome) => {
      if (outcome.state === 'delivered') this.#rememberDelivered(transfer.id);
      // A delivered window of a bookmark stays known until its commit has come.
      if (outcome.state === 'failed' || owner.bookmark === undefined) this.forget(transfer);
    });
    return transfer;
  }

  get(id: string | undefined): Transfer | undefined {
    return id === undefined ? undefined : this.#byId.get(id);
  }

  forget(transfer: Transfer): void {
    this.#byId.delete(transfer.id);
  }

  /** Whether the window has been delivered, as far as is remembered: nobody sends it again. */
  wasDelivered(id: string | undefined): boolean {
    return this.get(id)?.ended?.state === 'delivered' || (id !== undefined && this.#delivered.has(id));
  }

  #rememberDelivered(id: string): void {
    this.#delivered.add(id);
    const [oldest] = this.#delivered;
    if (this.#delivered.size > MOST_DELIVERED && oldest !== undefined) this.#delivered.delete(oldest);
  }
}

/** One for the process: the nodes of a flow find each other's transfers whatever config node they share. */
export const transfers = new Transfers();
