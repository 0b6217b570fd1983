/** The connections to the endpoint: straight, through a proxy that forwards, or through a tunnel of one. */
import type { ConnectionOptions } from 'node:tls';
import { Pool, ProxyAgent, type Dispatcher } from 'undici';
import { TmError } from '../errors';
import { bypassesProxy } from './no-proxy';

export interface ProxySettings {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** What is reached without it; see no-proxy.ts. */
  readonly noProxy: readonly string[];
}

/** Each ends a stuck exchange on its own; `totalMs` ends it whatever trickles in. */
export interface Timeouts {
  /** Until the connection, TLS and a proxy's tunnel included, stands. */
  readonly connectMs: number;
  /** From the request to the end of the answer's headers. */
  readonly headersMs: number;
  /** Between two pieces of the answer's body. */
  readonly bodyMs: number;
  readonly totalMs: number;
}

export interface TransportSettings {
  readonly tls: ConnectionOptions | undefined;
  readonly proxy: ProxySettings | undefined;
  readonly timeouts: Timeouts;
}

/** Where and how a request for a URL is dispatched. */
export interface Transport {
  readonly dispatcher: Dispatcher;
  /** What a request to `url` needs: a forwarding proxy is asked for the whole URL, and wants its password. */
  route(url: URL): { origin: string; path: string; headers: Record<string, string> };
}

/**
 * @param closing aborted when connections that are still being made must end too
 * @throws TmError TM_SETTING_INVALID
 */
export function openTransport(url: URL, settings: TransportSettings, closing: AbortSignal): Transport {
  const { connectMs, headersMs, bodyMs } = settings.timeouts;
  const pool = { headersTimeout: headersMs, bodyTimeout: bodyMs };
  const connect = { timeout: connectMs, signal: closing };
  const tls = { ...withoutAddress(settings.tls), ...connect };
  const proxy = settings.proxy && !bypassesProxy(url, settings.proxy.noProxy) ? settings.proxy : undefined;
  if (!proxy) {
    return {
      dispatcher: new Pool(url.origin, { ...pool, connect: tls }),
      route: ({ origin, pathname, search }) => ({ origin, path: `${pathname}${search}`, headers: {} }),
    };
  }
  const address = proxyAddress(proxy);
  const authorization = proxyAuthorization(proxy, address);
  if (url.protocol === 'http:') {
    return {
      dispatcher: new Pool(address.origin, { ...pool, connect }),
      route: ({ host, href }) => ({
        origin: address.origin,
        path: href,
        headers: { host, ...(authorization === '' ? {} : { 'proxy-authorization': authorization }) },
      }),
    };
  }
  return {
    dispatcher: new ProxyAgent({
      uri: address.origin,
      ...(authorization === '' ? {} : { token: authorization }),
      ...pool,
      requestTls: tls,
      proxyTls: connect,
      // A proxy that takes the connection and never answers CONNECT.
      clientFactory: (origin, options) => new Pool(origin, { ...options, headersTimeout: connectMs }),
    }),
    route: ({ origin, pathname, search }) => ({ origin, path: `${pathname}${search}`, headers: {} }),
  };
}

/** TLS options may name a host of their own; where to connect is the URL's to say. */
function withoutAddress(
  tls: ConnectionOptions = {},
): Omit<ConnectionOptions, 'host' | 'port' | 'path' | 'socket'> {
  const { host: _host, port: _port, path: _path, socket: _socket, ...rest } = tls;
  return rest;
}

function proxyAddress({ url: text }: ProxySettings): URL {
  let url: URL | undefined;
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`);
  } catch {
    // Said below.
  }
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    // The address may hold a password: it is not repeated.
    throw new TmError('TM_SETTING_INVALID', 'The URL of the proxy is not one of http:// or https://.');
  }
  return url;
}

function proxyAuthorization({ username, password }: ProxySettings, address: URL): string {
  const user = username ?? decodeURIComponent(address.username);
  const secret = password ?? decodeURIComponent(address.password);
  return user === '' ? '' : `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
}

/** The status by which a proxy refused the tunnel; undici gives it in the text of its error alone. */
export function tunnelStatus(error: unknown): number | undefined {
  const match = error instanceof Error ? /^Proxy response \((\d{3})\)/.exec(error.message) : null;
  return match ? Number(match[1]) : undefined;
}
