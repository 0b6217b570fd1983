/**
 * Finds the readings in the bytes of a posted body, so that it can be divided without printing a single number
 * anew: what is posted in pieces is byte for byte what was read. Whitespace, further fields and any order of
 * them are taken as they come; names such as `__proto__` never become a property.
 */
import { TmError } from '../errors';

/** One reading: its bytes, without the comma behind them. */
export interface ReadingRange {
  readonly start: number;
  readonly end: number;
  readonly sensor: number;
  /** The JSON of its timestamp, as it stands there; empty where it has none. */
  readonly timestamp: string;
}

export interface ScannedBody {
  /** The fields of the body but `data`, each with its key. */
  readonly fields: readonly { readonly key: string; readonly value: string }[];
  /** The JSON of each sensor's name. */
  readonly sensors: readonly string[];
  /** Sensor by sensor. */
  readonly readings: readonly ReadingRange[];
}

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const TIMESTAMP_KEY = Buffer.from('"timestamp"');

/** @throws TmError TM_MESSAGE_INVALID */
export function scanBody(body: Buffer): ScannedBody {
  return new Scanner(body).scan();
}

class Scanner {
  #at = 0;
  readonly #fields: { key: string; value: string }[] = [];
  readonly #sensors: string[] = [];
  readonly #readings: ReadingRange[] = [];

  constructor(readonly body: Buffer) {}

  scan(): ScannedBody {
    this.#members(OPEN_OBJECT, (from, to) => {
      const key = this.#text(from, to);
      if (key === '"data"') {
        this.#sensorLists();
        return;
      }
      const start = this.#at;
      this.#value();
      this.#fields.push({ key, value: this.#text(start, this.#at) });
    });
    return { fields: this.#fields, sensors: this.#sensors, readings: this.#readings };
  }

  #sensorLists(): void {
    this.#members(OPEN_OBJECT, (from, to) => {
      const sensor = this.#sensors.push(this.#text(from, to)) - 1;
      this.#members(OPEN_LIST, () => {
        this.#reading(sensor);
      });
    });
  }

  #reading(sensor: number): void {
    let timestamp = '';
    const start = this.#at;
    this.#members(OPEN_OBJECT, (from, to) => {
      const valueStart = this.#at;
      this.#value();
      if (this.#isTimestamp(from, to)) timestamp = this.#text(valueStart, this.#at);
    });
    this.#readings.push({ sensor, start, end: this.#at, timestamp });
  }

  /** The members of an object, or the items of a list: `each` gets the place of the key and moves behind the value. */
  #members(
    open: typeof OPEN_OBJECT | typeof OPEN_LIST,
    each: (keyStart: number, keyEnd: number) => void,
  ): void {
    const close = open === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_LIST;
    this.#expect(open);
    if (this.#next() === close) {
      this.#at++;
      return;
    }
    for (;;) {
      this.#next();
      const keyStart = this.#at;
      let keyEnd = keyStart;
      if (open === OPEN_OBJECT) {
        this.#string();
        keyEnd = this.#at;
        this.#expect(COLON);
        this.#next();
      }
      each(keyStart, keyEnd);
      const separator = this.#next();
      if (separator !== COMMA && separator !== close) throw this.#malformed();
      this.#at++;
      if (separator === close) return;
    }
  }

  /** Skips whitespace. @returns the byte behind it */
  #next(): number {
    const { body } = this;
    let byte = body[this.#at] ?? 0;
    while (byte === 32 || byte === 10 || byte === 13 || byte === 9) byte = body[++this.#at] ?? 0;
    return byte;
  }

  #expect(byte: number): void {
    if (this.#next() !== byte) throw this.#malformed();
    this.#at++;
  }

  #string(): void {
    this.#expect(QUOTE);
    for (;;) {
      const byte = this.body[this.#at++];
      if (byte === QUOTE) return;
      if (byte === BACKSLASH) this.#at++;
      if (byte === undefined) throw this.#malformed();
    }
  }

  /** Skips one value of any kind. */
  #value(): void {
    let depth = 0;
    do {
      const byte = this.#next();
      if (byte === QUOTE) {
        this.#string();
      } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        depth++;
        this.#at++;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        depth--;
        this.#at++;
      } else if (byte === COMMA || byte === COLON) {
        this.#at++;
      } else {
        this.#literal();
      }
    } while (depth > 0);
  }

  /** A number, true, false or null. */
  #literal(): void {
    const start = this.#at;
    for (;;) {
      const byte = this.body[this.#at] ?? 0;
      // Letters, digits, + - .
      const inside =
        (byte >= 48 && byte <= 57) ||
        (byte >= 97 && byte <= 122) ||
        byte === 43 ||
        byte === 45 ||
        byte === 46 ||
        byte === 69;
      if (!inside) break;
      this.#at++;
    }
    if (this.#at === start) throw this.#malformed();
  }

  #isTimestamp(start: number, end: number): boolean {
    if (end - start !== TIMESTAMP_KEY.length) return false;
    for (let at = 0; at < TIMESTAMP_KEY.length; at++) {
      if (this.body[start + at] !== TIMESTAMP_KEY[at]) return false;
    }
    return true;
  }

  #text(start: number, end: number): string {
    return this.body.toString('utf8', start, end);
  }

  #malformed(): TmError {
    return new TmError(
      'TM_MESSAGE_INVALID',
      `The body is not JSON of the form {start_time, end_time, data: {sensor: [{timestamp, value}]}}: byte ${this.#at} is unexpected.`,
    );
  }
}
