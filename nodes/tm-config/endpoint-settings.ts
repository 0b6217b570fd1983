/** The endpoint's settings out of a tm-config's form, its credentials, and the core nodes that it points to. */
import type { Node, NodeAPI } from 'node-red';
import type { EndpointSettings } from '../../lib/endpoint/endpoint';
import { TmError } from '../../lib/errors';
import type { ConfigSettings, RawSettings, SettingsReader } from '../../lib/settings';
import { quote } from '../../lib/window';
import { tlsOptions } from './tls';

/** Node-RED's core `http proxy` node. */
interface ProxyNode extends Node<{ username?: string; password?: string }> {
  readonly url: string;
  readonly noproxy?: readonly string[];
}

/** @throws TmError TM_SETTING_INVALID, TM_ENV_UNSET */
export function endpointSettings(
  RED: NodeAPI,
  raw: RawSettings,
  credentials: SettingsReader,
  settings: ConfigSettings,
): EndpointSettings {
  const tls = tlsOptions(RED, raw.endpointTls);
  const proxy = proxyOf(RED, raw.proxy);
  return {
    url: endpointUrl(settings.endpoint),
    key: credentials.required('endpointKey', 'the key that the endpoint asks for'),
    compression: settings.compression,
    requestTimeoutSeconds: settings.requestTimeoutSeconds,
    conflict: settings.conflict,
    longestRetryAfterSeconds: settings.longestRetryAfterSeconds,
    ...(tls ? { tls } : {}),
    ...(proxy ? { proxy } : {}),
  };
}

function endpointUrl(text: string): string {
  const refuse = (): TmError =>
    new TmError(
      'TM_SETTING_INVALID',
      `endpoint is ${quote(withoutSecrets(text))}; give the URL that readings are posted to, such as https://host/path.`,
    );
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse();
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refuse();
  return url.href;
}

/** A URL may carry a password or a token, which no message may repeat; one that is malformed, in any place. */
function withoutSecrets(text: string): string {
  return text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1').replace(/[?#].*$/s, '?…');
}

function proxyOf(RED: NodeAPI, id: unknown): EndpointSettings['proxy'] {
  if (typeof id !== 'string' || id === '') return undefined;
  const node = RED.nodes.getNode(id) as ProxyNode | null;
  if (!node || typeof node.url !== 'string') {
    throw new TmError('TM_SETTING_INVALID', `The proxy configuration ${id} does not exist or is disabled.`);
  }
  const { username, password } = node.credentials;
  return {
    url: node.url,
    noProxy: [...(node.noproxy ?? [])],
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
  };
}
