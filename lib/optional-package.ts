/** Packages that only some users need: loaded when first used, with an error that says what to install. */
import { TmError } from './errors';

/**
 * @param need what is said of it: `databaseUrl needs the driver mysql2`
 * @param load imports the package, and nothing else
 * @throws TmError TM_SETTING_INVALID where it is not installed
 */
export async function loadPackage<Package>(
  name: string,
  need: string,
  load: () => Promise<Package>,
): Promise<Package> {
  try {
    return await load();
  } catch (cause) {
    if (!isMissing(name, cause)) throw cause;
    throw notInstalled([name], need, cause);
  }
}

/** @param names what `npm install` is to be given */
export function notInstalled(names: readonly string[], need: string, cause?: unknown): TmError {
  const isAre = names.length === 1 ? 'which is' : 'which are';
  return new TmError(
    'TM_SETTING_INVALID',
    `${need}, ${isAre} not installed. Run "npm install ${names.join(' ')}" in Node-RED's user directory and restart Node-RED.`,
    { cause },
  );
}

/** A package that is there but lacks something of its own says so itself. */
export function isMissing(name: string, cause: unknown): boolean {
  if (!(cause instanceof Error) || !('code' in cause)) return false;
  const missing = cause.code === 'MODULE_NOT_FOUND' || cause.code === 'ERR_MODULE_NOT_FOUND';
  return missing && cause.message.includes(`'${name}'`);
}
