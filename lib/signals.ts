import { setMaxListeners } from 'node:events';

/**
 * A signal that is aborted with the first of several, and lets go of them when the work is over: thousands of
 * short pieces of work hang on signals that live as long as the process.
 */
export async function withSignals<Result>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  // As many listeners as there is work at a time: no leak to be warned of.
  setMaxListeners(0, controller.signal, ...signals);
  const aborted = signals.find((signal) => signal.aborted);
  if (aborted) controller.abort(aborted.reason);
  const listeners = signals.map((signal) => {
    const abort = (): void => {
      controller.abort(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    return () => {
      signal.removeEventListener('abort', abort);
    };
  });
  try {
    return await work(controller.signal);
  } finally {
    for (const unlisten of listeners) unlisten();
  }
}

/** What `work` comes to, or the signal's reason as soon as it is aborted. */
export async function orAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(signal.reason as Error);
    };
  });
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Whether `work` is over, well or badly, within so many milliseconds; it goes on otherwise, and may fail unheard. */
export async function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const over = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([over, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
