/** The URL of a broker, which says which engine is meant; a secret, for it mostly holds a password. */
import { TmError } from '../errors';
import { redact } from '../redact';
import { quote } from '../window';

export type BrokerEngine = 'redis' | 'rabbitmq';

export interface BrokerAddress {
  readonly engine: BrokerEngine;
  /** As the engine's library takes it, password included. */
  readonly url: string;
  /** For messages: `redis://host:6379`, without user and password. */
  readonly place: string;
}

const ENGINES: Readonly<Record<string, BrokerEngine>> = {
  'redis:': 'redis',
  'rediss:': 'redis',
  'amqp:': 'rabbitmq',
  'amqps:': 'rabbitmq',
};
const PORTS: Readonly<Record<string, string>> = {
  'redis:': '6379',
  'rediss:': '6379',
  'amqp:': '5672',
  'amqps:': '5671',
};
/** Not by URL: to some browsers, which check it as it is typed, only schemes of their own have hosts. */
const HOST = /^[^:]+:\/\/(?:[^/?#]*@)?(\[[^\]]+\]|[^:/?#@]+)(?::(\d+))?(?:[/?#].*)?$/;
const EXAMPLE = 'Give one such as redis://:password@host:6379 or amqp://user:password@host:5672.';

/** @throws TmError TM_SETTING_INVALID that holds nothing of the URL but its scheme */
export function parseBrokerUrl(text: string, name = 'brokerUrl'): BrokerAddress {
  const url = text.trim();
  const scheme = /^([a-z][a-z\d+.-]*:)\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) throw new TmError('TM_SETTING_INVALID', `${name} is not a URL. ${EXAMPLE}`);
  const engine = ENGINES[scheme];
  if (engine === undefined) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `${name} begins with ${quote(`${scheme}//`)}, a broker that is not supported. ${EXAMPLE}`,
    );
  }
  const [, host, port = PORTS[scheme]] = HOST.exec(url) ?? [];
  if (host === undefined || port === undefined || !URL.canParse(url)) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `${name} names no host, or holds characters that must be written as in URLs, such as %40 for @ in a password. ${EXAMPLE}`,
    );
  }
  return { engine, url, place: `${scheme}//${host}:${port}` };
}

/** What a broker or its library says, without what is secret in the URL. */
export function withoutSecrets(text: string, { url }: BrokerAddress): string {
  const { username, password } = new URL(url);
  const secrets = [url, password, ...(password === '' ? [username] : [])];
  return secrets.reduce((clean, secret) => redact(clean, secret), text);
}
