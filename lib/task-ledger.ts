/** The tasks of one owner, in memory and in the state store, which other machines may share. */
import { randomUUID } from 'node:crypto';
import { asTmError, type TmError } from './errors';
import type { StateStore } from './state/store';
import { Task, type TaskPlace } from './stored-task';
import { parseTask } from './task-record';
import type { Window } from './window';

export interface LedgerSettings {
  /** Whose tasks these are, where several share a store. */
  readonly owner: string;
  /** Other machines with the same owner may have the same store: all of them see and carry out its tasks. */
  readonly shared: boolean;
  readonly longestSeconds: number;
  /** Finished tasks are kept this long, and this many of them. */
  readonly keepDays: number;
  readonly keepTasks: number;
}

const DAY_MS = 86_400_000;
/** Nothing else is looked for in the store: anybody may ask for a task. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export class TaskLedger {
  readonly #tasks = new Map<string, Task>();
  /** Ids of other owners' tasks. */
  #others = new Set<string>();
  #lastSequence = 0;
  readonly #place: TaskPlace;

  constructor(
    private readonly settings: LedgerSettings,
    private readonly store: StateStore,
    private readonly now: () => number,
  ) {
    this.#place = { store, shared: settings.shared };
  }

  /** In order of submission. */
  get tasks(): Task[] {
    return [...this.#tasks.values()].sort(
      ({ record: a }, { record: b }) =>
        // Two machines may have taken one at the same time.
        a.sequence - b.sequence || a.created - b.created || (a.id < b.id ? -1 : 1),
    );
  }

  get unfinished(): Task[] {
    return this.tasks.filter((task) => !task.finished);
  }

  /**
   * Reads the tasks not read yet, and forgets those that other machines have forgotten.
   * @returns why some cannot be read
   * @throws TmError TM_STATE_UNREADABLE where the store does not even list them
   */
  async load(): Promise<TmError[]> {
    const errors: TmError[] = [];
    const known = [...this.#tasks].filter(([, task]) => task.view !== undefined);
    const ids = new Set(await this.store.list('task'));
    if (this.settings.shared) for (const [id] of known) if (!ids.has(id)) this.#tasks.delete(id);
    this.#others = new Set([...this.#others].filter((id) => ids.has(id)));
    for (const id of ids) {
      try {
        await this.#read(id);
      } catch (thrown) {
        errors.push(asTmError(thrown, 'TM_STATE_UNREADABLE'));
      }
    }
    return errors;
  }

  /** As the store has it, where others share that. @throws TmError TM_STATE_UNREADABLE */
  async find(id: string): Promise<Task | undefined> {
    const task = this.#tasks.get(id);
    if (!this.settings.shared) return task;
    if (task) await this.refresh([task]);
    else if (ID.test(id)) await this.#read(id);
    return this.#tasks.get(id);
  }

  /** Sees what other machines have done with these. @throws TmError TM_STATE_UNREADABLE */
  async refresh(tasks: readonly Task[]): Promise<void> {
    if (!this.settings.shared) return;
    const changing = tasks.filter(({ finished }) => !finished);
    await Promise.all(changing.map((task) => task.refresh()));
    for (const task of changing) if (task.gone) this.forget(task);
  }

  /** Another machine has removed it. */
  forget({ record: { id } }: Task): void {
    this.#tasks.delete(id);
  }

  /** Resolves when the task is durable. @throws TmError TM_STATE_WRITE */
  async add(range: Window): Promise<Task> {
    const id = randomUUID();
    const task = new Task(this.#place, {
      id,
      owner: this.settings.owner,
      sequence: ++this.#lastSequence,
      range,
      longestSeconds: this.settings.longestSeconds,
      created: this.now(),
      state: 'PENDING',
      ...{ delivered: 0, ahead: [], readings: 0, batches: 0, bytes: 0 },
    });
    // Before it is durable, so that it counts against the queue's limit.
    this.#tasks.set(id, task);
    try {
      await task.create();
    } catch (error) {
      this.#tasks.delete(id);
      throw error;
    }
    return task;
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

  async #read(id: string): Promise<void> {
    if (this.#tasks.has(id) || this.#others.has(id)) return;
    const stored = await this.store.read('task', id);
    // Removed, or read by another call, meanwhile.
    if (!stored || this.#tasks.has(id)) return;
    if (stored.owner !== this.settings.owner) {
      this.#others.add(id);
      return;
    }
    const record = parseTask(id, stored);
    this.#tasks.set(id, new Task(this.#place, record, stored));
    this.#lastSequence = Math.max(this.#lastSequence, record.sequence);
  }
}
