/** Whether readings get through at present and, where they do not, why: what a machine that watches asks. */
import type { EndpointState } from './endpoint/endpoint';
import { asTmError, type TmError } from './errors';
import type { Standing } from './schedule';
import type { JsonObject } from './state/store';
import type { QueueState } from './task';
import type { TaskState } from './task-record';
import { formatInstant, quote } from './window';

export interface WatchedDatabase {
  /** Without secrets. */
  readonly id: string;
  clock(signal?: AbortSignal): Promise<number>;
}

export interface WatchedEndpoint {
  /** Without secrets. */
  readonly address: string;
  readonly state: EndpointState;
}

export interface WatchedBookmark {
  readonly name: string;
  /** Undefined until it has been read from the state store. */
  readonly standing: Standing | undefined;
  /** In a few words: `endpoint 503`. */
  readonly waitingFor: string | undefined;
}

export interface WatchedTasks {
  readonly state: QueueState;
  readonly counts: ReadonlyMap<TaskState, number>;
}

/** What runs in this process. */
export interface Watched {
  readonly databases: readonly WatchedDatabase[];
  readonly endpoints: readonly WatchedEndpoint[];
  readonly bookmarks: readonly WatchedBookmark[];
  readonly tasks: readonly WatchedTasks[];
  /** Nodes that do nothing, for their settings are wrong. */
  readonly refusals: readonly TmError[];
}

export interface Health {
  readonly up: boolean;
  /** Why not; each names the part that it is about. No secrets. */
  readonly reasons: readonly string[];
  readonly databases: readonly { readonly id: string; readonly failure: TmError | undefined }[];
}

/** Without a commit for so long while windows are under way, a bookmark stands still, whatever the cause. */
const STANDS_STILL_SECONDS = 900;
/** A database that does not answer a question about the time is as good as gone. */
const ANSWER_WITHIN_MS = 3_000;
/** Asked no more often, however many ask how things are. */
const ASKED_EVERY_MS = 5_000;

export class HealthCheck {
  readonly #answers = new WeakMap<WatchedDatabase, { at: number; failure: Promise<TmError | undefined> }>();

  async check({ databases, endpoints, bookmarks, tasks, refusals }: Watched): Promise<Health> {
    const asked = await Promise.all(
      databases.map(async (database) => ({ id: database.id, failure: await this.#failureOf(database) })),
    );
    const reasons = [
      ...refusals.map(({ message }) => `settings: ${message}`),
      ...asked.flatMap(({ id, failure }) => (failure ? [`database ${id}: ${failure.message}`] : [])),
      ...endpoints.flatMap(({ address, state }) =>
        state.state === 'ok' ? [] : [`endpoint ${address}: ${state.state}, ${state.reason}`],
      ),
      ...bookmarks.flatMap(troubleOf),
      ...tasks.flatMap(({ state }) =>
        state.state === 'retrying' ? [`tasks: waiting, ${state.reason}`] : [],
      ),
    ];
    return { up: reasons.length === 0, reasons, databases: asked };
  }

  async #failureOf(database: WatchedDatabase): Promise<TmError | undefined> {
    const now = performance.now();
    let answer = this.#answers.get(database);
    if (!answer || now - answer.at > ASKED_EVERY_MS) {
      answer = { at: now, failure: askClock(database) };
      this.#answers.set(database, answer);
    }
    return answer.failure;
  }
}

async function askClock(database: WatchedDatabase): Promise<TmError | undefined> {
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const tooLong = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`));
    });
  });
  try {
    await Promise.race([database.clock(signal), tooLong]);
    return undefined;
  } catch (thrown) {
    return asTmError(thrown, 'TM_DATABASE_UNREACHABLE');
  }
}

function troubleOf({ name, standing, waitingFor }: WatchedBookmark): string[] {
  if (waitingFor !== undefined) return [`bookmark ${quote(name)}: waiting, ${waitingFor}`];
  if (!standing || standing.underWay === 0 || standing.stillSeconds < STANDS_STILL_SECONDS) return [];
  const { stillSeconds, lagSeconds = 0 } = standing;
  return [
    `bookmark ${quote(name)}: has not moved for ${Math.round(stillSeconds)} s, and it is ${Math.round(lagSeconds)} s behind`,
  ];
}

/** As JSON for whoever may know: every part and how it is doing. */
export function describeHealth(health: Health, watched: Watched): JsonObject {
  return {
    status: health.up ? 'up' : 'down',
    reasons: health.reasons,
    databases: health.databases.map(({ id, failure }) => ({
      database: id,
      up: failure === undefined,
      ...(failure ? { code: failure.code } : {}),
    })),
    endpoints: watched.endpoints.map(({ address, state }) => ({ endpoint: address, ...state })),
    bookmarks: watched.bookmarks.map(({ name, standing, waitingFor }) => ({
      bookmark: name,
      position: standing?.position === undefined ? null : formatInstant(standing.position),
      lag_seconds: standing?.lagSeconds === undefined ? null : Math.round(standing.lagSeconds),
      windows_under_way: standing?.underWay ?? 0,
      ...(waitingFor === undefined ? {} : { waiting_for: waitingFor }),
    })),
    tasks: Object.fromEntries(taskCounts(watched)),
  };
}

/** Over all that take requests. */
export function taskCounts({ tasks }: Watched): Map<TaskState, number> {
  const sums = new Map<TaskState, number>();
  for (const { counts } of tasks) {
    for (const [state, number] of counts) sums.set(state, (sums.get(state) ?? 0) + number);
  }
  return sums;
}
