/**
 * What a state file holds: the record, legible for an administrator, and a checksum over it, so that a torn
 * or changed file is told from a good one.
 */
import { createHash } from 'node:crypto';
import type { JsonObject, StateKind } from './store';

const FORMAT = 1;

export function seal(kind: StateKind, name: string, record: JsonObject): string {
  const envelope = {
    format: FORMAT,
    kind,
    name,
    written: new Date().toISOString(),
    record,
    checksum: checksumOf(kind, name, record),
  };
  return `${JSON.stringify(envelope, null, 2)}\n`;
}

/** @throws Error that says in a few words what is wrong with the text */
export function unseal(kind: StateKind, name: string, text: string): JsonObject {
  if (text.trim() === '') throw new Error('it is empty');
  let envelope: unknown;
  try {
    envelope = JSON.parse(text);
  } catch {
    throw new Error('it is torn or not JSON');
  }
  if (!isObject(envelope)) throw new Error('it holds no object');
  const { format, record, checksum } = envelope;
  if (format !== FORMAT) throw new Error(`its format is ${JSON.stringify(format)}, not ${FORMAT}`);
  if (!isObject(record)) throw new Error('it holds no record');
  if (checksum !== checksumOf(kind, name, record)) throw new Error('its checksum does not match its record');
  return record;
}

/** Parsing and printing JSON again gives the same text, so the order of keys needs no rule of its own. */
function checksumOf(kind: StateKind, name: string, record: JsonObject): string {
  const hash = createHash('sha256').update(JSON.stringify([kind, name, record]));
  return `sha256:${hash.digest('hex')}`;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
