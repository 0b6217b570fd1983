/**
 * Checks and completes what the nodes' forms give: everything behind this file receives resolved settings.
 * A setting has one name here, in the form, in the help and in the messages. Flows are imported from older
 * versions and written by hand: a missing key gets its default, a number may come as text.
 */
import { TmError } from './errors';
import type { ScheduleSettings, ScheduleStart } from './schedule';
import { TIMESTAMP_FORMATS, type TimestampFormat } from './timestamp';
import { parseInstant, quote } from './window';
import { checkTimeZone } from './zone';

/** What Node-RED hands to a node: the form's values, untyped. */
export type RawSettings = Readonly<Record<string, unknown>>;

/** One node's raw settings; each method reads, checks and completes one. */
export class SettingsReader {
  constructor(readonly raw: RawSettings) {}

  text(name: string, fallback = ''): string {
    const value = this.raw[name];
    if (value === undefined || value === null) return fallback;
    if (typeof value !== 'string' && typeof value !== 'number') throw invalid(name, value, 'a text');
    const text = String(value).trim();
    // It ends a text on its way to the database, and whatever is meant to end it later is not sent.
    if (text.includes('\0')) {
      throw new TmError(
        'TM_SETTING_INVALID',
        `${name} holds a NUL, a character that cannot be sent. Remove it.`,
      );
    }
    // Node-RED leaves `${NAME}` as it is where no such variable is set.
    const unset = /^\$\{([^}]+)\}$/.exec(text);
    if (unset) {
      throw new TmError(
        'TM_ENV_UNSET',
        `The environment variable ${unset[1] ?? ''} is not set; the setting ${name} needs it.`,
      );
    }
    return text === '' ? fallback : text;
  }

  required(name: string, what: string): string {
    const text = this.text(name);
    if (text === '') throw new TmError('TM_SETTING_INVALID', `${name} is empty. Give ${what}.`);
    return text;
  }

  /** @param least smallest number allowed; `above` 0 means any positive one */
  number(
    name: string,
    fallback: number,
    range: { least?: number; above?: number; most: number; whole?: boolean },
  ): number {
    const text = this.text(name, String(fallback));
    const number = Number(text);
    const { least = -Infinity, above = -Infinity, most, whole = false } = range;
    if (
      !Number.isFinite(number) ||
      number < least ||
      number <= above ||
      number > most ||
      (whole && !Number.isInteger(number))
    ) {
      const from = above > -Infinity ? `more than ${above}` : `${least}`;
      throw invalid(name, text, `a ${whole ? 'whole ' : ''}number from ${from} to ${most}`);
    }
    return number;
  }

  choice<Choice extends string>(name: string, choices: readonly [Choice, ...Choice[]]): Choice {
    const text = this.text(name, choices[0]);
    const choice = choices.find((each) => each === text);
    if (choice === undefined) throw invalid(name, text, `one of ${choices.join(', ')}`);
    return choice;
  }
}

/** @param wanted what it must be, as in `a number from 1 to 10` */
export function invalid(name: string, value: unknown, wanted: string): TmError {
  return new TmError('TM_SETTING_INVALID', `${name} is ${quote(value)}; it must be ${wanted}.`);
}

const MINUTES_OF_A_YEAR = 525_600;

export interface ConfigSettings {
  /** URL; checked where it is used, for a flow may only read. */
  readonly endpoint: string;
  readonly timeZone: string;
  readonly statementTimeoutSeconds: number;
  readonly poolSize: number;
  readonly timestampFormat: TimestampFormat;
  readonly compression: 'auto' | 'none' | 'gzip';
  readonly requestTimeoutSeconds: number;
  readonly conflict: 'refused' | 'accepted';
  readonly longestRetryAfterSeconds: number;
  readonly state: 'file' | 'database';
  readonly stateDirectory: string;
  readonly bookmarkTable: string;
  readonly bookmarkNameColumn: string;
  readonly bookmarkTimestampColumn: string;
}

export function configSettings(raw: RawSettings): ConfigSettings {
  const read = new SettingsReader(raw);
  return {
    endpoint: read.text('endpoint'),
    timeZone: checkTimeZone(read.text('timeZone', 'UTC')),
    statementTimeoutSeconds: read.number('statementTimeoutSeconds', 60, { least: 1, most: 86_400 }),
    // One is kept for the clock.
    poolSize: read.number('poolSize', 4, { least: 2, most: 50, whole: true }),
    timestampFormat: read.choice('timestampFormat', TIMESTAMP_FORMATS),
    compression: read.choice('compression', ['auto', 'none', 'gzip']),
    requestTimeoutSeconds: read.number('requestTimeoutSeconds', 60, { least: 1, most: 3600 }),
    conflict: read.choice('conflict', ['refused', 'accepted']),
    longestRetryAfterSeconds: read.number('longestRetryAfterSeconds', 300, { least: 0, most: 86_400 }),
    state: read.choice('state', ['file', 'database']),
    stateDirectory: read.text('stateDirectory'),
    bookmarkTable: read.text('bookmarkTable'),
    bookmarkNameColumn: read.text('bookmarkNameColumn', 'name'),
    bookmarkTimestampColumn: read.text('bookmarkTimestampColumn', 'timestamp'),
  };
}

export type BookmarkAction = 'next' | 'commit' | 'set';

export function bookmarkAction(raw: RawSettings): BookmarkAction {
  return new SettingsReader(raw).choice('action', ['next', 'commit', 'set']);
}

/** Of a tm-bookmark whose action is *next window*. */
export function scheduleSettings(raw: RawSettings, timeZone: string): ScheduleSettings {
  const read = new SettingsReader(raw);
  const minutes = (name: string, fallback: number): number =>
    Math.max(1, Math.round(read.number(name, fallback, { above: 0, most: MINUTES_OF_A_YEAR }) * 60));
  const intervalSeconds = minutes('intervalMinutes', 1);
  const longestSeconds = minutes('longestMinutes', 30);
  if (longestSeconds < intervalSeconds) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `longestMinutes is ${longestSeconds / 60}, less than intervalMinutes, ${intervalSeconds / 60}: the longest window must hold an interval.`,
    );
  }
  return {
    start: scheduleStart(read, timeZone),
    intervalSeconds,
    longestSeconds,
    settleSeconds: Math.round(read.number('settleSeconds', 30, { least: 0, most: 604_800 })),
    lookbackSeconds: Math.round(
      read.number('lookbackMinutes', 0, { least: 0, most: MINUTES_OF_A_YEAR }) * 60,
    ),
    inFlight: read.number('inFlight', 1, { least: 1, most: 64, whole: true }),
    alarmSeconds: Math.round(read.number('alarmMinutes', 15, { least: 0, most: MINUTES_OF_A_YEAR }) * 60),
    timeZone,
  };
}

function scheduleStart(read: SettingsReader, timeZone: string): ScheduleStart {
  const at = read.choice('start', ['now', 'oldest', 'date']);
  if (at !== 'date') return { at };
  const text = read.required('startDate', 'a date such as "2026-01-31" or "2026-01-31T12:00:00Z"');
  try {
    return { at: Math.floor(parseInstant(text, 'startDate', timeZone)) };
  } catch (cause) {
    throw new TmError('TM_SETTING_INVALID', cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
}

export interface PostSettings {
  readonly largestBodyBytes: number;
  readonly inFlight: number;
  readonly attempts: number;
  readonly refused: 'hold' | 'setAside';
}

export function postSettings(raw: RawSettings): PostSettings {
  const read = new SettingsReader(raw);
  return {
    largestBodyBytes: Math.floor(read.number('largestBodyMB', 5, { above: 0, most: 100 }) * 1_000_000),
    inFlight: read.number('inFlight', 2, { least: 1, most: 64, whole: true }),
    attempts: read.number('attempts', 10, { least: 1, most: 1000, whole: true }),
    refused: read.choice('refused', ['hold', 'setAside']),
  };
}

export interface QueueNodeSettings {
  readonly queue: string;
  /** 0: this machine takes none. */
  readonly inFlight: number;
}

/** Names that both Redis and RabbitMQ take. */
const QUEUE_NAME = /^[\w.-]{1,100}$/;

export function queueSettings(raw: RawSettings): QueueNodeSettings {
  const read = new SettingsReader(raw);
  const queue = read.text('queue', 'turbomechanica');
  if (!QUEUE_NAME.test(queue)) {
    throw invalid('queue', queue, 'up to 100 letters, digits, dots, hyphens and underscores');
  }
  return { queue, inFlight: read.number('inFlight', 2, { least: 0, most: 64, whole: true }) };
}

export interface RequestSettings {
  readonly longestSeconds: number;
  readonly inFlight: number;
  readonly queueLimit: number;
  readonly keepDays: number;
  readonly keepTasks: number;
}

export function requestSettings(raw: RawSettings): RequestSettings {
  const read = new SettingsReader(raw);
  return {
    longestSeconds: Math.max(
      1,
      Math.round(read.number('longestMinutes', 30, { above: 0, most: MINUTES_OF_A_YEAR }) * 60),
    ),
    inFlight: read.number('inFlight', 1, { least: 1, most: 64, whole: true }),
    queueLimit: read.number('queueLimit', 100, { least: 1, most: 100_000, whole: true }),
    keepDays: read.number('keepDays', 7, { least: 0, most: 36_500 }),
    keepTasks: read.number('keepTasks', 1000, { least: 0, most: 1_000_000, whole: true }),
  };
}
