/**
 * Request mode: ranges that were asked for, delivered one after another in the order they came. What is told
 * of a task is on the disk already; after a restart it goes on at the first window not yet delivered.
 */
import { setTimeout } from 'node:timers/promises';
import { asTmError, SHORT_REASONS, TmError } from './errors';
import { count } from './metrics';
import type { StateStore } from './state/store';
import { TaskLedger, type LedgerSettings, type Retry, type Task, type TaskView } from './task-ledger';
import { TaskLoading } from './task-loading';
import type { TaskState } from './task-record';
import { deliverTask, retryPauseSeconds, type WindowUnderWay } from './task-run';
import type { Window } from './window';

export interface TasksSettings extends LedgerSettings {
  /** How many windows of a task may be under way at a time. */
  readonly inFlight: number;
  /** How many tasks may wait or run. */
  readonly queueLimit: number;
}

export interface TasksSurroundings {
  readonly store: StateStore;
  /** Sends a window on to be read and posted. */
  emit(window: Window, taskId: string): WindowUnderWay;
  /** A range has been asked for, and none of its windows emitted yet. */
  onSubmitted?(): void;
  onState(state: QueueState): void;
  /** What no caller is told: a task that failed, a store that does not answer. */
  onProblem(error: TmError): void;
  /** Milliseconds since 1970. */
  now?(): number;
  /** Waits; rejects when the signal is aborted. */
  pause?(milliseconds: number, signal: AbortSignal): Promise<unknown>;
}

/** Where the queue stands, as a status shows it. */
export type QueueState =
  | { readonly state: 'idle' }
  | { readonly state: 'working'; readonly current: number; readonly total: number; readonly waiting: number }
  | { readonly state: 'retrying'; readonly reason: string }
  | { readonly state: 'failed'; readonly reason: string };

interface Running {
  readonly task: Task;
  readonly controller: AbortController;
  readonly over: Promise<void>;
}

export class Tasks {
  readonly #settings: TasksSettings;
  readonly #surroundings: TasksSurroundings;
  readonly #ledger: TaskLedger;
  readonly #loading: TaskLoading;
  readonly #closing = new AbortController();
  readonly #cancelling = new Set<Task>();
  #running: Running | undefined;
  /** Of the last task that ran. */
  #failure: TmError | undefined;

  constructor(settings: TasksSettings, surroundings: TasksSurroundings) {
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#ledger = new TaskLedger(settings, surroundings.store, () => this.#now());
    this.#loading = new TaskLoading(this.#ledger, {
      onLoaded: () => {
        this.#goOn();
      },
      onProblem: (error) => {
        surroundings.onProblem(error);
      },
      pause: (failures, signal) => this.#pause(retryPauseSeconds(failures), signal),
    });
  }

  /**
   * Reads the tasks from the store and goes on with those that were interrupted; tries again for as long as
   * the store does not answer. Called once; whatever is asked before waits for it.
   */
  start(): void {
    void this.#loading.start(this.#closing.signal);
  }

  get state(): QueueState {
    const view = this.#running?.task.view;
    if (!view) {
      return this.#failure
        ? { state: 'failed', reason: SHORT_REASONS[this.#failure.code] }
        : { state: 'idle' };
    }
    if (view.retry) return { state: 'retrying', reason: SHORT_REASONS[view.retry.error.code] };
    const { current, total } = view;
    const unfinished = this.#ledger.tasks.filter((task) => task.view && !task.finished).length;
    return { state: 'working', current, total, waiting: Math.max(0, unfinished - 1) };
  }

  /** How many tasks of each state there are, of those that have been read from the store. */
  get counts(): ReadonlyMap<TaskState, number> {
    const counts = new Map<TaskState, number>();
    for (const { view } of this.#ledger.tasks) {
      if (view) counts.set(view.state, (counts.get(view.state) ?? 0) + 1);
    }
    return counts;
  }

  /**
   * Resolves when the task is durable.
   * @throws TmError TM_QUEUE_FULL, TM_STATE_WRITE, TM_STATE_UNREADABLE
   */
  async submit(range: Window): Promise<TaskView> {
    await this.#loading.done();
    const unfinished = this.#ledger.tasks.filter((task) => !task.finished).length;
    const { queueLimit } = this.#settings;
    if (unfinished >= queueLimit) {
      throw new TmError(
        'TM_QUEUE_FULL',
        `${unfinished} tasks are waiting or running, and no more than ${queueLimit} may. Ask again later.`,
      );
    }
    const task = await this.#ledger.add(range);
    const submitted = viewOf(task);
    this.#surroundings.onSubmitted?.();
    this.#goOn();
    return submitted;
  }

  /** Newest first. @throws TmError TM_STATE_UNREADABLE */
  async list(): Promise<TaskView[]> {
    await this.#loading.done();
    return this.#ledger.tasks.reverse().flatMap((task) => task.view ?? []);
  }

  /** @throws TmError TM_STATE_UNREADABLE */
  async get(id: string): Promise<TaskView | undefined> {
    await this.#loading.done();
    return this.#ledger.get(id)?.view;
  }

  /**
   * Resolves when the cancellation is durable and nothing of the task is under way. A task that has finished
   * stays as it is. Undefined: there is no such task.
   * @throws TmError TM_STATE_WRITE: the task goes on then
   */
  async cancel(id: string): Promise<TaskView | undefined> {
    await this.#loading.done();
    const task = this.#ledger.get(id);
    if (!task?.view) return undefined;
    this.#cancelling.add(task);
    try {
      if (this.#running?.task === task) {
        this.#running.controller.abort(new TmError('TM_CANCELLED', `The task ${id} was cancelled.`));
        await this.#running.over;
      }
      if (viewOf(task).finished === undefined) await this.#revoke(task);
      return viewOf(task);
    } finally {
      this.#cancelling.delete(task);
      this.#goOn();
    }
  }

  /** Stops what is under way; unfinished tasks go on after the next start. */
  async close(): Promise<void> {
    const reason = new TmError(
      'TM_CLOSED',
      'The flow is being stopped; its tasks go on when it starts again.',
    );
    this.#closing.abort(reason);
    this.#running?.controller.abort(reason);
    await this.#running?.over;
  }

  /** Starts the next task, unless one runs. */
  #goOn(): void {
    if (!this.#running && !this.#closing.signal.aborted) {
      const next = this.#ledger.tasks.find(
        (task) => task.view && !task.finished && !this.#cancelling.has(task),
      );
      if (next) this.#run(next);
    }
    this.#tellState();
  }

  #run(task: Task): void {
    const controller = new AbortController();
    this.#failure = undefined;
    const over = this.#carryOut(task, controller.signal).then(() => {
      this.#running = undefined;
      this.#goOn();
    });
    this.#running = { task, controller, over };
  }

  /** Never rejects. Stopped, it leaves the task unfinished: whoever stopped it knows what becomes of it. */
  async #carryOut(task: Task, signal: AbortSignal): Promise<void> {
    const { record } = task;
    try {
      record.state = 'STARTED';
      record.started ??= this.#now();
      await this.#keep(task, signal);
      const failure = await this.#deliver(task, signal);
      signal.throwIfAborted();
      if (failure) {
        this.#failure = failure;
        record.error = failure.message;
      }
      this.#finish(task, failure ? 'FAILURE' : 'SUCCESS');
      await this.#keep(task, signal);
      await this.#ledger.prune();
      if (failure) {
        const message = `The task ${record.id} failed: ${failure.message}`;
        this.#surroundings.onProblem(new TmError(failure.code, message, { cause: failure }));
      }
    } catch {
      // Stopped, perhaps before its end was durable.
      record.state = 'STARTED';
      delete record.finished;
    }
  }

  async #deliver(task: Task, signal: AbortSignal): Promise<TmError | undefined> {
    try {
      await deliverTask(
        task.record,
        {
          inFlight: this.#settings.inFlight,
          emit: (window) => this.#surroundings.emit(window, task.record.id),
          keep: (stop) => this.#keep(task, stop),
          pause: (error, seconds, stop) => this.#retryIn(task, error, seconds, stop),
        },
        signal,
      );
      return undefined;
    } catch (thrown) {
      return asTmError(thrown, 'TM_STALLED');
    }
  }

  async #revoke(task: Task): Promise<void> {
    const { record } = task;
    const { state } = record;
    this.#finish(task, 'REVOKED');
    try {
      await this.#ledger.write(task);
    } catch (error) {
      record.state = state;
      delete record.finished;
      throw error;
    }
    await this.#ledger.prune();
  }

  #finish({ record }: Task, state: 'SUCCESS' | 'FAILURE' | 'REVOKED'): void {
    record.state = state;
    record.finished = this.#now();
    count('tasks_finished', 1, { state });
  }

  /** Until it is durable: what was delivered is not sent again because a disk was full for a while. */
  async #keep(task: Task, signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        await this.#ledger.write(task);
        break;
      } catch (thrown) {
        const error = asTmError(thrown, 'TM_STATE_WRITE');
        if (failures === 0) this.#surroundings.onProblem(error);
        await this.#retryIn(task, error, retryPauseSeconds(failures), signal);
      }
    }
    this.#tellState();
  }

  async #retryIn(task: Task, error: TmError, seconds: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const retry: Retry = { error, at: this.#now() + seconds * 1000 };
    task.retries.add(retry);
    this.#tellState();
    try {
      await this.#pause(seconds, signal);
    } finally {
      task.retries.delete(retry);
    }
    signal.throwIfAborted();
    this.#tellState();
  }

  async #pause(seconds: number, signal: AbortSignal): Promise<void> {
    if (this.#surroundings.pause) await this.#surroundings.pause(seconds * 1000, signal);
    else await setTimeout(seconds * 1000, undefined, { signal, ref: false });
  }

  #now(): number {
    return this.#surroundings.now?.() ?? Date.now();
  }

  #tellState(): void {
    if (!this.#closing.signal.aborted) this.#surroundings.onState(this.state);
  }
}

/** Of a task that is durable. */
function viewOf(task: Task): TaskView {
  const { view } = task;
  if (!view) throw new TmError('TM_STATE_UNREADABLE', `The task ${task.record.id} has not been written.`);
  return view;
}
