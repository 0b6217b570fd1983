/**
 * What is counted and timed while the connector works, for those who watch it from outside. A measurement says
 * what happened and nothing of who keeps it: without a recorder it is forgotten, and costs next to nothing.
 */

export interface Measure {
  readonly help: string;
  /** Every value that a label may have: what is never counted is still shown, as 0. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
}

export const COUNTERS = {
  readings_sent: { help: 'Readings that the endpoint accepted' },
  batches_sent: { help: 'Posts with readings that the endpoint accepted' },
  bytes_sent: { help: 'Bytes of JSON that the endpoint accepted, before compression' },
  readings_refused: { help: 'Readings that the endpoint refused for good, each time that it did' },
  post_retries: {
    help: 'Posts that were not accepted and are posted again, by why',
    labels: { class: ['unavailable', 'rate_limited', 'timeout', 'connection', 'hold'] },
  },
  windows: {
    help: 'Windows that ended, by outcome; a failed one is read and posted again',
    labels: { outcome: ['delivered', 'failed', 'stopped'] },
  },
  tasks_finished: {
    help: 'Requests for a range that finished, by state',
    labels: { state: ['SUCCESS', 'FAILURE', 'REVOKED'] },
  },
} as const satisfies Record<string, Measure>;

export const TIMINGS = {
  post: {
    help: 'How long one post took to be answered, in seconds',
    labels: { outcome: ['accepted', 'retry', 'hold', 'split', 'refused'] },
  },
  window: {
    help: 'How long a delivered window took from being given out to its last accepted post, in seconds',
  },
} as const satisfies Record<string, Measure>;

export type Counter = keyof typeof COUNTERS;
export type Timing = keyof typeof TIMINGS;

export type Labels = Readonly<Record<string, string>>;

export interface Recorder {
  count(counter: Counter, by: number, labels: Labels): void;
  time(timing: Timing, seconds: number, labels: Labels): void;
}

const recorders = new Set<Recorder>();

/** From now on `recorder` is told of every measurement. @returns what ends it */
export function recordTo(recorder: Recorder): () => void {
  recorders.add(recorder);
  return () => recorders.delete(recorder);
}

export function count<Name extends Counter>(
  counter: Name,
  by: number,
  ...[labels]: LabelArguments<(typeof COUNTERS)[Name]>
): void {
  for (const recorder of recorders) recorder.count(counter, by, labels ?? {});
}

export function time<Name extends Timing>(
  timing: Name,
  seconds: number,
  ...[labels]: LabelArguments<(typeof TIMINGS)[Name]>
): void {
  for (const recorder of recorders) recorder.time(timing, seconds, labels ?? {});
}

/** Each label that the measure has, with one of its values; nothing where it has none. */
type LabelArguments<M> = M extends { readonly labels: infer Values extends Record<string, readonly string[]> }
  ? [labels: { readonly [Label in keyof Values]: Values[Label][number] }]
  : [labels?: undefined];
