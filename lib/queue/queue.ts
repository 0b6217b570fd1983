/**
 * Windows that several machines share, whatever broker carries them. Only which window it is goes into the
 * broker: the truth about what is delivered is the bookmark that all machines see, so that whatever a broker
 * loses or hands out twice is put right by it.
 */
import { createHash } from 'node:crypto';
import { TmError } from '../errors';
import type { Receipt, TransferOwner } from '../transfer';
import { formatWindow, parseWindow, quote, type Window, type WindowText } from '../window';

/** A window as it lies in the queue. */
export interface QueuedWindow {
  readonly window: Window;
  readonly owner: TransferOwner;
}

/** What became of a window that was taken; without a receipt there was nothing to deliver any more. */
export interface Done {
  readonly receipt?: Receipt;
}

/**
 * Delivers one window. Resolves when it may be forgotten: delivered, and committed where it has a bookmark.
 * Rejects with TM_CLOSED where this machine stops (another may have it at once), else with why it failed (it is
 * given back, and comes again after a pause).
 */
export type Deliver = (queued: QueuedWindow) => Promise<Done>;

export interface WindowQueue {
  /** A window of which nothing was heard for so long is put again; a repeat is harmless. */
  readonly repeatAfterSeconds: number;
  /** Resolves when the broker keeps it. @throws TmError TM_BROKER_UNREACHABLE */
  put(queued: QueuedWindow): Promise<void>;
  /** From now on takes windows, at most so many at a time. Called once. */
  take(atOnce: number, deliver: Deliver): void;
  /** Gives back what is not delivered; resolves in a few seconds, whatever the broker does. */
  close(): Promise<void>;
}

export interface QueueSettings {
  /** Of this queue in the broker, told apart from others' there. */
  readonly name: string;
}

/** What a queue tells; none of it may throw. */
export interface QueueListener {
  /** A window is done with, on this machine or another: a hint, which may be lost. */
  onDone(key: string, done: Done): void;
  /** The broker is there, or there again: it may have lost what it had. */
  onConnected(): void;
  onUnreachable(error: TmError): void;
  /** What no window reports: a message in the queue that is not one. */
  onProblem(error: TmError): void;
}

/** The same for the same window of the same owner, on whatever machine: what is put twice is known by it. */
export function keyOf({ window, owner: { bookmark, task } }: QueuedWindow): string {
  const whose = JSON.stringify([bookmark ?? null, task ?? null, window.start, window.end]);
  return createHash('sha256').update(whose).digest('base64url');
}

/**
 * @param name as the user chose it
 * @param sourceId machines that read another database must not take windows of this one
 */
export function queueName(name: string, sourceId: string): string {
  return `${name}.${createHash('sha256').update(sourceId).digest('hex').slice(0, 8)}`;
}

/** Ids and bounds, and nothing else. */
export interface QueuedText extends WindowText {
  readonly bookmark?: string;
  readonly task?: string;
}

export function formatQueued({ window, owner: { bookmark, task } }: QueuedWindow): QueuedText {
  return {
    ...formatWindow(window),
    ...(bookmark === undefined ? {} : { bookmark }),
    ...(task === undefined ? {} : { task }),
  };
}

/** @throws TmError TM_MESSAGE_INVALID */
export function parseQueued(message: unknown): QueuedWindow {
  const { bookmark, task }: Partial<Record<'bookmark' | 'task', unknown>> =
    typeof message === 'object' && message !== null ? message : {};
  try {
    return {
      window: parseWindow(message),
      owner: {
        ...(typeof bookmark === 'string' ? { bookmark } : {}),
        ...(typeof task === 'string' ? { task } : {}),
      },
    };
  } catch (cause) {
    throw new TmError(
      'TM_MESSAGE_INVALID',
      `A message in the queue is no window, and was taken out: ${quote(message)}. Does something else write to this queue?`,
      { cause },
    );
  }
}

/** What another machine says of a window that it is done with. */
export function parseDone(message: unknown): Done {
  const { receipt }: { receipt?: unknown } = typeof message === 'object' && message !== null ? message : {};
  return isReceipt(receipt) ? { receipt } : {};
}

const RECEIPT = ['readings', 'sensors', 'batches', 'bytes', 'duration_ms'] as const;

function isReceipt(value: unknown): value is Receipt {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Partial<Record<keyof Receipt, unknown>> = value;
  return RECEIPT.every((name) => typeof fields[name] === 'number');
}

const LONGEST_PAUSE_SECONDS = 60;

/** Before a window that has failed so many times, at least once, is handed out again. */
export function pauseSeconds(failures: number): number {
  return Math.min(2 ** (failures - 1), LONGEST_PAUSE_SECONDS);
}
