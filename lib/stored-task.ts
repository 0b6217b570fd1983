/**
 * One task as it is stored. Each change is made to what is stored at that moment, and what is shown of a task is
 * durable already. Whoever carries it out holds its lease; a machine that no longer does changes nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TmError } from './errors';
import { Claim } from './lease';
import { revisionOf, type JsonObject, type StateStore } from './state/store';
import { formatTask, isFinished, parseTask, windowsTotal, type TaskRecord } from './task-record';

/** A task as it is durable, and what it waits for. */
export interface TaskView extends Readonly<TaskRecord> {
  /** Windows delivered, of all. */
  readonly current: number;
  readonly total: number;
  readonly retry?: Retry;
}

export interface Retry {
  readonly error: TmError;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What has come of an attempt to carry a task out: another holds its lease; it has finished, or is gone. */
export type Beginning = 'mine' | 'held' | 'over';

/** Where a task is stored, and whether other machines have the same place. */
export interface TaskPlace {
  readonly store: StateStore;
  readonly shared: boolean;
}

export class Task {
  /** What of it is tried again, for a window or the store failed. */
  readonly retries = new Set<Retry>();
  /** Which other process carries it out, as far as is known here. */
  heldBy: string | undefined;
  /** Another process has taken it over from this one. */
  lost = false;
  readonly #place: TaskPlace;
  #claim = new Claim();
  #record: TaskRecord;
  #revision: number;
  #state: 'new' | 'stored' | 'gone';

  /** @param stored undefined: it is made by the first change */
  constructor(place: TaskPlace, record: TaskRecord, stored?: JsonObject) {
    this.#place = place;
    this.#record = record;
    this.#revision = revisionOf(stored);
    this.#state = stored ? 'stored' : 'new';
  }

  /** As last read or written by this process. */
  get record(): Readonly<TaskRecord> {
    return this.#record;
  }

  get finished(): boolean {
    return isFinished(this.#record.state);
  }

  /** Another machine has forgotten it. */
  get gone(): boolean {
    return this.#state === 'gone';
  }

  /** As it is durable; undefined until it is for the first time. */
  get view(): TaskView | undefined {
    if (this.#state === 'new') return undefined;
    const record = this.#record;
    const retry = this.finished ? undefined : [...this.retries].at(-1);
    return {
      ...record,
      state: retry ? 'RETRY' : record.state,
      current: record.delivered + record.ahead.length,
      total: windowsTotal(record),
      ...(retry && { retry }),
    };
  }

  /** Resolves when it is durable. @throws TmError TM_STATE_WRITE */
  async create(): Promise<void> {
    await this.#change(() => undefined);
  }

  /**
   * Takes its lease, where that can be had.
   * @throws TmError TM_STATE_WRITE, TM_STATE_UNREADABLE; as everything that changes a task does
   */
  async begin(now: number): Promise<Beginning> {
    const beginning = await this.#change((record): Beginning => {
      if (isFinished(record.state)) return 'over';
      record.lease = this.#claim.take(this.#place.shared ? record.lease : freed(record.lease));
      if (this.#claim.standing(record.lease).state !== 'mine') return 'held';
      record.state = 'STARTED';
      record.started ??= now;
      return 'mine';
    });
    this.#claim.stored(this.#record.lease);
    const standing = this.#claim.standing(this.#record.lease);
    this.heldBy = beginning === 'held' && standing.state !== 'mine' ? standing.by : undefined;
    return beginning ?? 'over';
  }

  /**
   * Changes it for as long as this process carries it out.
   * @returns whether it does; otherwise nothing has changed
   */
  async advance(change: (record: TaskRecord) => void): Promise<boolean> {
    const advanced = await this.#change((record) => {
      if (!this.#isMine(record)) return false;
      record.lease = this.#claim.take(record.lease);
      change(record);
      if (isFinished(record.state)) delete record.lease;
      return true;
    });
    if (advanced !== true) this.lost = true;
    if (advanced !== true || this.finished) this.#endClaim();
    return advanced ?? false;
  }

  /**
   * Sees what other machines have done with it, and answers the one that waits for its lease.
   * @returns whether this process still carries it out
   */
  async look(): Promise<boolean> {
    await this.refresh();
    const isChallenged = this.#claim.isChallenged(this.#record.lease);
    if (this.#isMine(this.#record) && !isChallenged) return true;
    return this.advance(() => undefined);
  }

  /** Sees what other machines have done with it. @throws TmError TM_STATE_UNREADABLE */
  async refresh(): Promise<void> {
    const stored = await this.#place.store.read('task', this.#record.id);
    if (!stored) {
      if (this.#place.shared && this.#state === 'stored') this.#state = 'gone';
      return;
    }
    // What this process has written meanwhile is newer.
    if (revisionOf(stored) < this.#revision) return;
    this.#record = parseTask(this.#record.id, stored);
    this.#revision = revisionOf(stored);
  }

  /** Cancels it, whoever carries it out. @returns whether it had not finished before */
  async revoke(now: number): Promise<boolean> {
    const revoked = await this.#change((record) => {
      if (isFinished(record.state)) return false;
      record.state = 'REVOKED';
      record.finished = now;
      delete record.lease;
      return true;
    });
    this.#endClaim();
    return revoked ?? false;
  }

  /** Gives its lease back. Where that fails, another takes it over. */
  async release(): Promise<void> {
    const claim = this.#claim;
    // Before it is given back, should that take long: whoever comes after in this process need not wait.
    this.#endClaim();
    if (claim.standing(this.#record.lease).state !== 'mine') return;
    await this.#change((record) => {
      record.lease = claim.release(record.lease);
    }).catch(() => undefined);
  }

  #isMine(record: TaskRecord): boolean {
    return !isFinished(record.state) && this.#claim.standing(record.lease).state === 'mine';
  }

  #endClaim(): void {
    this.#claim.end();
    this.#claim = new Claim();
  }

  /** @returns what `change` returned; undefined where there is no such task any more */
  async #change<Result>(change: (record: TaskRecord) => Result): Promise<Result | undefined> {
    const { id } = this.#record;
    const outcome: { record?: TaskRecord; revision: number; result?: Result } = { revision: 0 };
    await this.#place.store.update('task', id, (stored) => {
      delete outcome.record;
      // Of one machine alone, nobody else forgets it: its file was taken away, and is written again.
      if (!stored && this.#state !== 'new' && this.#place.shared) return undefined;
      const before = stored ? parseTask(id, stored) : this.#record;
      const record = structuredClone(before);
      outcome.result = change(record);
      outcome.record = record;
      const isNew = !stored || !isDeepStrictEqual(record, before);
      outcome.revision = revisionOf(stored) + (isNew ? 1 : 0);
      return isNew ? formatTask(record) : undefined;
    });
    if (!outcome.record) {
      this.#state = 'gone';
      return undefined;
    }
    this.#record = outcome.record;
    this.#revision = outcome.revision;
    this.#state = 'stored';
    return outcome.result;
  }
}

/** Held by nobody; its fence goes on growing. State in files is of one process: the one that started last. */
function freed(lease: TaskRecord['lease']): TaskRecord['lease'] {
  return lease && { fence: lease.fence, holder: undefined, challenge: undefined };
}
