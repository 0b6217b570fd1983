/**
 * One alarm of one node: given once when something starts to need a person, and once more when it is over,
 * whatever happens a hundred times in between. It outlives redeploys and restarts, for these are how such
 * things are mended: the node that finds the endpoint open again is seldom the one that found it shut.
 */
import { TmError, type TmErrorCode } from './errors';
import type { JsonObject, StateStore } from './state/store';

/** What a Catch node gets beside `msg.error`, as `msg.payload`. */
export interface AlarmNotice {
  readonly alarm: TmErrorCode;
  readonly state: 'raised' | 'recovered';
  /** ISO 8601, UTC. */
  readonly since: string;
  /** Where it is over. */
  readonly until?: string;
  /** What has happened, since when, and what to do. */
  readonly message: string;
}

export interface AlarmSurroundings {
  readonly store: StateStore;
  /** To Catch and the log. `error.code` is the alarm's, or TM_RECOVERED. */
  report(error: TmError, notice: AlarmNotice): void;
  /** Milliseconds since 1970. */
  now?(): number;
}

interface Raised {
  readonly code: TmErrorCode;
  readonly since: string;
}

export class Alarm {
  readonly #surroundings: AlarmSurroundings;
  readonly #name: string;
  /** As stored; undefined once it is over. */
  #raised: Raised | undefined;
  /** What this process has said of it. */
  #said: TmErrorCode | undefined;
  /** One change at a time, the first being what was stored before. */
  #queue: Promise<void>;
  #pending = 0;
  #closed = false;

  /** @param name whose alarm it is, the same after a restart: a node's id, with what it is about */
  constructor(name: string, surroundings: AlarmSurroundings) {
    this.#name = name;
    this.#surroundings = surroundings;
    this.#queue = this.#read();
  }

  /**
   * Said once, and once more after a restart: with the same `since`, for it is the same trouble.
   * @param problem its code and what to do; the time is added here
   */
  raise(problem: TmError): void {
    if (this.#closed || this.#said === problem.code) return;
    this.#said = problem.code;
    const now = this.#now();
    this.#change(async () => {
      const since = this.#raised?.since ?? now;
      const known = this.#raised?.code === problem.code;
      this.#raised = { code: problem.code, since };
      const error = new TmError(problem.code, `${problem.message} Since ${since}.`, { cause: problem.cause });
      this.#surroundings.report(error, {
        alarm: problem.code,
        state: 'raised',
        since,
        message: error.message,
      });
      if (!known) await this.#surroundings.store.write('alarm', this.#name, { ...this.#raised });
    });
  }

  /** It is over; nothing is said where nothing was raised. @param what `The endpoint … takes readings again.` */
  recovered(what: string): void {
    if (this.#closed) return;
    // Asked with each success: costs nothing where all is well.
    if (this.#said === undefined && this.#raised === undefined && this.#pending === 0) return;
    this.#said = undefined;
    const until = this.#now();
    this.#change(async () => {
      const raised = this.#raised;
      if (!raised) return;
      this.#raised = undefined;
      const { code, since } = raised;
      const error = new TmError('TM_RECOVERED', `${what} It was ${code} from ${since} to ${until}.`);
      this.#surroundings.report(error, {
        alarm: code,
        state: 'recovered',
        since,
        until,
        message: error.message,
      });
      await this.#surroundings.store.remove('alarm', this.#name);
    });
  }

  /** Resolves when what was raised is said and stored. What comes later is left to the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
  }

  /** A store that fails costs the memory of it beyond a restart, never the alarm. */
  #change(change: () => Promise<void>): void {
    this.#pending++;
    this.#queue = this.#queue
      .then(change)
      .catch(() => undefined)
      .finally(() => {
        this.#pending--;
      });
  }

  async #read(): Promise<void> {
    this.#pending++;
    try {
      this.#raised = raisedOf(await this.#surroundings.store.read('alarm', this.#name));
    } catch {
      // As above.
    } finally {
      this.#pending--;
    }
  }

  #now(): string {
    const now = this.#surroundings.now?.() ?? Date.now();
    return new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  }
}

function raisedOf(record: JsonObject | undefined): Raised | undefined {
  const { code, since } = record ?? {};
  if (typeof code !== 'string' || typeof since !== 'string') return undefined;
  return { code: code as TmErrorCode, since };
}
