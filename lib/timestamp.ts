/**
 * Timestamps from a database's text to the posted text, byte by byte and with every digit of their precision:
 * they are never a JS Date, which would drop microseconds.
 */
import { TmError } from './errors';
import type { EpochDigits, TimeColumn } from './source/columns';
import { doubledHour, toLocal, toUtc } from './zone';

/** `iso`: UTC with `Z`; `naive`: wall clock of the source's zone, as the Python connector sent; `epoch-ms`: a number. */
export const TIMESTAMP_FORMATS = ['iso', 'naive', 'epoch-ms'] as const;
export type TimestampFormat = (typeof TIMESTAMP_FORMATS)[number];

/** `2026-01-31 12:00:00.123456`, with `T` too, or a date alone; an offset behind it says that it is an instant. */
const NATIVE =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?!00)\d{2})(?:[ T](\d{2}:\d{2})(?::(\d{2}(?:\.\d+)?))?)?(?:\s?(Z|[+-]\d{2}(?::?\d{2})?))?$/;

/** How a text begins among numbers, in a column that may hold either. */
const DATE = /^\d{4}-\d{2}-/;

/** Years of four digits. */
const FIRST_SECOND = Date.parse('0000-01-01T00:00:00Z') / 1000;
const LAST_SECOND = Date.parse('9999-12-31T23:59:59Z') / 1000;

export class TimestampWriter {
  /** Minutes already converted: stamps come in order, so one entry serves thousands of rows. */
  #minute = '';
  #utcMinute = '';
  #doubled = false;
  #epochMinute = NaN;
  #epochMinuteText = '';

  /** @param epochDigits of numbers: how many of their digits are fractions of a second */
  constructor(
    readonly format: TimestampFormat,
    readonly kind: TimeColumn['kind'],
    readonly timeZone: string,
    readonly epochDigits: EpochDigits = 0,
  ) {}

  /** Whether the last stamp was of a local hour that occurs twice: it was taken as of the first. */
  get doubled(): boolean {
    return this.#doubled;
  }

  /** @returns JSON: a quoted text, or a number for `epoch-ms` */
  json(native: string): string {
    const text = this.text(native);
    return this.format === 'epoch-ms' ? text : `"${text}"`;
  }

  /** As {@link json}; undefined for what is not of a calendar of four-digit years, as `infinity` is not. */
  jsonIfTime(native: string): string | undefined {
    return ifTime(() => this.json(native));
  }

  /** As {@link json}, without quotes. */
  text(native: string): string {
    const {
      date,
      time,
      seconds,
      offset = this.kind === 'instant' ? 'Z' : undefined,
    } = this.kind === 'epoch' && !DATE.test(native) ? this.#epoch(native) : calendar(native);
    switch (this.format) {
      case 'iso':
        return `${this.#toUtcMinute(date, time, offset)}:${seconds}Z`;
      case 'naive':
        return `${this.#toLocalMinute(date, time, offset)}:${seconds}`;
      case 'epoch-ms':
        return String(
          Math.floor(Date.parse(`${this.#toUtcMinute(date, time, offset)}:${milliseconds(seconds)}Z`)),
        );
    }
  }

  /** A window's edge in the same format as the readings: always text, `epoch-ms` keeps ISO edges. */
  edge(instant: string): string {
    return this.format === 'naive'
      ? this.#toLocalMinute(instant.slice(0, 10), instant.slice(11, 16), 'Z') + instant.slice(16, -1)
      : instant;
  }

  /** An edge between two batches, from the native text of the first reading behind it. */
  edgeOf(native: string): string {
    if (this.format !== 'epoch-ms') return this.text(native);
    const edge = new TimestampWriter('iso', this.kind, this.timeZone, this.epochDigits).text(native);
    // No finer than the readings, which would lie before their batch otherwise.
    return edge.replace(/(\.\d{3})\d+Z$/, '$1Z');
  }

  /** As {@link edgeOf}; undefined as in {@link jsonIfTime}. */
  edgeIfTime(native: string): string | undefined {
    return ifTime(() => this.edgeOf(native));
  }

  /** The edge right behind a reading: a microsecond later; or a nanosecond, or a millisecond, as stamps are. */
  edgeBehind(native: string): string {
    const edge = this.edgeOf(native);
    const [whole = '', fraction = ''] = edge.replace('Z', '').split('.');
    const digits = this.format === 'epoch-ms' ? 3 : fraction.length > 6 ? 9 : 6;
    const later = Number(fraction.padEnd(digits, '0')) + 1;
    const zone = edge.endsWith('Z') ? 'Z' : '';
    if (String(later).length <= digits) return `${whole}.${String(later).padStart(digits, '0')}${zone}`;
    return `${new Date(Date.parse(`${whole}Z`) + 1000).toISOString().slice(0, 19)}${zone}`;
  }

  #epoch(native: string): CalendarTime {
    const { seconds, fraction } = epochParts(native, this.epochDigits);
    const minute = Math.floor(seconds / 60);
    if (minute !== this.#epochMinute) {
      this.#epochMinute = minute;
      this.#epochMinuteText = minuteText(minute * 60);
    }
    const second = String(seconds - minute * 60).padStart(2, '0');
    return {
      date: this.#epochMinuteText.slice(0, 10),
      time: this.#epochMinuteText.slice(11),
      seconds: fraction === '' ? second : `${second}.${fraction}`,
      offset: 'Z',
    };
  }

  #toUtcMinute(date: string, time: string, offset: string | undefined): string {
    if (offset === undefined ? this.timeZone === 'UTC' : offsetMinutes(offset) === 0)
      return `${date}T${time}`;
    const key = `${date}T${time}${offset ?? ''}`;
    if (key === this.#minute) return this.#utcMinute;
    const local = Date.parse(`${date}T${time}Z`) / 1000;
    const utc = offset === undefined ? toUtc(local, this.timeZone) : local - offsetMinutes(offset) * 60;
    this.#minute = key;
    this.#utcMinute = minuteText(utc);
    this.#doubled = offset === undefined && doubledHour(utc, this.timeZone) !== undefined;
    return this.#utcMinute;
  }

  #toLocalMinute(date: string, time: string, offset: string | undefined): string {
    if (offset === undefined || this.timeZone === 'UTC')
      return offset === undefined ? `${date}T${time}` : this.#toUtcMinute(date, time, offset);
    const utc = Date.parse(`${this.#toUtcMinute(date, time, offset)}Z`) / 1000;
    return minuteText(toLocal(utc, this.timeZone));
  }
}

interface CalendarTime {
  readonly date: string;
  readonly time: string;
  readonly seconds: string;
  readonly offset: string | undefined;
}

function ifTime(text: () => string): string | undefined {
  try {
    return text();
  } catch (error) {
    if (error instanceof TmError) return undefined;
    throw error;
  }
}

/** @throws TmError TM_QUERY_COLUMNS */
function calendar(native: string): CalendarTime {
  const match = NATIVE.exec(native);
  // `infinity`, years beyond four digits and MySQL's 0000-00-00 cannot be inside a window.
  if (!match) throw notATime(native);
  const [, date = '', time = '00:00', seconds = '00', offset] = match;
  if (!isDay(date) || time > '23:59' || time.slice(3) > '59' || seconds >= '61') throw notATime(native);
  return { date, time, seconds, offset };
}

/** Texts may say February 30, and MySQL may hold it. */
function isDay(date: string): boolean {
  const day = date.slice(8);
  if (day <= '28') return true;
  const month = date.slice(5, 7);
  if (month === '02') {
    const year = Number(date.slice(0, 4));
    return day === '29' && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  }
  return day <= (['04', '06', '09', '11'].includes(month) ? '30' : '31');
}

/** A number since 1970, every digit of it; one in a form such as 1.7e+12 is read as the double that it stands for. */
function epochParts(native: string, digits: EpochDigits): { seconds: number; fraction: string } {
  const match = /^(-?\d+)(?:\.(\d+))?$/.exec(native);
  const [, whole = '', part = ''] = match ?? [];
  if (!match) {
    const number = Number(native);
    if (native.trim() === '' || !Number.isFinite(number)) throw notATime(native);
    return epochParts(Number.isInteger(number) ? String(BigInt(number)) : number.toFixed(9), digits);
  }
  const scale = 10n ** BigInt(digits + part.length);
  const scaled = BigInt(whole + part);
  const below = ((scaled % scale) + scale) % scale;
  const seconds = Number((scaled - below) / scale);
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) throw notATime(native);
  const fraction = String(below)
    .padStart(digits + part.length, '0')
    .replace(/0+$/, '');
  return { seconds, fraction };
}

function notATime(native: string): TmError {
  return new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp ${JSON.stringify(native.slice(0, 40))} is not one of a calendar.`,
  );
}

function minuteText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 16);
}

function milliseconds(seconds: string): string {
  const [whole = '00', fraction = ''] = seconds.split('.');
  return `${whole}.${fraction.padEnd(3, '0').slice(0, 3)}`;
}

function offsetMinutes(offset: string): number {
  if (offset === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '').padEnd(4, '0');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return offset.startsWith('-') ? -minutes : minutes;
}
