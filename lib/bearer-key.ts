/** The check of a caller's `Authorization: Bearer …` (RFC 6750 §2.1). */
import { createHash, timingSafeEqual } from 'node:crypto';

type AuthorizationHeader = string | string[] | undefined;

export class BearerKey {
  readonly #hash: Buffer;

  constructor(key: string) {
    this.#hash = hashOf(key);
  }

  /** @returns `none`: the header carries no key at all */
  check(authorization: AuthorizationHeader): 'valid' | 'wrong' | 'none' {
    const [, key] =
      /^Bearer +(.+)$/i.exec(typeof authorization === 'string' ? authorization.trim() : '') ?? [];
    if (key === undefined) return 'none';
    // Hashes are of one length, and compared in a time that does not tell where they differ.
    return timingSafeEqual(hashOf(key), this.#hash) ? 'valid' : 'wrong';
  }
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
