/**
 * What is measured, in the text that Prometheus reads (https://prometheus.io/docs/instrumenting/exposition_formats/).
 * The names are part of what users rely on, in dashboards and alerts: none is renamed.
 */
import type { Counter as PromCounter, Histogram } from 'prom-client';
import { taskCounts, type Health, type Watched } from '../../lib/health';
import {
  COUNTERS,
  TIMINGS,
  type Counter,
  type Labels,
  type Measure,
  type Recorder,
  type Timing,
} from '../../lib/metrics';
import { TASK_STATES } from '../../lib/task-record';
import { transfers } from '../../lib/transfer';

type PromClient = typeof import('prom-client');

/** prom-client itself, where it is installed. */
export async function loadPromClient(): Promise<PromClient | undefined> {
  try {
    return await import('prom-client');
  } catch {
    return undefined;
  }
}

const NAMES: Readonly<Record<Counter, string>> = {
  readings_sent: 'tm_readings_sent_total',
  batches_sent: 'tm_batches_sent_total',
  bytes_sent: 'tm_sent_bytes_total',
  readings_refused: 'tm_readings_refused_total',
  post_retries: 'tm_post_retries_total',
  windows: 'tm_windows_total',
  tasks_finished: 'tm_tasks_finished_total',
};

/** In seconds: a post lasts up to its timeout, a window as long as the cloud is away. */
const BUCKETS: Readonly<Record<Timing, number[]>> = {
  post: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  window: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900],
};

export class PrometheusText implements Recorder {
  readonly #registry;
  readonly #counters = new Map<Counter, PromCounter>();
  readonly #timings = new Map<Timing, Histogram>();
  readonly #setGauges: (health: Health, watched: Watched) => void;

  constructor(client: PromClient) {
    // Of its own: what other nodes measure with prom-client is theirs to show.
    this.#registry = new client.Registry();
    const registers = [this.#registry];
    client.collectDefaultMetrics({ register: this.#registry });
    for (const [counter, measure] of entries(COUNTERS)) {
      const { help } = measure;
      const values = labelValues(measure);
      const made = new client.Counter({
        name: NAMES[counter],
        help,
        labelNames: Object.keys(values),
        registers,
      });
      for (const labels of everyLabel(values)) made.inc(labels, 0);
      this.#counters.set(counter, made);
    }
    for (const [timing, measure] of entries(TIMINGS)) {
      const { help } = measure;
      const values = labelValues(measure);
      const made = new client.Histogram({
        ...{ name: `tm_${timing}_duration_seconds`, help, buckets: BUCKETS[timing] },
        ...{ labelNames: Object.keys(values), registers },
      });
      for (const labels of everyLabel(values)) made.zero(labels);
      this.#timings.set(timing, made);
    }
    const gauge = (name: string, help: string, label?: string) =>
      new client.Gauge({ name, help, labelNames: label === undefined ? [] : [label], registers });
    const up = gauge('tm_up', '1 while readings get through, else 0: what GET /tm/health answers');
    const databaseUp = gauge('tm_database_up', '1 while the database answers, else 0', 'database');
    const endpointUp = gauge('tm_endpoint_up', '1 while the endpoint takes posts, else 0', 'endpoint');
    const lag = gauge(
      'tm_bookmark_lag_seconds',
      "How far a bookmark is behind the database's clock",
      'bookmark',
    );
    const position = gauge('tm_bookmark_position_timestamp_seconds', 'Where a bookmark stands', 'bookmark');
    const inFlight = gauge('tm_windows_in_flight', 'Windows given out and neither committed nor given up');
    const tasks = gauge('tm_tasks', 'Requests for a range that are known, by state', 'state');
    this.#setGauges = (health, watched) => {
      for (const each of [databaseUp, endpointUp, lag, position]) each.reset();
      up.set(health.up ? 1 : 0);
      for (const { id, failure } of health.databases) databaseUp.set({ database: id }, failure ? 0 : 1);
      for (const { address, state } of watched.endpoints) {
        endpointUp.set({ endpoint: address }, state.state === 'ok' ? 1 : 0);
      }
      for (const { name, standing } of watched.bookmarks) {
        if (standing?.lagSeconds !== undefined) lag.set({ bookmark: name }, standing.lagSeconds);
        if (standing?.position !== undefined) position.set({ bookmark: name }, standing.position);
      }
      inFlight.set(transfers.size);
      const counts = taskCounts(watched);
      for (const state of TASK_STATES) tasks.set({ state }, counts.get(state) ?? 0);
    };
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  count(counter: Counter, by: number, labels: Labels): void {
    this.#counters.get(counter)?.inc(labels, by);
  }

  time(timing: Timing, seconds: number, labels: Labels): void {
    this.#timings.get(timing)?.observe(labels, seconds);
  }

  async text(health: Health, watched: Watched): Promise<string> {
    this.#setGauges(health, watched);
    return this.#registry.metrics();
  }
}

function entries<Key extends string, Value>(table: Readonly<Record<Key, Value>>): [Key, Value][] {
  return Object.entries(table) as [Key, Value][];
}

type LabelValues = Readonly<Record<string, readonly string[]>>;

function labelValues({ labels = {} }: Measure): LabelValues {
  return labels;
}

/** Each value of a measure's label; measures have one label or none. */
function everyLabel(values: LabelValues): Labels[] {
  return Object.entries(values).flatMap(([label, each]) => each.map((value) => ({ [label]: value })));
}
