/**
 * What is kept of a bookmark, and the rules by which it moves: which window is due next, and how far the unbroken
 * run of delivered ones reaches. Without a store and without time of its own.
 */
import { TmError } from './errors';
import { formatLease, parseLease, type Lease } from './lease';
import type { JsonObject } from './state/store';
import {
  formatInstant,
  formatWindow,
  parseInstant,
  parseWindow,
  type EpochSeconds,
  type Window,
} from './window';

export interface BookmarkState {
  position: EpochSeconds | undefined;
  /** Where it was started or set by hand: what lies before was not asked for, whatever is read again. */
  origin: EpochSeconds | undefined;
  /** Given out, not yet delivered; in order of their starts. */
  issued: Window[];
  /** Delivered beyond the position; in order of their starts. */
  ahead: Window[];
  /** Who gives out windows. */
  lease: Lease | undefined;
}

export const EMPTY: BookmarkState = {
  position: undefined,
  origin: undefined,
  issued: [],
  ahead: [],
  lease: undefined,
};

export interface Plan {
  /** No window ends behind this instant: the database's clock less the settle delay. */
  readonly horizon: EpochSeconds;
  /** How much new data makes a window due. */
  readonly intervalSeconds: number;
  readonly longestSeconds: number;
  /** How much of what lies before is read again with each window, for readings that came late. */
  readonly lookbackSeconds: number;
  /** How many windows may be given out and undelivered, or delivered ahead of a gap, at a time. */
  readonly inFlight: number;
}

/**
 * The next window to give out: as long as allowed while there is a backlog, else whole intervals once one is
 * over. Within the windows under way at most `inFlight` lie beyond the position, delivered ones included: a
 * window that fails again and again does not let the rest run away from it.
 */
export function nextWindow(state: BookmarkState, plan: Plan): Window | undefined {
  if (state.position === undefined) return undefined;
  if (state.issued.length >= plan.inFlight) return undefined;
  let start = state.position;
  let limit = plan.horizon;
  let isGap = false;
  for (const window of [...state.issued, ...state.ahead].sort((a, b) => a.start - b.start)) {
    if (window.start > start) {
      // A gap before what was committed by hand: filled whatever its length.
      limit = Math.min(limit, window.start);
      isGap = true;
      break;
    }
    start = Math.max(start, window.end);
  }
  const fillsGap = limit < plan.horizon;
  if (!isGap && state.issued.length + state.ahead.length >= plan.inFlight) return undefined;
  const available = limit - start;
  let length = plan.longestSeconds;
  if (available < length) {
    length = fillsGap ? available : Math.floor(available / plan.intervalSeconds) * plan.intervalSeconds;
  }
  if (length <= 0) return undefined;
  const from = Math.max(start - plan.lookbackSeconds, state.origin ?? start);
  return { start: Math.min(from, start), end: start + length };
}

/** Moves the position over the windows ahead that it has reached; where there is none yet, they wait for it. */
export function absorb(state: BookmarkState): void {
  state.ahead.sort((a, b) => a.start - b.start);
  const { position } = state;
  if (position === undefined) {
    state.ahead = joined(state.ahead);
    return;
  }
  let reached = position;
  for (let first = state.ahead[0]; first && first.start <= reached; first = state.ahead[0]) {
    reached = Math.max(reached, first.end);
    state.ahead.shift();
  }
  state.position = reached;
}

/** Windows in order of their starts, without seams. */
function joined(windows: readonly Window[]): Window[] {
  const runs: { start: EpochSeconds; end: EpochSeconds }[] = [];
  for (const { start, end } of windows) {
    const last = runs.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else runs.push({ start, end });
  }
  return runs;
}

export function formatState(state: BookmarkState): JsonObject {
  return {
    position: state.position === undefined ? null : formatInstant(state.position),
    origin: state.origin === undefined ? undefined : formatInstant(state.origin),
    issued: state.issued.map((window) => ({ ...formatWindow(window) })),
    ahead: state.ahead.map((window) => ({ ...formatWindow(window) })),
    lease: formatLease(state.lease),
  };
}

export function parseState(record: Readonly<Record<string, unknown>>, name: string): BookmarkState {
  const windows = (value: unknown): Window[] =>
    Array.isArray(value) ? value.map((item) => parseWindow(item)) : [];
  const instant = (value: unknown, field: string): EpochSeconds | undefined =>
    value === null || value === undefined ? undefined : parseInstant(value, field, 'UTC');
  try {
    const position = instant(record.position, 'position');
    return {
      position,
      origin: instant(record.origin, 'origin') ?? position,
      issued: windows(record.issued),
      ahead: windows(record.ahead),
      lease: parseLease(record.lease),
    };
  } catch (cause) {
    throw new TmError(
      'TM_STATE_UNREADABLE',
      `The state of bookmark "${name}" cannot be understood: ${cause instanceof Error ? cause.message : String(cause)} Mend it, or delete it and set the bookmark by hand with a tm-bookmark (set).`,
      { cause },
    );
  }
}
