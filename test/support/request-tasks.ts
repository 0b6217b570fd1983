/** Tasks on real state files, with a delivery and a clock that the test moves by hand. */
import type { TmError } from '../../lib/errors';
import { FileStore } from '../../lib/state/file-store';
import type { StateStore } from '../../lib/state/store';
import { LOOK_SECONDS, Tasks, type QueueState, type TasksSettings } from '../../lib/task';
import type { TaskView } from '../../lib/stored-task';
import type { TransferOutcome } from '../../lib/transfer';
import { formatWindow, type Window } from '../../lib/window';
import { until } from './until';

export const MINUTE = 60;
/** 2026-01-31T12:00:00Z */
export const NOON = 1_769_860_800;
/** What each delivered window comes to. */
const RECEIPT = { readings: 10, sensors: 2, batches: 3, bytes: 1000, duration_ms: 5 };

export class SentWindow {
  error: TmError | undefined;
  #end: (outcome: TransferOutcome) => void = () => undefined;
  readonly outcome = new Promise<TransferOutcome>((resolve) => {
    this.#end = resolve;
  });

  constructor(
    readonly window: Window,
    readonly task: string,
  ) {}

  /** Minutes after noon that the window begins. */
  get minute(): number {
    return (this.window.start - NOON) / MINUTE;
  }

  deliver(): void {
    this.#end({ state: 'delivered', receipt: { ...formatWindow(this.window), ...RECEIPT } });
  }

  fail(error: TmError): void {
    this.error ??= error;
    this.#end({ state: 'failed', error });
  }
}

export class RequestTasks {
  readonly tasks: Tasks;
  readonly states: QueueState[] = [];
  readonly problems: TmError[] = [];
  readonly sent: SentWindow[] = [];
  readonly pauses: { readonly seconds: number; readonly end: () => void }[] = [];
  now = NOON * 1000;
  refuseToSend = false;

  constructor(store: string | StateStore, settings: Partial<TasksSettings> = {}, started = true) {
    const defaults = { owner: 'node-1', shared: false, longestSeconds: MINUTE, inFlight: 1 };
    this.tasks = new Tasks(
      { ...defaults, queueLimit: 100, keepDays: 7, keepTasks: 1000, ...settings },
      {
        store: typeof store === 'string' ? new FileStore(store) : store,
        emit: (window, task) => {
          if (this.refuseToSend) throw new Error('no wire');
          const sent = new SentWindow(window, task);
          this.sent.push(sent);
          return sent;
        },
        onState: (state) => this.states.push(state),
        onProblem: (error) => this.problems.push(error),
        now: () => this.now,
        pause: (milliseconds, signal) => this.#pause(milliseconds / 1000, signal),
      },
    );
    if (started) this.tasks.start();
  }

  /** Minutes after noon that the windows sent so far begin. */
  get minutes(): number[] {
    return this.sent.map(({ minute }) => minute);
  }

  get state(): QueueState | undefined {
    return this.states.at(-1);
  }

  /** A task of so many windows of a minute, from noon on. */
  submit(windows: number): Promise<TaskView> {
    return this.tasks.submit({ start: NOON, end: NOON + windows * MINUTE });
  }

  async view(id: string): Promise<TaskView> {
    const view = await this.tasks.get(id);
    if (!view) throw new Error(`no task ${id}`);
    return view;
  }

  /** The n-th window sent, from 0 on, once it has been. */
  async nth(n: number): Promise<SentWindow> {
    await until(() => this.sent.length > n);
    const sent = this.sent[n];
    if (!sent) throw new Error(`window ${n} was not sent`);
    return sent;
  }

  /** Delivers whatever is sent until the task has finished. */
  async finish(id: string): Promise<TaskView> {
    await until(async () => {
      for (const sent of this.sent) sent.deliver();
      return (await this.view(id)).finished !== undefined;
    });
    return this.view(id);
  }

  async reached(id: string, current: number): Promise<TaskView> {
    await until(async () => (await this.view(id)).current >= current);
    return this.view(id);
  }

  /** Ends the pause under way, once there is one; how long it would have been, in seconds. */
  async passPause(): Promise<number> {
    await until(() => this.pauses.length > 0);
    const pause = this.pauses.shift();
    pause?.end();
    return pause?.seconds ?? NaN;
  }

  /** Has it see what other machines have done, as it does every few seconds; resolves when it has. */
  async look(): Promise<void> {
    const next = (): number => this.pauses.findIndex(({ seconds }) => seconds === LOOK_SECONDS);
    await until(() => next() >= 0);
    this.pauses.splice(next(), 1)[0]?.end();
    await until(() => next() >= 0);
  }

  #pause(seconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pauses.push({ seconds, end: resolve });
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
    });
  }
}
