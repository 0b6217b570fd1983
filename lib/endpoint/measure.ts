/** What delivery to the endpoint measures; see ../metrics.ts. */
import { count, time } from '../metrics';
import { ExchangeTimeout } from './client';
import type { Outcome } from './outcome';

/** Times one exchange, and counts it where it has to be repeated. */
export async function measuredExchange(exchanging: Promise<Outcome>): Promise<Outcome> {
  const startedAt = performance.now();
  const outcome = await exchanging;
  time('post', (performance.now() - startedAt) / 1000, { outcome: outcome.kind });
  if (outcome.kind === 'retry' || outcome.kind === 'hold') {
    count('post_retries', 1, { class: retryClass(outcome) });
  }
  return outcome;
}

export function measureAccepted(readings: number, bytes: number): void {
  count('readings_sent', readings);
  count('batches_sent', 1);
  count('bytes_sent', bytes);
}

export function measureRefused(refused: readonly { readonly batch: { readonly readings: number } }[]): void {
  for (const { batch } of refused) count('readings_refused', batch.readings);
}

function retryClass({ kind, status, error }: Outcome) {
  if (kind === 'hold') return 'hold';
  if (status === 429) return 'rate_limited';
  if (status !== undefined) return 'unavailable';
  return error?.cause instanceof ExchangeTimeout ? 'timeout' : 'connection';
}
