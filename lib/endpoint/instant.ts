/** Timestamps of readings as they are posted, in order: text of any precision, or milliseconds since 1970. */

export interface Instant {
  readonly seconds: number;
  /** Digits behind the point without zeros at their end, so that any precision compares as text. */
  readonly fraction: string;
  /** Zoned: with `Z` or an offset. Numbers are zoned by nature. */
  readonly zoned: boolean;
  /** As an edge between two batches: always text. */
  readonly edge: string;
}

const ISO = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:\d{2})?$/;

/** @returns undefined for what is not a timestamp, and so has no place in any order */
export function parsePosted(timestamp: unknown): Instant | undefined {
  if (typeof timestamp === 'number') {
    if (!Number.isInteger(timestamp) || Math.abs(timestamp) > 8.64e15) return undefined;
    const edge = new Date(timestamp).toISOString().replace('.000Z', 'Z');
    const fraction = /\.(\d+)Z$/.exec(edge)?.[1]?.replace(/0+$/, '') ?? '';
    return { seconds: Math.floor(timestamp / 1000), fraction, zoned: true, edge };
  }
  const match = typeof timestamp === 'string' ? ISO.exec(timestamp) : null;
  if (!match) return undefined;
  const [edge, date = '', time = '', fraction = '', zone] = match;
  const milliseconds = Date.parse(`${date}T${time}${zone ?? 'Z'}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return {
    seconds: milliseconds / 1000,
    fraction: fraction.replace(/0+$/, ''),
    zoned: zone !== undefined,
    edge,
  };
}

export function compareInstants(a: Instant, b: Instant): number {
  if (a.seconds !== b.seconds) return a.seconds - b.seconds;
  return a.fraction < b.fraction ? -1 : a.fraction > b.fraction ? 1 : 0;
}
