/** A request for a range of time, as it is kept: what was asked for, and how far its windows have come. */
import { TmError } from './errors';
import { formatLease, parseLease, type Lease } from './lease';
import type { JsonObject } from './state/store';
import { formatWindow, parseWindow, type Window } from './window';

/** The names are Celery's, which callers of the request API know. */
export type TaskState = 'PENDING' | 'STARTED' | 'RETRY' | 'SUCCESS' | 'FAILURE' | 'REVOKED';

/** Milliseconds since 1970. */
type Instant = number;

export interface TaskRecord {
  readonly id: string;
  /** Which tm-request took it: several may share one store. */
  readonly owner: string;
  /** Tasks run in this order. */
  readonly sequence: number;
  readonly range: Window;
  /** The range is cut into windows of this length; kept, so that a changed setting moves no edge of a task. */
  readonly longestSeconds: number;
  readonly created: Instant;
  state: TaskState;
  started?: Instant;
  finished?: Instant;
  /** Windows of the unbroken run from the first that are delivered. */
  delivered: number;
  /** Numbers of the windows delivered beyond it. */
  ahead: number[];
  readings: number;
  batches: number;
  bytes: number;
  /** Why it failed. */
  error?: string;
  /** Who carries it out; none in records of versions that had no leases. */
  lease?: Lease | undefined;
}

const STATES: Readonly<Record<TaskState, { readonly finished: boolean }>> = {
  PENDING: { finished: false },
  STARTED: { finished: false },
  RETRY: { finished: false },
  SUCCESS: { finished: true },
  FAILURE: { finished: true },
  REVOKED: { finished: true },
};

export const TASK_STATES = Object.keys(STATES) as readonly TaskState[];

export function isFinished(state: TaskState): boolean {
  return STATES[state].finished;
}

export function windowsTotal({
  range,
  longestSeconds,
}: Pick<TaskRecord, 'range' | 'longestSeconds'>): number {
  return Math.ceil((range.end - range.start) / longestSeconds);
}

/** Reckoned, not listed: a range of decades in windows of a minute has millions. */
export function windowAt({ range, longestSeconds }: TaskRecord, index: number): Window {
  const start = range.start + index * longestSeconds;
  return { start, end: Math.min(start + longestSeconds, range.end) };
}

/** A window is delivered; told twice, it counts once. @returns whether it was new */
export function noteDelivered(task: TaskRecord, index: number): boolean {
  if (index < task.delivered || task.ahead.includes(index)) return false;
  task.ahead.push(index);
  while (task.ahead.includes(task.delivered)) {
    task.ahead.splice(task.ahead.indexOf(task.delivered), 1);
    task.delivered++;
  }
  return true;
}

export function formatTask(task: TaskRecord): JsonObject {
  const { id: _id, range, created, started, finished, lease, ...rest } = task;
  return {
    ...formatWindow(range),
    ...rest,
    created: formatTime(created),
    ...(started === undefined ? {} : { started: formatTime(started) }),
    ...(finished === undefined ? {} : { finished: formatTime(finished) }),
    ...(lease && { lease: formatLease(lease) }),
  };
}

/** @throws TmError TM_STATE_UNREADABLE where the record is not one of a task */
export function parseTask(id: string, record: JsonObject): TaskRecord {
  const refuse = (what: string, cause?: unknown): TmError =>
    new TmError(
      'TM_STATE_UNREADABLE',
      `The task ${id} cannot be understood: its ${what} is missing or wrong. Correct it, or delete it and request the range again.`,
      { cause },
    );
  const count = (name: string, least = 0): number => {
    const value = record[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
    throw refuse(name);
  };
  const text = (name: string): string => {
    const value = record[name];
    if (typeof value === 'string') return value;
    throw refuse(name);
  };
  const time = (name: string): Instant => {
    const milliseconds = Date.parse(text(name));
    if (Number.isNaN(milliseconds)) throw refuse(name);
    return milliseconds;
  };
  const { state, ahead } = record;
  if (typeof state !== 'string' || !isTaskState(state)) throw refuse('state');
  if (!Array.isArray(ahead)) throw refuse('ahead');
  const task: TaskRecord = {
    id,
    owner: text('owner'),
    sequence: count('sequence'),
    range: rangeOf(record, refuse),
    longestSeconds: count('longestSeconds', 1),
    created: time('created'),
    state,
    ...(record.started === undefined ? {} : { started: time('started') }),
    ...(record.finished === undefined ? {} : { finished: time('finished') }),
    delivered: count('delivered'),
    ahead: ahead.map(Number),
    readings: count('readings'),
    batches: count('batches'),
    bytes: count('bytes'),
    ...(record.error === undefined ? {} : { error: text('error') }),
    lease: parseLease(record.lease),
  };
  if (task.delivered > windowsTotal(task)) throw refuse('delivered');
  return task;
}

export function formatTime(milliseconds: Instant): string {
  return new Date(milliseconds).toISOString();
}

function rangeOf(record: JsonObject, refuse: (what: string, cause: unknown) => TmError): Window {
  try {
    return parseWindow(record);
  } catch (cause) {
    throw refuse('start_time or end_time', cause);
  }
}

function isTaskState(state: string): state is TaskState {
  return Object.hasOwn(STATES, state);
}
