/**
 * Schedule mode: gives out a bookmark's windows, one after another until it has caught up, and gives a failed
 * one out again. Woken by each message and each delivery; between them it does nothing.
 */
import type { Bookmark } from './bookmark';
import { CommitWait } from './commit-wait';
import { DatabaseClock } from './database-clock';
import { SHORT_REASONS, TmError, asTmError, type TmErrorCode } from './errors';
import { Standstill } from './standstill';
import type { Transfer, Transfers } from './transfer';
import { formatInstant, sameWindow, type EpochSeconds, type Window } from './window';
import { doubledHour } from './zone';

export type ScheduleStart =
  { readonly at: 'now' } | { readonly at: 'oldest' } | { readonly at: EpochSeconds };

export interface ScheduleSettings {
  readonly start: ScheduleStart;
  readonly intervalSeconds: number;
  readonly longestSeconds: number;
  readonly settleSeconds: number;
  readonly lookbackSeconds: number;
  readonly inFlight: number;
  /** How long nothing may move while something is due, before that is said; 0: it is never said. */
  readonly alarmSeconds: number;
  /** Zone of naive timestamps: a local hour that occurs twice is read once, after its second pass. */
  readonly timeZone: string;
}

/** Where the schedule stands, as a status shows it. */
export type ScheduleState =
  | { readonly state: 'caught-up'; readonly position: EpochSeconds }
  | { readonly state: 'behind'; readonly seconds: number }
  /** Another process gives out the windows: which, as far as is known. */
  | { readonly state: 'standby'; readonly behind: string }
  /** For what, in a few words: `endpoint 503`. */
  | { readonly state: 'waiting'; readonly reason: string };

/** How far a bookmark's delivery has come. */
export interface Standing {
  readonly position: EpochSeconds | undefined;
  /** Behind the database's clock, as last asked and reckoned since; undefined until both are known. */
  readonly lagSeconds: number | undefined;
  /** Windows given out and not committed. */
  readonly underWay: number;
  /** For how long something has been due and nothing has moved. */
  readonly stillSeconds: number;
}

export interface ScheduleSurroundings {
  /** The database's own clock. */
  clock(): Promise<number>;
  oldest(): Promise<EpochSeconds | undefined>;
  /** Sends the window on; its transfer was issued by `transfers`. */
  emit(transfer: Transfer): void;
  onState(state: ScheduleState): void;
  /** Something to act on that no node's message reports: a missing wire, a clock that is off. */
  onProblem(error: TmError): void;
  /** Nothing has moved for long, or moves again: then `error` is undefined. */
  onStandstill(error: TmError | undefined): void;
  onWarning(message: string): void;
  readonly transfers: Transfers;
}

interface Slot {
  readonly window: Window;
  transfer: Transfer | undefined;
  failures: number;
  /** In a few words, while it does not get on: `endpoint 503`. */
  waitingFor: string | undefined;
  /** Process time (ms) before which a failed window is not tried again. */
  notBefore: number;
}

const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 60_000;
/** How often what other processes have done with the bookmark is looked at. */
const LOOK_MS = 4_000;

export class Schedule {
  readonly #slots: Slot[] = [];
  #advancing: Promise<void> = Promise.resolve();
  #running = false;
  #again = false;
  #failures = 0;
  #failedWith: TmErrorCode | undefined;
  #retry: { readonly at: number; readonly timer: NodeJS.Timeout } | undefined;
  #closed = false;
  /** That a delivered window was not committed was said, and none has been since. */
  #uncommittedSaid = false;
  readonly #commits: CommitWait;
  #lookTimer: NodeJS.Timeout | undefined;
  /** That another process gives out this bookmark's windows was said. */
  #inUseSaid = false;
  readonly #clock: DatabaseClock;
  readonly #standstill: Standstill;
  /** Where the bookmark was when that was last looked at. */
  #position: EpochSeconds | undefined;

  constructor(
    readonly bookmark: Bookmark,
    readonly settings: ScheduleSettings,
    readonly surroundings: ScheduleSurroundings,
  ) {
    this.#position = bookmark.position;
    this.#commits = new CommitWait((error) => {
      // Where the wire is missing it is so for each window.
      if (!this.#uncommittedSaid) surroundings.onProblem(error);
      this.#uncommittedSaid = true;
    });
    this.#clock = new DatabaseClock(
      () => surroundings.clock(),
      (message) => {
        surroundings.onWarning(message);
      },
    );
    this.#standstill = new Standstill(settings.alarmSeconds, (seconds) => {
      surroundings.onStandstill(seconds === undefined ? undefined : this.#standsStill(seconds));
    });
  }

  /**
   * A message has come: emits what is due. Where a failure is being retried already, there is nothing to add.
   * @throws TmError where the database or the state store fails; nothing has moved then, and it is tried again
   *   without further messages
   */
  async heartbeat(): Promise<void> {
    if (this.#retry !== undefined) return;
    this.#lookTimer ??= this.#lookLater();
    try {
      await this.#advance();
    } catch (error) {
      this.#failedWith = asTmError(error, 'TM_STATE_WRITE').code;
      throw error;
    }
  }

  /** Calls while one runs are one more run after it. */
  #advance(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return this.#advancing;
    }
    this.#advancing = this.#run().then(
      () => {
        this.#failures = 0;
        this.#failedWith = undefined;
        this.#noteStillness();
      },
      (thrown: unknown) => {
        if (this.#closed) return;
        const error = asTmError(thrown, 'TM_STATE_WRITE');
        this.#failures++;
        this.#waiting(error);
        this.#noteStillness();
        this.#retryIn(backoff(this.#failures));
        throw error;
      },
    );
    return this.#advancing;
  }

  /** Goes on without a message: after a delivery, or when a pause after a failure is over. */
  #goOn(): void {
    this.#advance().then(undefined, (error: unknown) => {
      // Said once per kind of failure, not per attempt.
      const failure = asTmError(error, 'TM_STATE_WRITE');
      if (failure.code !== this.#failedWith) this.surroundings.onProblem(failure);
      this.#failedWith = failure.code;
    });
  }

  #retryIn(milliseconds: number): void {
    if (this.#closed) return;
    const at = performance.now() + milliseconds;
    if (this.#retry && this.#retry.at <= at) return;
    clearTimeout(this.#retry?.timer);
    const timer = setTimeout(() => {
      this.#retry = undefined;
      this.#goOn();
    }, milliseconds).unref();
    this.#retry = { at, timer };
  }

  /** How far delivery has come, for those who watch it from outside. */
  get standing(): Standing {
    const { position } = this.bookmark;
    const clock = this.#clock.reckoned;
    return {
      position,
      lagSeconds: position === undefined || clock === undefined ? undefined : Math.max(0, clock - position),
      underWay: this.#slots.length,
      stillSeconds: this.#standstill.seconds,
    };
  }

  /** A window of this bookmark was committed. */
  committed(transfer: Transfer): void {
    this.#uncommittedSaid = false;
    this.#noteMove();
    this.#release(transfer);
    if (!this.#closed) this.#goOn();
  }

  /** The bookmark was set by hand: what is under way belongs to its past. */
  restarted(): void {
    this.#noteMove();
    this.#dropSlots(() => true, 'The bookmark was set by hand.');
    if (!this.#closed) this.#goOn();
  }

  close(): void {
    this.#closed = true;
    this.bookmark.giveOutNext = undefined;
    clearTimeout(this.#retry?.timer);
    clearTimeout(this.#lookTimer);
    this.#dropSlots(() => true, 'The flow is being stopped.');
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      do {
        this.#again = false;
        if (this.#closed) return;
        if (this.bookmark.position === undefined) await this.#begin();
        await this.#issue();
        if (this.#isClosed()) return;
        if (this.bookmark.lease.state !== 'mine') {
          this.#leaveToAnother();
          return;
        }
        this.#inUseSaid = false;
        this.#emitWaiting();
        // Another run may be asked for while this one awaits: the flag is set elsewhere.
      } while (this.#askedAgain());
      this.#tellState();
    } finally {
      // In the same turn as the last look at the flag, or what is asked for between the two would be forgotten.
      this.#running = false;
    }
  }

  /** Set elsewhere while a run awaits. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #askedAgain(): boolean {
    return this.#again && !this.#closed;
  }

  async #begin(): Promise<void> {
    const { start } = this.settings;
    let position: EpochSeconds | undefined;
    if (start.at === 'oldest') position = await this.surroundings.oldest();
    else if (start.at !== 'now') position = start.at;
    // Nothing in the table yet: from now on, for whatever comes is newer. The oldest may be stamped in the future.
    const now = Math.floor(await this.#clock.ask()) - this.settings.settleSeconds;
    if (position === undefined || (start.at === 'oldest' && position > now)) position = now;
    await this.bookmark.start(position);
  }

  /**
   * Another process gives out this bookmark's windows. Asked again soon: it may have ended. What is under way
   * here may still be delivered and committed.
   */
  #leaveToAnother(): void {
    const { lease } = this.bookmark;
    this.#dropSlots(({ transfer }) => transfer === undefined, '');
    if (lease.state === 'mine') return;
    this.surroundings.onState({ state: 'standby', behind: lease.by });
    if (lease.state === 'held' && !this.#inUseSaid) {
      this.#inUseSaid = true;
      this.surroundings.onProblem(
        new TmError(
          'TM_BOOKMARK_IN_USE',
          `The bookmark "${this.bookmark.name}" is in use: ${lease.by} gives out its windows, from the same place for state. Should it be a copy of this flow, give one of them another bookmark name; otherwise there is nothing to do: when that process ends, this one takes over.`,
        ),
      );
    }
    this.#retryIn(LOOK_MS);
  }

  /** Sees from time to time what other processes have done with the bookmark, and whether anything moves. */
  #lookLater(): NodeJS.Timeout {
    return setTimeout(() => {
      void this.#look().finally(() => {
        if (!this.#closed) this.#lookTimer = this.#lookLater();
      });
    }, LOOK_MS).unref();
  }

  async #look(): Promise<void> {
    // Should it fail, so does the next step, and says so.
    await this.bookmark.refresh().catch(() => undefined);
    if (this.#closed) return;
    this.#noteMove();
    const elsewhere = ({ window }: Slot): boolean => !this.#isIssued(window);
    if (this.bookmark.lease.state !== 'mine' || this.#slots.some(elsewhere)) this.#goOn();
    this.#noteStillness();
  }

  #isIssued(window: Window): boolean {
    return this.bookmark.issued.some((issued) => sameWindow(issued, window));
  }

  /** A window that is committed ahead of a gap moves nothing. */
  #noteMove(): void {
    const { position } = this.bookmark;
    if (position !== this.#position) this.#standstill.moved();
    this.#position = position;
  }

  /** Only where there is something to move over: a day without a window is no trouble where one is due a day. */
  #noteStillness(): void {
    this.#standstill.look(this.#slots.length > 0 || this.#failures > 0 || this.#running);
  }

  #standsStill(seconds: number): TmError {
    const { name, position } = this.bookmark;
    const from = position === undefined ? '' : ` from ${formatInstant(position)}`;
    return new TmError(
      'TM_BOOKMARK_STANDS_STILL',
      `The bookmark "${name}" has not moved for ${Math.round(seconds / 60)} min${from}: nothing new is in the cloud. The statuses of the nodes after this tm-bookmark say what they wait for; what was read meanwhile is not lost, it is sent when that is mended.`,
    );
  }

  /** Makes slots for the windows that are due: those of before a restart first. */
  async #issue(): Promise<void> {
    // Committed by another process, or set by hand in one.
    this.#dropSlots(({ window }) => !this.#isIssued(window), 'The bookmark has moved past this window.');
    if (this.#slots.length >= this.settings.inFlight) return;
    const horizon = await this.#horizon();
    // Closed meanwhile: the lease may have been given back.
    if (this.#closed) return;
    const plan = { ...this.settings, horizon };
    await this.bookmark.issue(plan);
    if (this.#isClosed()) return;
    this.bookmark.giveOutNext = this.#isFarBehind(horizon) ? plan : undefined;
    if (this.bookmark.lease.state !== 'mine') return;
    for (const window of this.bookmark.issued) {
      if (this.#slots.some((slot) => sameWindow(slot.window, window))) continue;
      this.#slots.push({ window, transfer: undefined, failures: 0, waitingFor: undefined, notBefore: 0 });
    }
  }

  #emitWaiting(): void {
    const now = performance.now();
    for (const slot of this.#slots) {
      if (slot.transfer !== undefined) continue;
      if (slot.notBefore > now) {
        // Its timer may have been another slot's, or early by a fraction of a millisecond.
        this.#retryIn(slot.notBefore - now);
        continue;
      }
      const transfer = this.surroundings.transfers.issue(slot.window, { bookmark: this.bookmark.name });
      slot.transfer = transfer;
      transfer.onWaiting = (reason) => {
        slot.waitingFor = reason;
        this.#tellState();
      };
      const commit = this.#commits.of(transfer);
      transfer.onStalled = (message) => {
        this.surroundings.onProblem(new TmError('TM_STALLED', message));
      };
      void transfer.outcome.then((outcome) => {
        if (outcome.state === 'failed') this.#failed(slot, transfer, outcome.error);
        else void this.#delivered(slot, transfer, commit);
      });
      this.surroundings.emit(transfer);
    }
  }

  #failed(slot: Slot, transfer: Transfer, error: TmError): void {
    // A slot that is gone was set aside by hand or by closing.
    if (slot.transfer !== transfer || !this.#slots.includes(slot)) return;
    slot.transfer = undefined;
    this.#commits.forget(transfer);
    // Of a window that was delivered and not committed, it would be kept.
    this.surroundings.transfers.forget(transfer);
    slot.failures++;
    const pause = backoff(slot.failures);
    slot.notBefore = performance.now() + pause;
    slot.waitingFor = SHORT_REASONS[error.code];
    this.#tellState();
    this.#retryIn(pause);
  }

  #waiting(error: TmError): void {
    if (!this.#closed) this.surroundings.onState({ state: 'waiting', reason: SHORT_REASONS[error.code] });
  }

  async #delivered(slot: Slot, transfer: Transfer, commit: () => Promise<void>): Promise<void> {
    try {
      await commit();
    } catch (thrown) {
      const error = asTmError(thrown, 'TM_STATE_WRITE');
      // Not stored, or lost on its way: delivered once more, the same bytes under the same keys.
      this.#failed(slot, transfer, error);
    }
  }

  #release(transfer: Transfer): void {
    const index = this.#slots.findIndex((slot) => slot.transfer === transfer);
    if (index >= 0) this.#slots.splice(index, 1);
    this.#commits.forget(transfer);
    this.surroundings.transfers.forget(transfer);
  }

  #dropSlots(which: (slot: Slot) => boolean, reason: string): void {
    for (const slot of [...this.#slots].filter(which)) {
      this.#slots.splice(this.#slots.indexOf(slot), 1);
      const { transfer } = slot;
      if (!transfer) continue;
      transfer.fail(new TmError('TM_CANCELLED', reason));
      // Delivered already and waiting for its commit: that would come too late.
      this.#commits.forget(transfer);
      this.surroundings.transfers.forget(transfer);
    }
  }

  /**
   * Where new windows must end: at no time that the database itself has not named. Asked anew unless nothing can
   * be due, or so much is that any answer gives the same windows.
   */
  async #horizon(): Promise<EpochSeconds> {
    const { position = 0 } = this.bookmark;
    const { asked, reckoned, isFresh } = this.#clock;
    if (asked !== undefined && reckoned !== undefined && isFresh) {
      const nothingDue = this.#settled(reckoned) - position < this.settings.intervalSeconds;
      if (nothingDue || this.#isFarBehind(this.#settled(asked))) return this.#settled(asked);
    }
    return this.#settled(await this.#clock.ask());
  }

  /** So far that all windows which may be given out until this is looked at again are of full length. */
  #isFarBehind(horizon: EpochSeconds): boolean {
    const { longestSeconds, inFlight } = this.settings;
    return horizon - (this.bookmark.position ?? horizon) > longestSeconds * (2 * inFlight + 1);
  }

  #settled(clock: number): EpochSeconds {
    const { settleSeconds, timeZone } = this.settings;
    const horizon = Math.floor(clock) - settleSeconds;
    return doubledHour(horizon, timeZone)?.start ?? horizon;
  }

  #tellState(): void {
    if (this.#closed) return;
    // Before anything else: a heartbeat that has nothing to do must not make an outage look like none.
    const reason = this.#slots.find(({ waitingFor }) => waitingFor !== undefined)?.waitingFor;
    if (reason !== undefined) {
      this.surroundings.onState({ state: 'waiting', reason });
      return;
    }
    const { position } = this.bookmark;
    if (position === undefined) return;
    const { reckoned } = this.#clock;
    const behind = reckoned === undefined ? 0 : this.#settled(reckoned) - position;
    this.surroundings.onState(
      behind < this.settings.intervalSeconds + 1
        ? { state: 'caught-up', position }
        : { state: 'behind', seconds: behind },
    );
  }
}

/** Milliseconds until a failed run or window is tried again. */
function backoff(failures: number): number {
  return Math.min(RETRY_BASE_MS * 2 ** (failures - 1), RETRY_CAP_MS);
}
