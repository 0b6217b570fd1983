/**
 * A window read as batches, held back while the downstream is busy. When it stays busy, the query is given up
 * and taken up again where it stood: a slow cloud must not hold a connection and a snapshot open for hours,
 * nor run into the statement timeout.
 */
import { BatchBuilder, ReadingCounts, type Batch, type BatchSettings } from './batch';
import { TmError } from './errors';
import type { ReadingsQuery, Source } from './source/source';

/** Where batches go. */
export interface BatchConsumer {
  /** Resolves when there is room for one more batch, or when `signal` is aborted. */
  room(): Promise<void>;
  /** `count`: on the last batch, how many there were in all. */
  send(batch: Batch, count: number | undefined): void;
}

export interface ReadSummary {
  readonly batches: number;
  readonly counts: ReadingCounts;
}

/** How long the downstream may be busy before the query is given up for the time being. */
const PARK_AFTER_MS = 10_000;

/** Not a failure: leaves the source's read loop. */
class Parked extends Error {
  constructor(readonly resumeAt: string) {
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
  const counts = new ReadingCounts();
  const handOver = new HandOver(consumer, signal);
  let from: string | undefined;
  for (;;) {
    const builders: BatchBuilder[] = [];
    let built: string | undefined;
    const pass = async (batches: readonly Batch[]): Promise<void> => {
      // Batches come up to one that a read can be taken up behind, but for a window's last.
      built = batches.at(-1)?.resumeAt;
      for (const batch of batches) {
        counts.add(batch.counts);
        await handOver.add(batch);
      }
      if (built !== undefined && handOver.parked) throw new Parked(built);
    };
    try {
      await source.read(query, settings.window, {
        from,
        signal,
        sink: (columns) => {
          const builder = new BatchBuilder(settings, columns, from);
          builders.push(builder);
          return builder;
        },
        drain: () => {
          const batches = builders[0]?.take() ?? [];
          return batches.length === 0 ? undefined : pass(batches);
        },
      });
      await pass(builders[0]?.end() ?? []);
      return { batches: await handOver.end(), counts };
    } catch (error) {
      signal.throwIfAborted();
      const resumeAt = error instanceof Parked ? error.resumeAt : timedOut(error) ? built : undefined;
      if (resumeAt === undefined) throw error;
      from = resumeAt;
      await handOver.unpark();
    }
  }
}

/** Holds one batch back, so that the last one can be told apart. */
class HandOver {
  parked = false;
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
    const first = await Promise.race([this.consumer.room(), tooLong]);
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

function timedOut(error: unknown): boolean {
  return error instanceof TmError && error.code === 'TM_QUERY_TIMEOUT';
}
