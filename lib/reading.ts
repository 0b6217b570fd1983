/**
 * A window read as batches, held back while the downstream is busy. When it stays busy, the query is given up
 * and taken up again where it stood: a slow cloud must not hold a connection and a snapshot open for hours,
 * nor run into the statement timeout. What runs into it all the same is read in parts. The batches do not show
 * it: the same rows give the same batches, in however many queries they were read.
 */
import { isDeepStrictEqual } from 'node:util';
import { BatchBuilder, ReadingCounts, type Batch, type BatchSettings } from './batch';
import { TmError } from './errors';
import { PartLength } from './part-length';
import type { ReadingPlan } from './source/plan';
import type { ReadingsQuery, Source } from './source/source';
import { describeWindow, type EpochSeconds, type Window } from './window';

/** Where batches go. */
export interface BatchConsumer {
  /** Resolves when there is room for one more batch, or when `signal` is aborted. */
  room(): Promise<void>;
  /** `count`: on the last batch, how many there were in all. */
  send(batch: Batch, count: number | undefined): void;
  /** A query took longer than the statement timeout; a shorter part of the window is tried. */
  onTimeout?(): void;
  /** Queries took longer than the statement timeout; of this length they do not. Told once for each change. */
  onNarrowed?(seconds: number): void;
}

export interface ReadSummary {
  readonly batches: number;
  readonly counts: ReadingCounts;
}

/** How long the downstream may be busy before the query is given up for the time being. */
const PARK_AFTER_MS = 10_000;

/** Not a failure: leaves the source's read loop. */
class Parked extends Error {
  constructor() {
    super('The read is parked.');
    this.name = 'Parked';
  }
}

/** @throws whatever the source throws; the signal's reason */
export async function readBatches(
  source: Source,
  query: ReadingsQuery,
  settings: BatchSettings,
  consumer: BatchConsumer,
  signal: AbortSignal,
): Promise<ReadSummary> {
  return new WindowReading(source, query, settings, consumer, signal).run();
}

/** Of a query. */
interface Elapsed {
  readonly waitedMs: number;
  /** Less what it waited for the downstream. */
  readonly ownMs: number;
}

class WindowReading {
  readonly #counts = new ReadingCounts();
  readonly #handOver: HandOver;
  readonly #length: PartLength;
  #plan: ReadingPlan | undefined;
  /** Goes on over the parts of the window. */
  #builder: BatchBuilder | undefined;
  /** Where the read can be taken up again: the part, and the timestamp in it that the next batch begins with. */
  #resume: { readonly at: EpochSeconds; readonly from: string | undefined };
  /** The timestamp that the builder had come to at the end of a part, and that part. */
  #newest: { readonly native: string; readonly at: EpochSeconds } | undefined;

  constructor(
    readonly source: Source,
    readonly query: ReadingsQuery,
    readonly settings: BatchSettings,
    readonly consumer: BatchConsumer,
    readonly signal: AbortSignal,
  ) {
    this.#handOver = new HandOver(consumer, signal);
    this.#length = new PartLength(source, query);
    this.#resume = { at: settings.window.start, from: undefined };
  }

  async run(): Promise<ReadSummary> {
    const { window } = this.settings;
    let at = window.start;
    while (at < window.end) {
      const part = this.#length.partFrom(at, window);
      at = (await this.#read(part)) ? part.end : this.#resume.at;
    }
    await this.#pass(this.#builder?.end() ?? []);
    return { batches: await this.#handOver.end(), counts: this.#counts };
  }

  /** @returns whether it came to the part's end; otherwise it is to be taken up again where that can be done */
  async #read(part: Window): Promise<boolean> {
    const { from } = this.#resume;
    const waitedBefore = this.#handOver.waitedMs;
    let startedAt: number | undefined;
    const elapsed = (): Elapsed => {
      const waitedMs = this.#handOver.waitedMs - waitedBefore;
      return { waitedMs, ownMs: performance.now() - (startedAt ?? 0) - waitedMs };
    };
    try {
      await this.source.read(this.query, part, {
        from,
        signal: this.signal,
        sink: (plan) => {
          startedAt = performance.now();
          return this.#builderFor(plan, part, from);
        },
        drain: () => this.#drain(part),
      });
      this.#fitted(part, elapsed());
      return true;
    } catch (error) {
      this.signal.throwIfAborted();
      if (!(error instanceof Parked)) {
        // What is slow before rows are asked for has nothing to do with how many there are.
        if (!timedOut(error) || startedAt === undefined) throw error;
        const progress = this.#resume.from !== from;
        if (!this.#narrow(part, elapsed(), progress)) throw error;
      }
      // What is in no batch yet is read again.
      this.#builder = undefined;
      await this.#handOver.unpark();
      return false;
    }
  }

  #fitted(part: Window, { ownMs }: Elapsed): void {
    const narrowed = this.#length.fitted(part, ownMs);
    if (narrowed !== undefined) this.consumer.onNarrowed?.(narrowed);
    const newest = this.#builder?.newest;
    if (newest !== undefined && newest !== this.#newest?.native) {
      this.#newest = { native: newest, at: part.start };
    }
  }

  /** @returns whether there is a point in going on */
  #narrow(part: Window, { ownMs, waitedMs }: Elapsed, progress: boolean): boolean {
    // A query that mostly waited for the downstream is not too long for the database.
    if (progress && waitedMs > ownMs) return true;
    if (this.#length.narrow(part, ownMs)) {
      this.consumer.onTimeout?.();
      return true;
    }
    if (!progress) this.#length.forget();
    return progress;
  }

  #builderFor(plan: ReadingPlan, part: Window, from: string | undefined): BatchBuilder {
    if (this.#isAtStart(part) && !isDeepStrictEqual(plan, this.#plan)) {
      this.#plan = plan;
      this.#builder = undefined;
    }
    if (!isDeepStrictEqual(plan, this.#plan)) {
      throw new TmError(
        'TM_QUERY_FAILED',
        `The table was altered while the window ${describeWindow(this.settings.window)} was read. It is read again from its start.`,
      );
    }
    this.#builder ??= new BatchBuilder(this.settings, plan, from);
    return this.#builder;
  }

  /** All of the window is still to be read. */
  #isAtStart(part: Window): boolean {
    const { start } = this.settings.window;
    return part.start === start && this.#resume.from === undefined && this.#builder?.newest === undefined;
  }

  #drain(part: Window): Promise<void> | undefined {
    const batches = this.#builder?.take() ?? [];
    // They come up to one that a read can be taken up behind.
    const from = batches.at(-1)?.resumeAt;
    if (from === undefined) return batches.length === 0 ? undefined : this.#pass(batches);
    // The timestamp that was still open when its part ended is closed by the first row of a later one.
    this.#resume = { at: from === this.#newest?.native ? this.#newest.at : part.start, from };
    this.#length.progressed();
    return this.#pass(batches).then(() => {
      if (this.#handOver.parked) throw new Parked();
    });
  }

  async #pass(batches: readonly Batch[]): Promise<void> {
    for (const batch of batches) {
      this.#counts.add(batch.counts);
      await this.#handOver.add(batch);
    }
  }
}

/** Holds one batch back, so that the last one can be told apart. */
class HandOver {
  parked = false;
  /** How long it has waited for room, in all. */
  waitedMs = 0;
  #held: Batch[] = [];
  #sent = 0;

  constructor(
    readonly consumer: BatchConsumer,
    readonly signal: AbortSignal,
  ) {}

  /** Takes a batch and waits for room for the one before it; sets `parked` where that takes too long. */
  async add(batch: Batch): Promise<void> {
    this.#held.push(batch);
    if (this.#held.length < 2 || this.parked) return;
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<'parked'>((resolve) => {
      timer = setTimeout(resolve, PARK_AFTER_MS, 'parked');
    });
    const waitingSince = performance.now();
    const first = await Promise.race([this.consumer.room(), tooLong]);
    this.waitedMs += performance.now() - waitingSince;
    clearTimeout(timer);
    this.signal.throwIfAborted();
    if (first === 'parked') this.parked = true;
    else this.#sendFirst(undefined);
  }

  /** Waits until everything but the batch that is always held has gone on. */
  async unpark(): Promise<void> {
    while (this.#held.length > 1) await this.#sendWithRoom(undefined);
    this.parked = false;
  }

  /** @returns how many batches there were */
  async end(): Promise<number> {
    await this.unpark();
    if (this.#held.length > 0) await this.#sendWithRoom(this.#sent + 1);
    return this.#sent;
  }

  async #sendWithRoom(count: number | undefined): Promise<void> {
    await this.consumer.room();
    this.signal.throwIfAborted();
    this.#sendFirst(count);
  }

  #sendFirst(count: number | undefined): void {
    const batch = this.#held.shift();
    if (!batch) return;
    this.#sent++;
    this.consumer.send(batch, count);
  }
}

function timedOut(error: unknown): error is TmError {
  return error instanceof TmError && error.code === 'TM_QUERY_TIMEOUT';
}
