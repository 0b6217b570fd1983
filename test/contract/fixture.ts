/** What the contract suite needs of an engine: a database of its own, and how its types are called. */
import type { Engine } from '../../lib/source/engine';
import type { EngineSettings } from '../../lib/source/engine-settings';

export interface EngineFixture {
  /** As in the titles of tests, and in docs/value-types.md. */
  readonly name: string;
  readonly types: {
    readonly text: string;
    /** Text of at most, or of exactly, so many characters. */
    varchar(length: number): string;
    char(length: number): string;
    readonly double: string;
    readonly integer: string;
    readonly bigint: string;
    /** Of the finest precision there is. */
    readonly instant: string | undefined;
    readonly naive: string | undefined;
  };
  /** Every type that a column of time may have. */
  readonly times: readonly TimeType[];
  /** Every type that a value may have. */
  readonly values: readonly ValueCase[];
  /** Every type that a sensor may have, with a name and how it is posted. */
  readonly sensors: readonly { readonly type: string; readonly text: string; readonly posted?: string }[];
  /** Address and all else of the database; only inside tests and hooks. */
  settings(): EngineSettings;
  /** The engine itself, where it keeps every statement from writing; undefined where only the SQL's form does. */
  readonly readOnly: (() => Engine) | undefined;
  readonly quote: (name: string) => string;
  /** Runs SQL as an administrator. */
  readonly execute: (statement: string) => Promise<void>;
  /** A literal of the engine for a text; numbers are given as text too where the engine converts them. */
  readonly literal: (text: string) => string;
  /** SELECT of so many rows: columns sensor ('a'), ts (naive or instant, 10 ms apart from 2026-01-01 on), value. */
  readonly manyRows: (count: number) => string;
  /** The user's own SQL that takes longer than a second to give its first row, unless it is cancelled. */
  readonly slowSql: string | undefined;
  /** How many statements of the connector the server is working at. */
  readonly busy: () => Promise<number>;
  /** Ends every connection of the connector; undefined where there are none. */
  readonly cut: (() => Promise<void>) | undefined;
  /** Settings with which no server answers, and with which it refuses; undefined where there is no server. */
  readonly wrong?: { unreachable(): EngineSettings; refused(): EngineSettings | undefined };
}

export interface TimeType {
  readonly type: string;
  readonly kind: 'instant' | 'naive' | 'date' | 'epoch' | 'text';
  /** Digits of a second that it keeps. */
  readonly digits: number;
  /** For the title, where the type alone does not say it. */
  readonly title?: string;
  /** What is inserted for a time. */
  write(time: TestTime): string;
}

export interface TestTime {
  /** Whole seconds since 1970. */
  readonly seconds: number;
  /** Digits behind the point, as many as the type keeps at most. */
  readonly fraction: string;
  /** Wall clock of the source's zone, `2026-01-31 12:00:00`. */
  readonly local: string;
}

export interface ValueCase {
  readonly type: string;
  /** SQL literals. */
  readonly literals: readonly string[];
  /** What each is posted as. */
  readonly posted: readonly unknown[];
}

const withPoint = (fraction: string): string => (fraction === '' ? '' : `.${fraction}`);
const utc = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 19);

/** Ways to write a time that several engines share. */
export const writeTime = {
  local: ({ local, fraction }: TestTime): string => local + withPoint(fraction),
  date: ({ local }: TestTime): string => local.slice(0, 10),
  isoUtc: ({ seconds, fraction }: TestTime): string => `${utc(seconds)}${withPoint(fraction)}Z`,
  isoLocal: ({ local, fraction }: TestTime): string => local.replace(' ', 'T') + withPoint(fraction),
  offset: ({ seconds, fraction }: TestTime): string => `${utc(seconds + 19_800)}${withPoint(fraction)}+05:30`,
  instant: ({ seconds, fraction }: TestTime): string =>
    `${utc(seconds).replace('T', ' ')}${withPoint(fraction)}+00:00`,
  epochSeconds: ({ seconds, fraction }: TestTime): string => `${seconds}${withPoint(fraction)}`,
  epochMilliseconds: ({ seconds, fraction }: TestTime): string => `${seconds}${fraction.padEnd(3, '0')}`,
  epochMicroseconds: ({ seconds, fraction }: TestTime): string => `${seconds}${fraction.padEnd(6, '0')}`,
} as const;
