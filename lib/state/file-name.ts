/**
 * Names of bookmarks as names of files, and back. Safe where case is not told apart (Windows, macOS), where
 * names such as `nul` are devices, and against `..` and `/`; readable for an administrator: lower-case
 * letters, digits, `-` and `_` stay, a capital letter is `+` and its small one, all else is percent-encoded.
 */
import { TmError } from '../errors';
import { quote } from '../window';

const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)$/;
/** File systems allow 255; the rest is for suffixes. */
const LONGEST = 200;

/** @throws TmError TM_SETTING_INVALID for a name that is empty, too long or no proper Unicode text */
export function encodeName(name: string): string {
  const refuse = (why: string): TmError =>
    new TmError('TM_SETTING_INVALID', `The name ${quote(name)} ${why}. Give a shorter, plain name.`);
  if (name === '') throw refuse('is empty');
  if (/\p{Surrogate}/u.test(name)) throw refuse('holds half a character');
  const encoded = name
    .replace(/[^a-zA-Z0-9_-]+/g, (text) => [...Buffer.from(text)].map(percent).join(''))
    .replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`);
  const safe = WINDOWS_DEVICE.test(encoded)
    ? `${percent(encoded.charCodeAt(0))}${encoded.slice(1)}`
    : encoded;
  if (safe.length > LONGEST) throw refuse('is too long for a file name');
  return safe;
}

/** The name that `encodeName` made `encoded` of; undefined for a text that it never makes. */
export function decodeName(encoded: string): string | undefined {
  try {
    const name = decodeURIComponent(
      encoded.replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    );
    return encodeName(name) === encoded ? name : undefined;
  } catch {
    return undefined;
  }
}

function percent(byte: number): string {
  return `%${byte.toString(16).padStart(2, '0')}`;
}
