/** The tasks of one owner, in memory and in the state store: what is shown of a task is durable already. */
import { randomUUID } from 'node:crypto';
import { asTmError, type TmError } from './errors';
import type { StateStore } from './state/store';
import { formatTask, isFinished, parseTask, windowsTotal, type TaskRecord } from './task-record';
import type { Window } from './window';

export interface LedgerSettings {
  /** Whose tasks these are, where several share a store. */
  readonly owner: string;
  readonly longestSeconds: number;
  /** Finished tasks are kept this long, and this many of them. */
  readonly keepDays: number;
  readonly keepTasks: number;
}

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

const DAY_MS = 86_400_000;

export class Task {
  /** What of it is tried again, for a window or the store failed. */
  readonly retries = new Set<Retry>();
  #shown: TaskRecord | undefined;

  /** @param record as it is in this process, ahead of what is durable */
  constructor(
    readonly record: TaskRecord,
    durable: boolean,
  ) {
    if (durable) this.#shown = structuredClone(record);
  }

  get finished(): boolean {
    return isFinished(this.record.state);
  }

  /** As it is durable; undefined until it is for the first time. */
  get view(): TaskView | undefined {
    const shown = this.#shown;
    if (!shown) return undefined;
    const retry = isFinished(shown.state) ? undefined : [...this.retries].at(-1);
    return {
      ...shown,
      state: retry ? 'RETRY' : shown.state,
      current: shown.delivered + shown.ahead.length,
      total: windowsTotal(shown),
      ...(retry && { retry }),
    };
  }

  async write(store: StateStore): Promise<void> {
    const written = structuredClone(this.record);
    await store.write('task', written.id, formatTask(written));
    this.#shown = written;
  }
}

export class TaskLedger {
  readonly #tasks = new Map<string, Task>();
  /** Ids of the store that have been read, other owners' too. */
  readonly #read = new Set<string>();
  #lastSequence = 0;

  constructor(
    private readonly settings: LedgerSettings,
    private readonly store: StateStore,
    private readonly now: () => number,
  ) {}

  /** In order of submission. */
  get tasks(): Task[] {
    return [...this.#tasks.values()].sort((a, b) => a.record.sequence - b.record.sequence);
  }

  get(id: string): Task | undefined {
    return this.#tasks.get(id);
  }

  /**
   * Reads the tasks not read yet.
   * @returns why some cannot be read
   * @throws TmError TM_STATE_UNREADABLE where the store does not even list them
   */
  async load(): Promise<TmError[]> {
    const errors: TmError[] = [];
    for (const id of await this.store.list('task')) {
      if (this.#read.has(id)) continue;
      try {
        const stored = await this.store.read('task', id);
        this.#read.add(id);
        if (stored?.owner !== this.settings.owner) continue;
        const record = parseTask(id, stored);
        this.#tasks.set(id, new Task(record, true));
        this.#lastSequence = Math.max(this.#lastSequence, record.sequence);
      } catch (thrown) {
        errors.push(asTmError(thrown, 'TM_STATE_UNREADABLE'));
      }
    }
    return errors;
  }

  /** Resolves when the task is durable. @throws TmError TM_STATE_WRITE */
  async add(range: Window): Promise<Task> {
    const id = randomUUID();
    const task = new Task(
      {
        id,
        owner: this.settings.owner,
        sequence: ++this.#lastSequence,
        range,
        longestSeconds: this.settings.longestSeconds,
        created: this.now(),
        state: 'PENDING',
        ...{ delivered: 0, ahead: [], readings: 0, batches: 0, bytes: 0 },
      },
      false,
    );
    // Before it is durable, so that it counts against the queue's limit.
    this.#tasks.set(id, task);
    this.#read.add(id);
    try {
      await task.write(this.store);
    } catch (error) {
      this.#tasks.delete(id);
      throw error;
    }
    return task;
  }

  write(task: Task): Promise<void> {
    return task.write(this.store);
  }

  /** Forgets the finished tasks that are too old or too many. */
  async prune(): Promise<void> {
    const { keepDays, keepTasks } = this.settings;
    const oldest = this.now() - keepDays * DAY_MS;
    const finished = this.tasks.flatMap(({ view }) =>
      view?.finished === undefined ? [] : { id: view.id, at: view.finished },
    );
    finished.sort((a, b) => b.at - a.at);
    const forgotten = finished.filter(({ at }, index) => index >= keepTasks || at <= oldest);
    for (const { id } of forgotten) this.#tasks.delete(id);
    // One that cannot be removed now is read, and pruned, after the next start.
    await Promise.allSettled(forgotten.map(({ id }) => this.store.remove('task', id)));
  }
}
