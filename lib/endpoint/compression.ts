/**
 * How bodies are compressed: as the setting says, or as the endpoint does (RFC 9110 §12.5.3: a response's
 * `Accept-Encoding` tells which encodings its requests may come in).
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

export type CompressionSetting = 'auto' | 'none' | 'gzip';
export type Encoding = 'identity' | 'gzip';

const gzipAsync = promisify(gzip);

export class Compression {
  #encoding: Encoding;
  /** Gzip was announced and then refused: it is not tried again, or every post would be sent twice. */
  #gzipRefused = false;

  constructor(readonly setting: CompressionSetting) {
    this.#encoding = setting === 'gzip' ? 'gzip' : 'identity';
  }

  /** For the next post. */
  get encoding(): Encoding {
    return this.#encoding;
  }

  /** Learns from an answer to a post in `encoding`. @returns whether the same post may be taken uncompressed */
  learn(encoding: Encoding, status: number, acceptEncoding: string | undefined): boolean {
    if (this.setting !== 'auto') return false;
    if (status === 415 && encoding === 'gzip') {
      this.#gzipRefused = true;
      this.#encoding = 'identity';
      return true;
    }
    // Other answers may come from something in between that is not asked what the endpoint takes.
    const accepted = status >= 200 && status < 300;
    if (accepted && acceptEncoding !== undefined && !this.#gzipRefused) {
      this.#encoding = listsGzip(acceptEncoding) ? 'gzip' : 'identity';
    }
    return false;
  }
}

/** Off the main thread, at the level that costs least: readings shrink to a seventh even so. */
export async function encode(body: Buffer, encoding: Encoding): Promise<Buffer> {
  return encoding === 'gzip' ? gzipAsync(body, { level: 1, chunkSize: chunkSizeOf(body) }) : body;
}

/** Each piece of output is a way to another thread and back: one or two for the whole of it. */
function chunkSizeOf({ length }: Buffer): number {
  return Math.min(Math.max(length / 4, 16_384), 1_048_576) | 0;
}

function listsGzip(acceptEncoding: string): boolean {
  for (const item of acceptEncoding.split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    if (coding !== 'gzip' && coding !== 'x-gzip') continue;
    return !parameters.some((parameter) => /^q\s*=\s*0(\.0{0,3})?$/.test(parameter));
  }
  return false;
}
