/**
 * Request mode: ranges that were asked for, delivered one after another in the order they came. What is told
 * of a task is on the disk already; after a restart it goes on at the first window not yet delivered. Where
 * several machines share the store, the one that holds the lease of the first unfinished task carries it out.
 */
import { setTimeout } from 'node:timers/promises';
import { asTmError, SHORT_REASONS, TmError } from './errors';
import { count } from './metrics';
import { settlesWithin } from './signals';
import type { StateStore } from './state/store';
import type { Beginning, Retry, Task, TaskView } from './stored-task';
import { TaskLedger, type LedgerSettings } from './task-ledger';
import { TaskLoading } from './task-loading';
import type { TaskRecord, TaskState } from './task-record';
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
  /** Another machine carries the tasks out: which, as far as is known. */
  | { readonly state: 'standby'; readonly behind: string }
  | { readonly state: 'failed'; readonly reason: string };

interface Running {
  readonly task: Task;
  readonly controller: AbortController;
  readonly over: Promise<void>;
  /** This process holds its lease. */
  begun: boolean;
}

/**
 * How often the tasks of other machines are looked at. A lease is taken over when its holder has not answered
 * for 20 s; with a look before and one after it, a task goes on within 30 s.
 */
export const LOOK_SECONDS = 3;
/** A lease that cannot be given back in time is taken over. */
/** Nothing else goes on until what is known here is durable. */
const STATE_RETRY_MOST_SECONDS = 60;
const RELEASE_WITHIN_MS = 5_000;

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
      lookSeconds: settings.shared ? LOOK_SECONDS : undefined,
      onLoaded: () => this.#look(),
      onProblem: (error) => {
        surroundings.onProblem(error);
      },
      pause: (seconds, signal) => this.#pause(seconds, signal),
    });
  }

  /**
   * Reads the tasks from the store and goes on with those that were interrupted; tries again for as long as
   * the store does not answer, and looks for those of other machines. Called once; whatever is asked before
   * waits for it.
   */
  start(): void {
    void this.#loading.start(this.#closing.signal);
  }

  get state(): QueueState {
    const task = this.#running?.task ?? this.#next;
    if (task?.heldBy !== undefined) return { state: 'standby', behind: task.heldBy };
    const view = this.#running && task?.view;
    if (!view) {
      return this.#failure
        ? { state: 'failed', reason: SHORT_REASONS[this.#failure.code] }
        : { state: 'idle' };
    }
    if (view.retry) return { state: 'retrying', reason: SHORT_REASONS[view.retry.error.code] };
    const { current, total } = view;
    const unfinished = this.#ledger.unfinished.filter((other) => other.view).length;
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
    const { queueLimit, shared } = this.#settings;
    // What another machine has taken meanwhile comes first, and counts.
    if (shared) await this.#ledger.load();
    if (this.#ledger.unfinished.length >= queueLimit) await this.#ledger.refresh(this.#ledger.tasks);
    const unfinished = this.#ledger.unfinished.length;
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
    if (this.#settings.shared) await this.#ledger.load();
    await this.#ledger.refresh(this.#ledger.tasks);
    return this.#ledger.tasks.reverse().flatMap((task) => task.view ?? []);
  }

  /** @throws TmError TM_STATE_UNREADABLE */
  async get(id: string): Promise<TaskView | undefined> {
    await this.#loading.done();
    return (await this.#ledger.find(id))?.view;
  }

  /**
   * Resolves when the cancellation is durable and nothing of the task is under way here; another machine that
   * carries it out notices within a few seconds. A task that has finished stays as it is. Undefined: there is
   * no such task.
   * @throws TmError TM_STATE_WRITE: the task goes on then
   */
  async cancel(id: string): Promise<TaskView | undefined> {
    await this.#loading.done();
    const task = await this.#ledger.find(id);
    if (!task?.view) return undefined;
    this.#cancelling.add(task);
    try {
      if (this.#running?.task === task) {
        this.#running.controller.abort(new TmError('TM_CANCELLED', `The task ${id} was cancelled.`));
        await this.#running.over;
      }
      if (await task.revoke(this.#now())) {
        count('tasks_finished', 1, { state: 'REVOKED' });
        await this.#ledger.prune();
      }
      return task.gone ? undefined : task.view;
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
    const running = this.#running;
    running?.controller.abort(reason);
    await running?.over;
    if (running) await settlesWithin(RELEASE_WITHIN_MS, running.task.release());
  }

  /** The first in order: a later one does not begin before it, on no machine. */
  get #next(): Task | undefined {
    const { shared } = this.#settings;
    return this.#ledger.unfinished.find(
      (task) => task.view && !this.#cancelling.has(task) && (shared || !task.lost),
    );
  }

  /** Starts the next task, unless one runs. */
  #goOn(): void {
    const next = this.#next;
    if (!this.#running && !this.#closing.signal.aborted && next) this.#run(next);
    this.#tellState();
  }

  /** Sees what other machines have done, and shows them that this one runs. */
  async #look(): Promise<void> {
    const running = this.#running;
    if (!running?.begun) this.#goOn();
    else if (!(await running.task.look())) this.#stopLost(running);
  }

  #run(task: Task): void {
    const running: Running = {
      task,
      controller: new AbortController(),
      begun: false,
      // In the next turn, when `running` is known to all.
      over: Promise.resolve()
        .then(() => this.#carryOut(running))
        .then((beginning) => {
          this.#running = undefined;
          if (task.gone) this.#ledger.forget(task);
          // One that another machine has is looked at again later.
          if (beginning === 'held') this.#tellState();
          else this.#goOn();
        }),
    };
    this.#failure = undefined;
    this.#running = running;
  }

  /** Never rejects. Stopped, it leaves the task unfinished: whoever stopped it knows what becomes of it. */
  async #carryOut(running: Running): Promise<Beginning> {
    const { task } = running;
    const { signal } = running.controller;
    try {
      const beginning = await this.#keep(task, () => task.begin(this.#now()), signal);
      if (beginning !== 'mine') return beginning;
      running.begun = true;
      const failure = await this.#deliver(running);
      signal.throwIfAborted();
      const state = failure ? 'FAILURE' : 'SUCCESS';
      await this.#advance(running, signal, (record) => {
        record.state = state;
        record.finished = this.#now();
        if (failure) record.error = failure.message;
      });
      count('tasks_finished', 1, { state });
      this.#failure = failure;
      await this.#ledger.prune();
      if (failure) {
        const message = `The task ${task.record.id} failed: ${failure.message}`;
        this.#surroundings.onProblem(new TmError(failure.code, message, { cause: failure }));
      }
    } catch {
      // Stopped, perhaps before its end was durable.
    }
    return 'over';
  }

  async #deliver(running: Running): Promise<TmError | undefined> {
    const { task, controller } = running;
    try {
      await deliverTask(
        task,
        {
          inFlight: this.#settings.inFlight,
          emit: (window) => this.#surroundings.emit(window, task.record.id),
          keep: (change, stop) => this.#advance(running, stop, change),
          pause: (error, seconds, stop) => this.#retryIn(task, error, seconds, stop),
        },
        controller.signal,
      );
      return undefined;
    } catch (thrown) {
      return asTmError(thrown, 'TM_STALLED');
    }
  }

  /** Resolves when the change is durable. Rejects where the task is not this machine's any more. */
  async #advance(running: Running, signal: AbortSignal, change: (record: TaskRecord) => void): Promise<void> {
    const { task } = running;
    if (await this.#keep(task, () => task.advance(change), signal)) return;
    this.#stopLost(running);
    running.controller.signal.throwIfAborted();
  }

  /** Another machine carries it on, or it was cancelled there: here nothing of it is sent any more. */
  #stopLost({ task, controller }: Running): void {
    const why = task.finished ? `is ${task.record.state}` : 'is carried on by another process';
    controller.abort(new TmError('TM_CANCELLED', `The task ${task.record.id} ${why}.`));
  }

  /** Until it is durable: what was delivered is not sent again because a disk was full for a while. */
  async #keep<Result>(task: Task, write: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (let failures = 0; ; failures++) {
      try {
        const result = await write();
        this.#tellState();
        return result;
      } catch (thrown) {
        const error = asTmError(thrown, 'TM_STATE_WRITE');
        if (failures === 0) this.#surroundings.onProblem(error);
        const seconds = Math.min(retryPauseSeconds(failures), STATE_RETRY_MOST_SECONDS);
        await this.#retryIn(task, error, seconds, signal);
      }
    }
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
