/**
 * How long to wait after failures: exponential with full jitter. Each delay is drawn from nothing up to the
 * ceiling, so that connectors that lost the cloud together do not come back together.
 */
const BASE_MS = 1_000;
const CAP_MS = 60_000;

/** Uniform in [0, 1). */
export type Random = () => number;

/** @param failures in a row, from 1 */
export function backoffMs(failures: number, random: Random): number {
  return random() * ceilingMs(failures);
}

/**
 * For an endpoint that holds: somebody has to mend something, which takes longer than a lucky draw. At least
 * half of the ceiling.
 */
export function holdBackoffMs(failures: number, random: Random): number {
  return ((1 + random()) / 2) * ceilingMs(failures);
}

function ceilingMs(failures: number): number {
  return Math.min(CAP_MS, BASE_MS * 2 ** (failures - 1));
}
