/** The delivery of one task's windows: so many under way at a time, a failed one again after a pause. */
import { asTmError, TmError, type TmErrorCode } from './errors';
import { withSignals } from './signals';
import { noteDelivered, windowAt, windowsTotal, type TaskRecord } from './task-record';
import type { Receipt, TransferOutcome } from './transfer';
import type { Window } from './window';

/** A task that changes only in `keep`. */
export interface TaskUnderWay {
  /** As it is durable. */
  readonly record: Readonly<TaskRecord>;
}

/** What is used of a window under way. */
export interface WindowUnderWay {
  readonly outcome: Promise<TransferOutcome>;
  fail(error: TmError): void;
}

export interface RunSurroundings {
  readonly inFlight: number;
  /** Sends a window on to be read and posted. */
  emit(window: Window): WindowUnderWay;
  /** Changes the task; resolves when that is durable. Rejects with the reason of the signal. */
  keep(change: (record: TaskRecord) => void, signal: AbortSignal): Promise<void>;
  /** Waits before something that failed is tried again. Rejects with the reason of the signal. */
  pause(error: TmError, seconds: number, signal: AbortSignal): Promise<void>;
}

/** How long a failed window waits each time, in seconds; after the last of them its task may have failed. */
const RETRY_PAUSES_SECONDS: readonly number[] = [10, 30, 60, 300, 600];

/** Growing, and the longest again and again. */
export function retryPauseSeconds(failures: number): number {
  return RETRY_PAUSES_SECONDS[failures] ?? RETRY_PAUSES_SECONDS.at(-1) ?? 0;
}

/** Outages, and what an administrator mends: no reason to give a task up, however long they last. */
const PASSING: ReadonlySet<TmErrorCode> = new Set<TmErrorCode>([
  'TM_DATABASE_UNREACHABLE',
  'TM_DATABASE_REFUSED',
  'TM_ENDPOINT_UNAVAILABLE',
  'TM_ENDPOINT_HOLD',
  'TM_STATE_UNREADABLE',
  'TM_STATE_WRITE',
  'TM_BROKER_UNREACHABLE',
  'TM_CLOSED',
]);

/**
 * Resolves when every window is delivered. Rejects with why one was not, or with the signal's reason; nothing
 * of the task is under way then.
 */
export async function deliverTask(
  task: TaskUnderWay,
  surroundings: RunSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  await withSignals([signal, failed.signal], async (either) => {
    const total = windowsTotal(task.record);
    const underWay = new Map<number, Promise<void>>();
    try {
      while (task.record.delivered < total) {
        either.throwIfAborted();
        const { delivered, ahead } = task.record;
        // Counted from the unbroken run: the rest does not run away from a window that fails again and again.
        const end = Math.min(total, delivered + surroundings.inFlight);
        for (let index = delivered; index < end; index++) {
          if (underWay.has(index) || ahead.includes(index)) continue;
          const delivery = deliverWindow(task.record, index, surroundings, either);
          underWay.set(
            index,
            delivery.finally(() => underWay.delete(index)),
          );
        }
        await Promise.race(underWay.values());
      }
    } catch (error) {
      failed.abort(new TmError('TM_CANCELLED', 'Another window of the same task failed for good.'));
      await Promise.allSettled(underWay.values());
      throw error;
    }
  });
}

async function deliverWindow(
  task: Readonly<TaskRecord>,
  index: number,
  surroundings: RunSurroundings,
  signal: AbortSignal,
): Promise<void> {
  const window = windowAt(task, index);
  let failuresForGood = 0;
  for (let failures = 0; ; failures++) {
    const outcome = await send(window, surroundings, signal);
    if (outcome.state === 'delivered') {
      const { receipt } = outcome;
      return surroundings.keep((record) => {
        note(record, index, receipt);
      }, signal);
    }
    signal.throwIfAborted();
    if (!PASSING.has(outcome.error.code) && ++failuresForGood > RETRY_PAUSES_SECONDS.length)
      throw outcome.error;
    await surroundings.pause(outcome.error, retryPauseSeconds(failures), signal);
  }
}

async function send(
  window: Window,
  surroundings: RunSurroundings,
  signal: AbortSignal,
): Promise<TransferOutcome> {
  signal.throwIfAborted();
  let transfer: WindowUnderWay;
  try {
    transfer = surroundings.emit(window);
  } catch (thrown) {
    return { state: 'failed', error: asTmError(thrown, 'TM_STALLED') };
  }
  const fail = (): void => {
    transfer.fail(asTmError(signal.reason, 'TM_CANCELLED'));
  };
  signal.addEventListener('abort', fail, { once: true });
  try {
    return await transfer.outcome;
  } finally {
    signal.removeEventListener('abort', fail);
  }
}

function note(task: TaskRecord, index: number, receipt: Receipt): void {
  if (!noteDelivered(task, index)) return;
  task.readings += receipt.readings;
  task.batches += receipt.batches;
  task.bytes += receipt.bytes;
}
