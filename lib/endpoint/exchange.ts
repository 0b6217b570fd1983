/** One exchange with the endpoint, and what it means. */
import type { ConnectionOptions } from 'node:tls';
import { TmError, reasonOf } from '../errors';
import { redact } from '../redact';
import { quote } from '../window';
import { ExchangeTimeout, PostClient, type Answer } from './client';
import { Compression, encode, type CompressionSetting } from './compression';
import { kindOf, type ConflictMeaning, type Outcome, type OutcomeKind } from './outcome';
import { retryAfterSeconds } from './retry-after';
import { tunnelStatus, type ProxySettings, type Timeouts } from './transport';
import { userAgent } from './user-agent';

export interface ExchangeSettings {
  readonly url: string;
  readonly key: string;
  readonly compression: CompressionSetting;
  /** For a whole exchange, from the connection to the end of the answer. */
  readonly requestTimeoutSeconds: number;
  readonly tls?: ConnectionOptions;
  readonly proxy?: ProxySettings;
  /** What 409 means; default `refused`. */
  readonly conflict?: ConflictMeaning;
  /** The longest `Retry-After` that is obeyed; default 300. */
  readonly longestRetryAfterSeconds?: number;
}

const LONGEST_RETRY_AFTER_SECONDS = 300;
const CONNECT_WITHIN_MS = 10_000;
const MOST_ANSWER_CHARACTERS = 500;

export class Exchanger {
  /** For messages: without the query, which may hold a secret. */
  readonly address: string;
  readonly #settings: ExchangeSettings;
  readonly #compression: Compression;
  readonly #client: PostClient;

  /** @throws TmError TM_SETTING_INVALID */
  constructor(settings: ExchangeSettings, timeouts: Partial<Timeouts> = {}) {
    const url = checkedUrl(settings.url);
    checkKey(settings.key);
    this.#settings = settings;
    this.address = `${url.origin}${url.pathname}`;
    this.#compression = new Compression(settings.compression);
    const totalMs = settings.requestTimeoutSeconds * 1000;
    this.#client = new PostClient(url, {
      tls: settings.tls,
      proxy: settings.proxy,
      timeouts: {
        connectMs: Math.min(CONNECT_WITHIN_MS, totalMs),
        headersMs: totalMs,
        bodyMs: totalMs,
        totalMs,
        ...timeouts,
      },
    });
  }

  /** @throws the signal's reason; every other failure is an outcome */
  async exchange(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<Outcome> {
    try {
      for (;;) {
        const { encoding } = this.#compression;
        const headers = {
          authorization: `Bearer ${this.#settings.key}`,
          'content-type': 'application/json',
          'idempotency-key': idempotencyKey,
          'user-agent': userAgent(),
          ...(encoding === 'identity' ? {} : { 'content-encoding': encoding }),
        };
        const encoded = await encode(body, encoding);
        signal.throwIfAborted();
        const answer = await this.#client.post(encoded, headers, signal);
        const acceptEncoding = headerText(answer.headers['accept-encoding']);
        const again = this.#compression.learn(encoding, answer.status, acceptEncoding);
        if (!again) return this.#answered(answer);
      }
    } catch (error) {
      signal.throwIfAborted();
      return this.#unanswered(error);
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  #answered(answer: Answer): Outcome {
    const { status, headers, redirectsTo } = answer;
    const kind = kindOf(status, this.#settings.conflict);
    const retryAfter = retryAfterSeconds(
      headerText(headers['retry-after']),
      headerText(headers.date),
      Date.now(),
      this.#settings.longestRetryAfterSeconds ?? LONGEST_RETRY_AFTER_SECONDS,
    );
    return {
      kind,
      reason: `endpoint ${status}`,
      status,
      answer: startOf(
        this.#withoutKey(
          redirectsTo === undefined
            ? readable(answer)
            : `it redirects to ${redirectsTo}, which is not followed`,
        ),
      ),
      ...(retryAfter === undefined ? {} : { retryAfterSeconds: retryAfter }),
    };
  }

  /** The network, TLS or the proxy. Whether the readings arrived is not known: the same post, again. */
  #unanswered(error: unknown): Outcome {
    const proxyStatus = tunnelStatus(error);
    if (proxyStatus !== undefined) {
      // Whatever the proxy says, it says it of the connection and not of the readings.
      const kind: OutcomeKind = kindOf(proxyStatus) === 'retry' ? 'retry' : 'hold';
      const answer = `the proxy answers ${proxyStatus}`;
      return { kind, reason: `proxy ${proxyStatus}`, answer, error: this.#failure(answer, error) };
    }
    const said = this.#withoutKey(reasonOf(error));
    if (isCertificateError(error)) {
      const text = `its TLS certificate is not accepted: ${said}`;
      return { kind: 'hold', reason: 'endpoint TLS', answer: text, error: this.#failure(text, error) };
    }
    const reason = error instanceof ExchangeTimeout ? 'endpoint timeout' : 'endpoint down';
    return { kind: 'retry', reason, answer: said, error: this.#failure(said, error) };
  }

  #failure(why: string, cause: unknown): TmError {
    return new TmError('TM_ENDPOINT_UNAVAILABLE', `No answer from ${this.address}: ${why}.`, { cause });
  }

  #withoutKey(text: string): string {
    return redact(text, this.#settings.key);
  }
}

/** An answer in one line; pages of proxies without their markup. */
function readable({ text, headers }: Answer): string {
  const plain = headerText(headers['content-type'])?.includes('html')
    ? text.replace(/<(style|script)\b[\s\S]*?<\/\1>|<[^>]*>/gi, ' ')
    : text;
  return plain.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}

/** Of what holds no key any more, or half of one might be left. Not through the middle of a character. */
function startOf(line: string): string {
  return line.slice(0, MOST_ANSWER_CHARACTERS).replace(/[\uD800-\uDBFF]$/, '');
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

function checkedUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Said below.
  }
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new TmError(
      'TM_SETTING_INVALID',
      `endpoint is ${quote(text.replace(/\/\/[^/]*@/, '//'))}; give the URL that readings are posted to, such as https://host/path.`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new TmError(
      'TM_SETTING_INVALID',
      `endpoint ${url.origin} is given with a user or a password. The endpoint takes a key; put it into its own field.`,
    );
  }
  return url;
}

function checkKey(key: string): void {
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(key)) {
    throw new TmError(
      'TM_SETTING_INVALID',
      'endpointKey is empty or holds a character that cannot be sent, such as a line break or a letter with an accent. Copy it again.',
    );
  }
}

const CERTIFICATE_ERRORS = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH)/;

/** Of the many TLS errors, those that a setting or a new certificate mends. */
function isCertificateError(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string' && CERTIFICATE_ERRORS.test(at.code)) return true;
  }
  return false;
}
