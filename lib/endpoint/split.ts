/**
 * Divides a batch in two, and those again: by time, where one timestamp is left by sensor, where one sensor is
 * left by reading. The pieces of a batch depend on the batch alone, so whatever size or search leads to one,
 * it is byte for byte the same each time, and goes out under the same key.
 */
import { scanBody, type ReadingRange, type ScannedBody } from './body';
import { compareInstants, parsePosted, type Instant } from './instant';

/** A part of a window, ready to post. */
export interface Batch {
  /** The edges, as the body has them. */
  readonly start_time: string;
  readonly end_time: string;
  readonly body: Buffer;
  readonly readings: number;
}

/** The batch in pieces of at most `maxBytes`, in order of time; a single reading that is larger stays. */
export function splitBatch(batch: Batch, maxBytes: number): Batch[] {
  const halves = batch.body.length > maxBytes ? halve(batch) : undefined;
  return halves ? halves.flatMap((half) => splitBatch(half, maxBytes)) : [batch];
}

/**
 * In two of about the same size. By time, their edges tile the batch's; the pieces of one timestamp share them.
 * @returns undefined where there is but one reading
 * @throws TmError TM_MESSAGE_INVALID where the body is not one
 */
export function halve(batch: Batch): readonly [Batch, Batch] | undefined {
  const scanned = scanBody(batch.body);
  const { readings } = scanned;
  if (readings.length < 2) return undefined;
  const cut = cutByTime(batch, readings) ?? cutByPlace(batch, readings);
  const [left, right] = cut.sides;
  return [
    piece(batch, scanned, left, batch.start_time, cut.leftEnd),
    piece(batch, scanned, right, cut.rightStart, batch.end_time),
  ];
}

/**
 * How small the smallest body with one of its readings is, or a little less: edges that are cut by time may be
 * longer than those of the batch.
 * @throws TmError TM_MESSAGE_INVALID where the body is not one
 */
export function smallestPieceBytes(batch: Batch): number {
  const { fields, sensors, readings } = scanBody(batch.body);
  const frame = fields.reduce((sum, { key, value }) => sum + Buffer.byteLength(`${key}:${value},`), 0);
  const named = sensors.map((sensor) => frame + Buffer.byteLength(`{"data":{${sensor}:[]}}`));
  return readings.reduce(
    (smallest, { sensor, start, end }) => Math.min(smallest, (named[sensor] ?? 0) + end - start),
    batch.body.length,
  );
}

interface Cut {
  readonly sides: readonly [readonly ReadingRange[], readonly ReadingRange[]];
  readonly leftEnd: string;
  readonly rightStart: string;
}

/** @returns undefined where all readings have one timestamp, or their timestamps do not tell their order */
function cutByTime(batch: Batch, readings: readonly ReadingRange[]): Cut | undefined {
  const start = parsePosted(batch.start_time);
  const end = parsePosted(batch.end_time);
  if (!start || !end) return undefined;
  const stamps = new Map<string, { readonly instant: Instant; bytes: number }>();
  for (const { timestamp, start: from, end: to } of readings) {
    const known = stamps.get(timestamp);
    if (known) {
      known.bytes += to - from;
      continue;
    }
    const instant = parsePosted(timestamp === '' ? undefined : JSON.parse(timestamp));
    if (instant?.zoned !== start.zoned || instant.zoned !== end.zoned) return undefined;
    stamps.set(timestamp, { instant, bytes: to - from });
  }
  const inOrder = [...stamps.values()].sort((a, b) => compareInstants(a.instant, b.instant));
  const first = middle(inOrder, (before, at) => compareInstants(before.instant, at.instant) < 0);
  const cutAt = first === undefined ? undefined : inOrder[first]?.instant;
  if (!cutAt) return undefined;
  // Readings outside of their window (a hand-made body): an edge outside of it would not tile it.
  if (compareInstants(start, cutAt) >= 0 || compareInstants(cutAt, end) >= 0) return undefined;
  const isLeft = new Map<string, boolean>();
  for (const [timestamp, { instant }] of stamps) isLeft.set(timestamp, compareInstants(instant, cutAt) < 0);
  const left = readings.filter(({ timestamp }) => isLeft.get(timestamp));
  const right = readings.filter(({ timestamp }) => !isLeft.get(timestamp));
  return { sides: [left, right], leftEnd: cutAt.edge, rightStart: cutAt.edge };
}

/** Between two sensors; where there is one alone, between two of its readings. */
function cutByPlace(batch: Batch, readings: readonly ReadingRange[]): Cut {
  const sized = readings.map((reading) => ({ sensor: reading.sensor, bytes: reading.end - reading.start }));
  const at =
    middle(sized, (before, behind) => before.sensor !== behind.sensor) ?? middle(sized, () => true) ?? 1;
  return {
    sides: [readings.slice(0, at), readings.slice(at)],
    leftEnd: batch.end_time,
    rightStart: batch.start_time,
  };
}

/** The place, of those where `mayCut`, that leaves the most equal halves. @returns the index behind it */
function middle<Item extends { readonly bytes: number }>(
  items: readonly Item[],
  mayCut: (before: Item, behind: Item) => boolean,
): number | undefined {
  const half = items.reduce((sum, { bytes }) => sum + bytes, 0) / 2;
  let best: number | undefined;
  let bestDistance = Infinity;
  let left = 0;
  let before: Item | undefined;
  for (const [index, item] of items.entries()) {
    const distance = Math.abs(left - half);
    if (before && distance < bestDistance && mayCut(before, item)) {
      best = index;
      bestDistance = distance;
    }
    left += item.bytes;
    before = item;
  }
  return best;
}

/** The body with other edges and fewer readings; its further fields stay. */
function piece(
  batch: Batch,
  { fields, sensors }: ScannedBody,
  readings: readonly ReadingRange[],
  start: string,
  end: string,
): Batch {
  const edges: Readonly<Record<string, string>> = { '"start_time"': start, '"end_time"': end };
  const head: string[] = [];
  for (const { key, value } of fields) {
    const edge = Object.hasOwn(edges, key) ? edges[key] : undefined;
    head.push(`${key}:${edge === undefined ? value : JSON.stringify(edge)}`);
  }
  const chunks: Uint8Array[] = [Buffer.from(`{${head.map((field) => `${field},`).join('')}"data":{`)];
  let sensor = -1;
  let from = 0;
  let to = 0;
  for (const reading of readings) {
    // Readings that stand side by side go over as one, with their comma.
    if (reading.sensor === sensor && reading.start === to + 1) {
      to = reading.end;
      continue;
    }
    chunks.push(batch.body.subarray(from, to), Buffer.from(separator(sensor, reading.sensor, sensors)));
    ({ sensor, start: from, end: to } = reading);
  }
  chunks.push(batch.body.subarray(from, to));
  chunks.push(Buffer.from(']}}'));
  return { start_time: start, end_time: end, body: Buffer.concat(chunks), readings: readings.length };
}

function separator(before: number, sensor: number, sensors: readonly string[]): string {
  if (before === sensor) return ',';
  return `${before < 0 ? '' : '],'}${sensors[sensor] ?? ''}:[`;
}
