/** The choice of a tm-config: that it is there, that its settings are valid, and that it has what the node needs. */
import { say } from './catalog';
import type { EditedNode, Validator } from './red';
import { settingOf } from './form';
import { labelOf, withoutMarkup } from './validate';
import { isVariable } from './variable';

export interface Needs {
  readonly settings?: readonly string[];
  readonly secrets?: readonly string[];
  /** Otherwise the node does without. */
  readonly only?: (setting: (name: string) => unknown) => boolean;
}

export function configWith({ settings = [], secrets = [], only }: Needs): Validator {
  return function (id, options) {
    if (isVariable(id)) return true;
    const label = labelOf(this, 'config', options);
    if (typeof id !== 'string' || id === '' || id === '_ADD_') return say('reason.noConfig', { label });
    const config = RED.nodes.node(id);
    if (!config) return say('reason.configGone', { label });
    const name = nameOf(config);
    if (config.valid === false) return say('reason.configInvalid', { label, name });
    if (only && !only((other) => settingOf(this, other))) return true;
    const missing = [
      ...settings.filter((setting) => config[setting] === '' || config[setting] === undefined),
      ...secrets.filter((secret) => lacksSecret(config.credentials, secret)),
    ];
    if (missing.length === 0) return true;
    const what = missing.map((setting) => labelOf(config, setting, {})).join(', ');
    return say('reason.configLacks', { label, name, what });
  };
}

/** A tm-config as the editor has it, deployed or not; a secret that is stored is told by what stands for it. */
export function configForm(id: string): Readonly<Record<string, unknown>> {
  const config = RED.nodes.node(id);
  if (!config) return {};
  const { defaults = {}, credentials = {} } = config._def as EditedDef;
  const typed = (config.credentials ?? {}) as Readonly<Record<string, unknown>>;
  return {
    ...Object.fromEntries(Object.keys(defaults).map((name) => [name, config[name]])),
    ...Object.fromEntries(Object.keys(credentials).map((name) => [name, typed[name] ?? STORED])),
    id,
  };
}

/** What Node-RED puts into a field in place of a stored secret. */
const STORED = '__PWRD__';

interface EditedDef {
  readonly defaults?: object;
  readonly credentials?: object;
}

function nameOf(config: EditedNode): string {
  return withoutMarkup(typeof config.name === 'string' && config.name !== '' ? config.name : config.id);
}

/**
 * Whether the editor knows that a secret is not set. It learns of secrets when the config node's dialog has been
 * open (then `has_…` says it) or from an import (then it is there itself); before, nothing is said.
 */
function lacksSecret(credentials: unknown, secret: string): boolean {
  if (typeof credentials !== 'object' || credentials === null) return false;
  const known = credentials as Readonly<Record<string, unknown>>;
  const typed = known[secret];
  if (typeof typed === 'string' && typed !== '') return false;
  return known[`has_${secret}`] === false;
}
