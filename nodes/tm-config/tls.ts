/** The core tls-config node. */
import type { ConnectionOptions } from 'node:tls';
import type { Node, NodeAPI } from 'node-red';
import { TmError } from '../../lib/errors';

interface TlsNode extends Node {
  addTLSOptions(options: ConnectionOptions): ConnectionOptions;
}

/**
 * Its options; undefined where none is chosen.
 * @throws TmError TM_SETTING_INVALID where it is gone or disabled: never without TLS by mistake
 */
export function tlsOptions(RED: NodeAPI, id: unknown): ConnectionOptions | undefined {
  if (typeof id !== 'string' || id === '') return undefined;
  const node = RED.nodes.getNode(id) as TlsNode | null;
  if (typeof node?.addTLSOptions !== 'function') {
    throw new TmError('TM_SETTING_INVALID', `The TLS configuration ${id} does not exist or is disabled.`);
  }
  return node.addTLSOptions({});
}
