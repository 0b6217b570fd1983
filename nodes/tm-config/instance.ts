import { hostname } from 'node:os';
import type { NodeAPI } from 'node-red';

/**
 * What tells this Node-RED from others with the same flow, the same after each restart: the id that Node-RED
 * makes for itself in its user directory. A container made anew over the same directory has another host name.
 */
export function instanceOf(RED: Pick<NodeAPI, 'settings'>): string {
  return idOf(RED.settings) ?? hostname();
}

/** Undefined where Node-RED keeps no settings of its own. */
function idOf(settings: object): string | undefined {
  const { get }: { readonly get?: unknown } = settings;
  try {
    const id: unknown = typeof get === 'function' ? get.call(settings, 'instanceId') : undefined;
    return typeof id === 'string' && id !== '' ? id : undefined;
  } catch {
    return undefined;
  }
}
