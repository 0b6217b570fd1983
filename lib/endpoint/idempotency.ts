/** The name under which a body is posted, now and whenever it is posted again. */
import { createHash } from 'node:crypto';

/**
 * A hash of where the readings come from and of the exact bytes, which hold the edges of the window: what
 * repeats under a key is byte-identical, and nothing else ever comes under it.
 *
 * @param source what tells this source of readings apart from others that post to the same endpoint
 * @returns 43 characters that need no quoting in a header
 */
export function idempotencyKey(source: string, body: Buffer): string {
  return createHash('sha256')
    .update(`${Buffer.byteLength(source)}:${source}`)
    .update(body)
    .digest('base64url');
}
