/**
 * Validators for the nodes' settings. What is allowed is decided by lib/settings, the same code that checks the
 * settings at deploy, so that the dialog and the runtime cannot disagree; the reason is that code's too, with the
 * form's label in place of the setting's name.
 */
import { TmError } from '../../../lib/errors';
import type { RawSettings } from '../../../lib/settings';
import { parseDatabaseUrl } from '../../../lib/database-url';
import { parseBrokerUrl } from '../../../lib/queue/broker-url';
import { say } from './catalog';
import { settingOf } from './form';
import type { EditedNode, Validator } from './red';
import { isStored } from './secret-field';
import { isVariable } from './variable';

/** Reads the settings given to it; throws a TmError whose message begins with the name of the wrong one. */
type Check = (raw: RawSettings) => unknown;

interface When {
  /** Settings that the check compares with; they are read from the open dialog, where there is one. */
  readonly alongWith?: readonly string[];
  /** Otherwise the setting has no meaning and may hold anything. */
  readonly only?: (setting: (name: string) => unknown) => boolean;
}

/** @param check of lib/settings; what it finds wrong with another setting is that setting's own reason */
export function acceptedBy(check: Check, name: string, { alongWith = [], only }: When = {}): Validator {
  return function (value, options) {
    const setting = (other: string): unknown => settingOf(this, other);
    // An older flow lacks settings that came later: they get their defaults.
    if (value === undefined || value === null || isVariable(value)) return true;
    if (only && !only(setting)) return true;
    const others = Object.fromEntries(alongWith.map((other) => [other, setting(other)]));
    const reason = refusal(check, { ...others, [name]: value });
    return reason?.startsWith(name) ? withLabels(this, reason, name, options) : true;
  };
}

/** The URL of a database, which is a secret: known only where it has just been typed. */
export function databaseUrl(name: string, { only }: Pick<When, 'only'> = {}): Validator {
  return function (value, options) {
    if (isStored(value) || isVariable(value)) return true;
    if (only && !only((other) => settingOf(this, other))) return true;
    if (value === '' && !only) return true;
    const label = labelOf(this, name, options);
    return refusal((raw) => parseDatabaseUrl(String(raw[name]), label), { [name]: value }) ?? true;
  };
}

/** The URL of a broker, a secret as well. */
export const brokerUrl: Validator = function (value, options) {
  if (value === undefined || value === '' || isStored(value) || isVariable(value)) return true;
  const label = labelOf(this, 'brokerUrl', options);
  return refusal((raw) => parseBrokerUrl(String(raw.brokerUrl), label), { brokerUrl: value }) ?? true;
};

export const httpUrl: Validator = function (value, options) {
  if (typeof value !== 'string' || value === '' || isVariable(value)) return true;
  try {
    const { protocol } = new URL(value.trim());
    if (protocol === 'http:' || protocol === 'https:') return true;
  } catch {
    // Not a URL at all: the same reason.
  }
  return say('reason.httpUrl', { label: labelOf(this, 'endpoint', options) });
};

/** `table`, `schema.table` or `catalog.schema.table`; a part in double quotes may hold a dot. */
const TABLE_NAME = /^(?:"(?:[^"]|"")+"|[^".]+)(?:\.(?:"(?:[^"]|"")+"|[^".]+)){0,2}$/;

/** @param check says whether the name may be empty */
export function tableName(name: string, check: Check, { only }: Pick<When, 'only'>): Validator {
  const accepted = acceptedBy(check, name, only ? { only } : {});
  return function (value, options) {
    const answer = accepted.call(this, value, options);
    const text = typeof value === 'string' ? value.trim() : '';
    if (answer !== true || text === '' || isVariable(text) || TABLE_NAME.test(text)) return answer;
    if (only && !only((other) => settingOf(this, other))) return true;
    return say('reason.tableName', { label: labelOf(this, name, options) });
  };
}

function refusal(check: Check, raw: RawSettings): string | undefined {
  try {
    check(raw);
    return undefined;
  } catch (error) {
    // Whether a variable is set is known where the flow runs.
    if (error instanceof TmError && error.code === 'TM_ENV_UNSET') return undefined;
    return error instanceof Error ? error.message : String(error);
  }
}

/** Settings are called by their names in messages: the wrong one at the beginning, others wherever they stand. */
function withLabels(node: EditedNode, reason: string, name: string, options: { label?: string }): string {
  const others = reason.slice(name.length).replace(/\b[a-z]+[A-Z]\w*/g, (other) => labelOf(node, other, {}));
  return withoutMarkup(`${labelOf(node, name, options)}${others}`);
}

/** Reasons quote what is in the flow, and some of Node-RED's tooltips take them for HTML. */
export function withoutMarkup(text: string): string {
  return text.replace(/</g, '‹').replace(/>/g, '›');
}

/** What the form calls a setting. */
export function labelOf(node: EditedNode, name: string, { label }: { label?: string }): string {
  const key = `label.${name}`;
  const text = label ?? node._(key);
  return text === key ? name : text;
}
