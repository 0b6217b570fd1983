/**
 * A stand-in for the cloud's endpoint: a real HTTP server that checks the key and the body of each post,
 * remembers what arrived, and shows it on a page. `npm start` runs it, and the tests run it with faults.
 */
import { readFileSync } from 'node:fs';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delayFor } from 'node:timers/promises';
import type { TlsOptions } from 'node:tls';
import { promisify } from 'node:util';
import {
  BodyRefused,
  decodeBody,
  parseBody,
  readRaw,
  type PostedBody,
  type PostedReading,
} from './cloud-body';
import { Ledger, PLOT_MS, type KeyRecord, type PlotPoint } from './cloud-ledger';

/** One post as it arrived. */
export interface Exchange {
  /** Counts up from 0. */
  readonly index: number;
  readonly at: Date;
  readonly headers: IncomingHttpHeaders;
  readonly idempotencyKey: string | undefined;
  readonly bytesOnWire: number;
  /** The JSON, decompressed; empty where it was not kept (see `exchanges`) or not read. */
  readonly body: Buffer;
  /** Undefined where the body does not hold what it should. */
  readonly posted: PostedBody | undefined;
  /** The connection that it came by. */
  readonly socket: Socket;
  /** What was answered; undefined until then, and for ever where the connection was cut instead. */
  status: number | undefined;
}

/** What a test lets the stand-in answer instead. */
export interface Reply {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  readonly delayMs?: number;
  /** The readings are taken before the answer, whatever that is: the unknown outcome. */
  readonly accept?: boolean;
  /**
   * How the exchange ends: `answer` (default); `destroy`: no answer, the connection is cut; `cut`: in the
   * middle of the body; `stall`: it stops there; `hang`: never; `trickle-headers`, `trickle-body`: one byte at a time, for ever.
   */
  readonly end?: 'answer' | 'destroy' | 'cut' | 'stall' | 'hang' | 'trickle-headers' | 'trickle-body';
}

export interface CloudOptions {
  /** 0 (default): any that is free. */
  readonly port?: number;
  readonly host?: string;
  /** The bearer key that is taken. */
  readonly key: string;
  /** Asked when a post has been read, before it is checked; undefined: the ordinary answer. */
  readonly respond?: (exchange: Exchange) => Reply | undefined | Promise<Reply | undefined>;
  /** As `respond`, but before the body is read: the connection is closed behind this answer. */
  readonly respondEarly?: (headers: IncomingHttpHeaders) => Reply | undefined;
  /** Sent as the Accept-Encoding of each answer: which encodings bodies may come in. */
  readonly acceptEncoding?: string;
  readonly largestBodyBytes?: number;
  /** `readings`: every reading and exchange is kept, for tests; `counts` (default): memory is bounded. */
  readonly keep?: 'counts' | 'readings';
  readonly tls?: TlsOptions;
}

export interface ReceivedSensor {
  readonly sensor: string;
  readonly count: number;
  readonly lastTimestamp: string | number;
  readonly lastValue: number | string | null;
  readonly points: PlotPoint[];
}

/** What `GET /api/received` answers and the page shows. */
export interface Received {
  readonly now: string;
  readonly readings: number;
  readonly sensorCount: number;
  readonly posts: number;
  readonly bytes: number;
  readonly bytesOnWire: number;
  readonly duplicates: number;
  readonly repeats: number;
  readonly conflicts: number;
  /** Posts by answer. */
  readonly answers: [status: string, posts: number][];
  readonly latestEnd: string;
  readonly plot: { readonly newest: number; readonly spanMs: number };
  /** The newest first. */
  readonly batches: BatchLine[];
  /** In order of their names, the first 300. */
  readonly sensors: ReceivedSensor[];
}

interface BatchLine {
  readonly at: string;
  readonly start_time: string;
  readonly end_time: string;
  readonly readings: number;
  readonly bytes: number;
  readonly bytesOnWire: number;
  readonly key: string;
  readonly answer: string;
}

const SENSORS_SHOWN = 300;
const BATCHES_SHOWN = 15;
const EXCHANGES_KEPT = 100;

/** Starts listening. @throws the error of `listen`, such as EADDRINUSE */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const cloud = new Cloud(options);
  await cloud.listen();
  return cloud;
}

export class Cloud {
  /** Every post, oldest first; with `keep: 'counts'` the latest 100, without their bodies. */
  readonly exchanges: Exchange[] = [];

  readonly #options: CloudOptions;
  readonly #ledger: Ledger;
  readonly #server;
  readonly #answers = new Map<string, number>();
  readonly #batches: BatchLine[] = [];
  /** Aborted by close: nothing delayed or trickling outlives the server. */
  readonly #closing = new AbortController();
  readonly #page = readFileSync(join(__dirname, 'cloud-page.html'));
  #posts = 0;
  #bytes = 0;
  #bytesOnWire = 0;

  constructor(options: CloudOptions) {
    this.#options = options;
    this.#ledger = new Ledger(options.keep ?? 'counts');
    const serve = (request: IncomingMessage, response: ServerResponse): void => {
      this.#serve(request, response).catch(() => response.destroy());
    };
    this.#server = options.tls ? createTlsServer(options.tls, serve) : createServer(serve);
  }

  async listen(): Promise<void> {
    const { host = '127.0.0.1', port = 0 } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  get origin(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    const host = family === 'IPv6' ? `[${address}]` : address;
    return `${this.#options.tls ? 'https' : 'http'}://${host}:${port}`;
  }

  /** Where to post. */
  get url(): string {
    return `${this.origin}/api/data`;
  }

  get pageUrl(): string {
    return `${this.origin}/`;
  }

  /** Every reading that was accepted, in order of arrival; repeats under one key are there once. */
  readings(): readonly PostedReading[] {
    if (this.#ledger.keep !== 'readings') throw new Error("readings() needs keep: 'readings'");
    return this.#ledger.readings;
  }

  /** What was posted under each Idempotency-Key, accepted or not. */
  keys(): ReadonlyMap<string, KeyRecord> {
    return this.#ledger.keys;
  }

  received(): Received {
    const ledger = this.#ledger;
    const sensors = [...ledger.sensors.values()]
      .sort((a, b) => (a.sensor < b.sensor ? -1 : 1))
      .slice(0, SENSORS_SHOWN)
      .map((record) => ({
        sensor: record.sensor,
        count: record.count,
        lastTimestamp: record.lastTimestamp,
        lastValue: record.lastValue,
        points: ledger.pointsOf(record),
      }));
    return {
      now: new Date().toISOString(),
      readings: ledger.count,
      sensorCount: ledger.sensors.size,
      posts: this.#posts,
      bytes: this.#bytes,
      bytesOnWire: this.#bytesOnWire,
      duplicates: ledger.duplicates,
      repeats: ledger.repeats,
      conflicts: ledger.conflicts,
      answers: [...this.#answers],
      latestEnd: ledger.latestEnd,
      plot: { newest: ledger.newestMs, spanMs: PLOT_MS },
      batches: [...this.#batches].reverse(),
      sensors,
    };
  }

  /** Connections that are open now. */
  async connections(): Promise<number> {
    return promisify(this.#server.getConnections.bind(this.#server))();
  }

  /** Ends at once: connections are cut, whatever they wait for. */
  async close(): Promise<void> {
    this.#closing.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/api/data') {
      if (request.method === 'POST') return this.#take(request, response);
      answerJson(response, 405, { detail: 'Only POST is taken here.' }, { allow: 'POST' });
      return;
    }
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (path === '/api/received' && reads) {
      answerJson(response, 200, this.received());
      return;
    }
    if (path === '/' && reads) {
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy':
          "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:",
      });
      response.end(this.#page);
      return;
    }
    answerJson(response, 404, { detail: 'Not found.' });
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { acceptEncoding, respond, respondEarly, largestBodyBytes = 10_000_000 } = this.#options;
    if (acceptEncoding !== undefined) response.setHeader('accept-encoding', acceptEncoding);
    const early = respondEarly?.(request.headers);
    if (early) {
      const exchange = this.#note(request, 0, Buffer.alloc(0), undefined);
      response.setHeader('connection', 'close');
      await this.#reply(early, exchange, response);
      return;
    }
    let raw: Buffer = Buffer.alloc(0);
    let body: Buffer = Buffer.alloc(0);
    let posted: PostedBody | undefined;
    let refused: BodyRefused | undefined;
    try {
      raw = await readRaw(request, largestBodyBytes);
      checkContentType(request.headers);
      body = await decodeBody(raw, request.headers['content-encoding'] ?? 'identity', largestBodyBytes);
      posted = parseBody(body);
    } catch (error) {
      if (!(error instanceof BodyRefused)) throw error;
      refused = error;
    }
    const exchange = this.#note(request, raw.length, body, posted);
    const { idempotencyKey } = exchange;
    // A body that could not be read says nothing about what its key stands for.
    const noted =
      idempotencyKey === undefined || body.length === 0
        ? undefined
        : this.#ledger.noteKey(idempotencyKey, body);
    const reply = await respond?.(exchange);
    if (reply) {
      if (reply.accept && posted) this.#ledger.accept(posted, noted?.record);
      await this.#reply(reply, exchange, response);
      return;
    }
    this.#answer(exchange, response, refused, noted);
  }

  /** The ordinary answer. */
  #answer(
    exchange: Exchange,
    response: ServerResponse,
    refused: BodyRefused | undefined,
    noted: { record: KeyRecord; conflict: boolean } | undefined,
  ): void {
    const answer = (status: number, json: object, headers: OutgoingHttpHeaders = {}): void => {
      this.#settled(exchange, status);
      answerJson(response, status, json, headers);
    };
    if (exchange.headers.authorization !== `Bearer ${this.#options.key}`) {
      answer(401, { detail: 'The key is missing or not known.' }, { 'www-authenticate': 'Bearer' });
    } else if (refused) {
      answer(refused.status, { detail: refused.reasons });
    } else if (noted?.conflict) {
      answer(422, { detail: ['the Idempotency-Key came with another body before'] });
    } else if (exchange.posted) {
      const isNew = this.#ledger.accept(exchange.posted, noted?.record);
      answer(200, { status: isNew ? 'accepted' : 'repeated', readings: exchange.posted.readings.length });
    }
  }

  /** The answer that a test asked for. */
  async #reply(reply: Reply, exchange: Exchange, response: ServerResponse): Promise<void> {
    const { status = 200, headers = {}, body = '', delayMs = 0, end = 'answer' } = reply;
    const { signal } = this.#closing;
    if (delayMs > 0) await delayFor(delayMs, undefined, { signal });
    if (response.destroyed) return;
    this.#settled(exchange, end === 'answer' ? status : undefined);
    switch (end) {
      case 'hang':
        return;
      case 'destroy':
        response.destroy();
        return;
      case 'answer':
        response.writeHead(status, headers);
        response.end(body);
        return;
      case 'cut':
      case 'stall':
        response.writeHead(status, { ...headers, 'content-length': 1000 });
        response.write('{"status":"acc', () => {
          if (end === 'cut') response.destroy();
        });
        return;
      case 'trickle-headers':
        response.socket?.write(`HTTP/1.1 ${status} OK\r\nx-trickle: `);
        await trickle(() => response.socket?.write('.'), response, signal);
        return;
      case 'trickle-body':
        response.writeHead(status, headers);
        await trickle(() => response.write('.'), response, signal);
    }
  }

  #note(
    request: IncomingMessage,
    bytesOnWire: number,
    body: Buffer,
    posted: PostedBody | undefined,
  ): Exchange {
    const key = request.headers['idempotency-key'];
    const exchange: Exchange = {
      index: this.#posts++,
      at: new Date(),
      headers: request.headers,
      idempotencyKey: typeof key === 'string' ? key : undefined,
      bytesOnWire,
      body,
      posted,
      socket: request.socket,
      status: undefined,
    };
    this.#bytes += body.length;
    this.#bytesOnWire += bytesOnWire;
    if (this.#ledger.keep === 'readings') {
      this.exchanges.push(exchange);
    } else {
      this.exchanges.push({ ...exchange, body: Buffer.alloc(0), posted: undefined });
      if (this.exchanges.length > EXCHANGES_KEPT) this.exchanges.shift();
    }
    return exchange;
  }

  #settled(exchange: Exchange, status: number | undefined): void {
    exchange.status = status;
    const kept = this.exchanges.findLast(({ index }) => index === exchange.index);
    if (kept) kept.status = status;
    const answer = status === undefined ? 'cut' : String(status);
    this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
    this.#batches.push({
      at: exchange.at.toISOString(),
      start_time: exchange.posted?.start_time ?? '',
      end_time: exchange.posted?.end_time ?? '',
      readings: exchange.posted?.readings.length ?? 0,
      bytes: exchange.body.length,
      bytesOnWire: exchange.bytesOnWire,
      key: exchange.idempotencyKey ?? '',
      answer,
    });
    if (this.#batches.length > BATCHES_SHOWN) this.#batches.shift();
  }
}

function checkContentType(headers: IncomingHttpHeaders): void {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new BodyRefused(415, [`Content-Type ${JSON.stringify(type)} is not application/json`]);
  }
}

/** One byte every 20 ms until the other side or the server ends it. */
async function trickle(write: () => unknown, response: ServerResponse, signal: AbortSignal): Promise<void> {
  while (!response.destroyed && !signal.aborted) {
    write();
    await delayFor(20, undefined, { signal });
  }
}

function answerJson(
  response: ServerResponse,
  status: number,
  json: object,
  headers: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(json));
}
