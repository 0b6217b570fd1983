/** Endpoints against the stand-in for the cloud, with time that a test moves. */
import { setMaxListeners } from 'node:events';
import { Endpoint, type EndpointSettings, type EndpointSurroundings } from '../../lib/endpoint/endpoint';
import type { Clock } from '../../lib/endpoint/clock';
import type { Batch } from '../../lib/endpoint/split';
import { startCloud, type Cloud, type CloudOptions } from '../../scripts/start/cloud';

export const KEY = 'key-of-the-plant/7f3a+Zw==';
export const SOURCE = 'postgres://plant/readings';

/** Closes what one test opened, in reverse order. */
export class Opened {
  readonly #closers: (() => unknown)[] = [];

  add<Closable extends { close(): unknown }>(opened: Closable): Closable {
    this.#closers.push(() => opened.close());
    return opened;
  }

  async cloud(options: Partial<CloudOptions> = {}): Promise<Cloud> {
    return this.add(await startCloud({ key: KEY, keep: 'readings', ...options }));
  }

  endpoint(
    url: string,
    settings: Partial<EndpointSettings> = {},
    surroundings: EndpointSurroundings = {},
  ): Endpoint {
    return this.add(
      new Endpoint(
        { url, key: KEY, compression: 'none', requestTimeoutSeconds: 30, ...settings },
        surroundings,
      ),
    );
  }

  async close(): Promise<void> {
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) await close();
  }
}

/** Nothing waits: each sleep ends at once and is written down. */
export class InstantClock implements Clock {
  readonly sleeps: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.sleeps.push(ms);
    this.#now += ms;
  }
}

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** Time stands still until it is moved. */
export class ManualClock implements Clock {
  #now = 0;
  #sleepers: Sleeper[] = [];
  #onSleep: (() => void) | undefined;

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason as Error);
      };
      const sleeper = {
        until: this.#now + ms,
        wake: () => {
          signal.removeEventListener('abort', abort);
          resolve();
        },
      };
      this.#sleepers.push(sleeper);
      signal.addEventListener('abort', abort, { once: true });
      this.#onSleep?.();
    });
  }

  /** How long the one sleeper still sleeps. Resolves when there is one. */
  async sleeping(): Promise<number> {
    while (this.#sleepers.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onSleep = resolve;
      });
    }
    return Math.min(...this.#sleepers.map(({ until }) => until - this.#now));
  }

  get sleepers(): number {
    return this.#sleepers.length;
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#sleepers.filter(({ until }) => until <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#now);
    for (const { wake } of due) wake();
  }
}

const START = Date.parse('2026-01-31T12:00:00Z');

export interface SomeReading {
  readonly sensor: string;
  /** Seconds behind 12:00:00. */
  readonly at: number;
  readonly value: number | string | null;
}

/** A minute's batch in the default format. */
export function batchOf(readings: readonly SomeReading[], start = 0, end = 60): Batch {
  const bySensor = new Map<string, string[]>();
  for (const { sensor, at, value } of readings) {
    const json = `{"timestamp":"${timeText(at)}","value":${JSON.stringify(value)}}`;
    const list = bySensor.get(sensor);
    if (list) list.push(json);
    else bySensor.set(sensor, [json]);
  }
  const lists = [...bySensor].map(([sensor, list]) => `${JSON.stringify(sensor)}:[${list.join(',')}]`);
  const start_time = timeText(start);
  const end_time = timeText(end);
  const body = Buffer.from(
    `{"start_time":"${start_time}","end_time":"${end_time}","data":{${lists.join(',')}}}`,
  );
  return { start_time, end_time, body, readings: readings.length };
}

/** `sensors` × `seconds` readings, one a second, from `start` seconds behind 12:00:00 on. */
export function regularBatch(sensors: number, seconds: number, start = 0): Batch {
  const readings: SomeReading[] = [];
  for (let sensor = 1; sensor <= sensors; sensor++) {
    for (let at = 0; at < seconds; at++) {
      readings.push({ sensor: `K10${sensor}.VIB`, at: start + at, value: sensor + at / 100 });
    }
  }
  return batchOf(readings, start, start + Math.max(60, seconds));
}

export function timeText(at: number): string {
  return new Date(START + at * 1000).toISOString().replace('.000Z', 'Z');
}

/** Of a test that is not about aborting. */
export const never = new AbortController().signal;
setMaxListeners(0, never);
