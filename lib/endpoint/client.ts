/** One POST: timeouts, redirects and what is read of the answer. Retries are delivery's. */
import { setMaxListeners } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { errors, type Dispatcher } from 'undici';
import { withSignals } from '../signals';
import { openTransport, type Transport, type TransportSettings } from './transport';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The start of its body. */
  readonly text: string;
  /** Where a redirect that was not followed leads; without what a query may hold. */
  readonly redirectsTo?: string;
}

/** A timeout of this exchange. The message says which. */
export class ExchangeTimeout extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ExchangeTimeout';
  }
}

const MOST_REDIRECTS = 3;
/** More of an answer is not waited for, and the connection given up: it is cheaper than the rest. */
const MOST_ANSWER_BYTES = 65_536;

export class PostClient {
  readonly #url: URL;
  readonly #settings: TransportSettings;
  readonly #closing = new AbortController();
  readonly #transport: Transport;

  /** @throws TmError TM_SETTING_INVALID */
  constructor(url: URL, settings: TransportSettings) {
    // As many listeners as connections.
    setMaxListeners(0, this.#closing.signal);
    this.#url = url;
    this.#settings = settings;
    this.#transport = openTransport(url, settings, this.#closing.signal);
  }

  /** @throws the signal's reason; ExchangeTimeout; errors of the network, TLS and the proxy */
  async post(body: Buffer, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer> {
    const { totalMs } = this.#settings.timeouts;
    const total = new AbortController();
    const timer = setTimeout(() => {
      total.abort(new ExchangeTimeout(`no complete answer within ${seconds(totalMs)}`));
    }, totalMs);
    try {
      return await withSignals([signal, total.signal], (either) => this.#follow(body, headers, either));
    } catch (error) {
      throw this.#named(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Connections are cut, also those that are still being made. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#transport.dispatcher.destroy();
  }

  async #follow(
    body: Buffer,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Answer> {
    let url = this.#url;
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#once(url, body, headers, signal);
      const next = redirection(answer, url);
      if (!next) return answer;
      // Elsewhere neither the key nor the readings may go; 301 to 303 would turn the post into a GET.
      const mayFollow = (answer.status === 307 || answer.status === 308) && next.origin === url.origin;
      if (!mayFollow || redirects === MOST_REDIRECTS) {
        return { ...answer, redirectsTo: `${next.origin}${next.pathname}` };
      }
      url = next;
    }
  }

  async #once(
    url: URL,
    body: Buffer,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { origin, path, headers: routeHeaders } = this.#transport.route(url);
    const response = await this.#transport.dispatcher.request({
      origin,
      path,
      method: 'POST',
      headers: { ...routeHeaders, ...headers },
      body,
      signal,
    });
    return {
      status: response.statusCode,
      headers: response.headers,
      text: await readStart(response.body),
    };
  }

  #named(error: unknown): unknown {
    const { connectMs, headersMs, bodyMs } = this.#settings.timeouts;
    if (error instanceof errors.ConnectTimeoutError) {
      return new ExchangeTimeout(`no connection within ${seconds(connectMs)}`, error);
    }
    if (error instanceof errors.HeadersTimeoutError) {
      return new ExchangeTimeout(`no answer within ${seconds(headersMs)}`, error);
    }
    if (error instanceof errors.BodyTimeoutError) {
      return new ExchangeTimeout(`the answer stopped in its middle for ${seconds(bodyMs)}`, error);
    }
    return error;
  }
}

/** Read to its end, so that the connection can be used again. An answer that is cut off throws. */
async function readStart(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Destroying the rest reports it as an error, which nobody needs to hear of.
  body.on('error', () => undefined);
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= MOST_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

function redirection({ status, headers }: Answer, from: URL): URL | undefined {
  const { location } = headers;
  if (status < 300 || status > 399 || typeof location !== 'string') return undefined;
  try {
    return new URL(location, from);
  } catch {
    return undefined;
  }
}

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
