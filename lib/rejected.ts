/**
 * The record of rejected ranges: what the endpoint refused for good, of which window, and in which words. It is
 * durable before a window that sets readings aside counts as delivered, so no reading goes missing without a
 * trace; and a range leaves it when it has been delivered after all.
 */
import { createHash } from 'node:crypto';
import { scanBody } from './endpoint/body';
import type { RefusedReadings } from './endpoint/delivery';
import { reasonOf, TmError } from './errors';
import type { JsonObject, StateStore } from './state/store';
import type { TransferOwner } from './transfer';
import { parseInstant, type WindowText } from './window';

/** What becomes of the refused readings; `held`: their window is sent until they are taken. */
export type RejectedState = 'held' | 'set aside';

export interface RejectedPiece extends WindowText {
  readonly readings: number;
  readonly sensors: readonly string[];
  readonly status: number;
  readonly answer: string;
}

/** What was posted: a window, whose it is, and which sensors it held. */
export interface PostedRange extends WindowText {
  readonly owner: TransferOwner;
  readonly sensors: Iterable<string>;
}

interface RejectedRange extends WindowText {
  readonly state: RejectedState;
  readonly source: string;
  /** `bookmark "plant"`, `task …`, or empty for what was sent by hand. */
  readonly owner: string;
  /** ISO 8601, UTC: when it was first refused, and last. */
  readonly first: string;
  readonly last: string;
  readonly refused: readonly RejectedPiece[];
}

/** Of so many windows. Where everything is refused for months, the oldest go, with a word. */
const MOST_RANGES = 1_000;

export interface RejectedSurroundings {
  readonly store: StateStore;
  /** Tells this source of readings from others that share the store. */
  readonly source: string;
  /** Of times without an offset. */
  readonly timeZone: string;
  warn(message: string): void;
}

export class RejectedRanges {
  readonly #surroundings: RejectedSurroundings;
  #ranges: Promise<Map<string, RejectedRange>> | undefined;
  /** The pieces that this process has told of, by the record's name: news is what is not among them. */
  readonly #told = new Map<string, Set<string>>();

  constructor(surroundings: RejectedSurroundings) {
    this.#surroundings = surroundings;
  }

  /**
   * Resolves when it is durable.
   * @param refused all of the window so far
   * @returns whether it is news, and not the same again of a window that is held
   * @throws TmError TM_STATE_WRITE, TM_STATE_UNREADABLE
   */
  async note(posted: PostedRange, refused: readonly RejectedPiece[], state: RejectedState): Promise<boolean> {
    const ranges = await this.#load();
    const name = this.#nameOf(posted);
    const now = new Date().toISOString();
    const range: RejectedRange = {
      ...{ start_time: posted.start_time, end_time: posted.end_time, state },
      ...{ source: this.#surroundings.source, owner: ownerText(posted.owner) },
      ...{ first: ranges.get(name)?.first ?? now, last: now },
      refused,
    };
    ranges.set(name, range);
    await this.#write(name, range);
    await this.#dropOldest(ranges);
    const told = this.#told.get(name) ?? new Set<string>();
    this.#told.set(name, told);
    const news = refused.map((piece) => JSON.stringify([state, piece])).filter((piece) => !told.has(piece));
    for (const piece of news) told.add(piece);
    return news.length > 0;
  }

  /**
   * All that was posted has been accepted: what of it had been rejected is so no longer. That is the same window
   * of the same owner, and any range inside with sensors that were among those posted (sent again by hand).
   * Best effort: a range that stays on record is sent again once too often, never lost.
   */
  async delivered(posted: PostedRange): Promise<void> {
    const ranges = await this.#load();
    if (ranges.size === 0) return;
    const own = this.#nameOf(posted);
    const sensors = new Set(posted.sensors);
    for (const [name, range] of ranges) {
      const left =
        name === own ? [] : range.refused.filter((piece) => !this.#isWithin(piece, posted, sensors));
      if (left.length === range.refused.length && left.length > 0) continue;
      if (left.length > 0) {
        ranges.set(name, { ...range, refused: left });
        await this.#write(name, { ...range, refused: left });
      } else {
        await this.#surroundings.store.remove('rejected', name);
        ranges.delete(name);
        this.#told.delete(name);
      }
    }
  }

  #isWithin(piece: RejectedPiece, posted: WindowText, sensors: ReadonlySet<string>): boolean {
    if (piece.sensors.length === 0 || !piece.sensors.every((sensor) => sensors.has(sensor))) return false;
    const at = (text: string): number => parseInstant(text, 'time', this.#surroundings.timeZone);
    try {
      return at(piece.start_time) >= at(posted.start_time) && at(piece.end_time) <= at(posted.end_time);
    } catch {
      // Edges of a user's own making that are no times: known again by the same text alone.
      return false;
    }
  }

  /** Read once, and again where that failed. */
  #load(): Promise<Map<string, RejectedRange>> {
    this.#ranges ??= this.#read().catch((error: unknown) => {
      this.#ranges = undefined;
      throw error;
    });
    return this.#ranges;
  }

  async #read(): Promise<Map<string, RejectedRange>> {
    const { store, source } = this.#surroundings;
    const ranges = new Map<string, RejectedRange>();
    for (const name of (await store.list('rejected')).sort()) {
      const range = rangeOf(await this.#readOne(name));
      if (range?.source === source) ranges.set(name, range);
    }
    return ranges;
  }

  /** One that is damaged holds nothing up: it says only what was refused once. */
  async #readOne(name: string): Promise<JsonObject | undefined> {
    try {
      return await this.#surroundings.store.read('rejected', name);
    } catch (error) {
      this.#surroundings.warn(`A range on record as rejected cannot be read: ${reasonOf(error)}`);
      return undefined;
    }
  }

  #write(name: string, range: RejectedRange): Promise<void> {
    return this.#surroundings.store.write('rejected', name, { ...range } as unknown as JsonObject);
  }

  async #dropOldest(ranges: Map<string, RejectedRange>): Promise<void> {
    const [oldest] = ranges;
    if (ranges.size <= MOST_RANGES || !oldest) return;
    const [name, { start_time, end_time }] = oldest;
    ranges.delete(name);
    this.#told.delete(name);
    this.#surroundings.warn(
      `More than ${MOST_RANGES} windows with refused readings are on record; the oldest, ${start_time} to ${end_time}, is dropped from it.`,
    );
    await this.#surroundings.store.remove('rejected', name);
  }

  /** Legible, and in order of time; a hash tells apart what shares the window. */
  #nameOf({ start_time, end_time, owner }: PostedRange): string {
    const legible = (text: string): string =>
      text
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .slice(0, 40);
    const whose = JSON.stringify([this.#surroundings.source, ownerText(owner), start_time, end_time]);
    const hash = createHash('sha256').update(whose).digest('hex').slice(0, 12);
    return `${legible(start_time)}_${legible(end_time)}_${hash}`;
  }
}

function ownerText({ bookmark, task }: TransferOwner): string {
  if (bookmark !== undefined) return `bookmark ${JSON.stringify(bookmark)}`;
  return task === undefined ? '' : `task ${task}`;
}

export function rejectedPiece({
  start_time,
  end_time,
  body,
  readings,
  status,
  answer,
}: RefusedReadings): RejectedPiece {
  return { start_time, end_time, readings, sensors: sensorsOf(body), status, answer };
}

function sensorsOf(body: Buffer): string[] {
  try {
    return scanBody(body).sensors.map((json) => JSON.parse(json) as string);
  } catch (error) {
    // A body of a form of its own.
    if (error instanceof TmError) return [];
    throw error;
  }
}

/** As this file writes it; whatever else lies there is left alone. */
function rangeOf(record: JsonObject | undefined): RejectedRange | undefined {
  const { refused } = record ?? {};
  if (!Array.isArray(refused) || !refused.every((piece: JsonObject) => Array.isArray(piece.sensors)))
    return undefined;
  return record as unknown as RejectedRange;
}
