/** What the suite saw, for docs/value-types.md: `npm run value-types` gives a file to write it to. */
import { appendFileSync } from 'node:fs';

export interface SeenValues {
  readonly engine: string;
  readonly values: string;
  /** SQL literals, and the JSON that each was posted as. */
  readonly seen: readonly (readonly [literal: string, json: string])[];
}

export interface SeenTime {
  readonly engine: string;
  readonly time: string;
  readonly seen: readonly [stored: string, posted: string];
}

/** @param posted JSON */
export function recordValues(
  engine: string,
  type: string,
  literals: readonly string[],
  posted: readonly string[],
): void {
  append({
    engine,
    values: type,
    seen: literals.map((literal, index) => [literal, posted[index] ?? ''] as const),
  });
}

export function recordTime(engine: string, type: string, stored: string, posted = ''): void {
  append({ engine, time: type, seen: [stored, posted] });
}

function append(line: SeenValues | SeenTime): void {
  const file = process.env.VALUE_TYPES_FILE;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
}
