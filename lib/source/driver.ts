/** Drivers that only some users need: loaded when first used, with an error that says what to install. */
import { TmError } from '../errors';

/**
 * @param load imports the package, and nothing else
 * @throws TmError TM_SETTING_INVALID where it is not installed
 */
export async function loadDriver<Driver>(name: string, load: () => Promise<Driver>): Promise<Driver> {
  return loadFirstDriver({ [name]: load });
}

/**
 * Of several drivers that will do, the first that is installed and loads.
 * @throws TmError TM_SETTING_INVALID where none is installed; what the first one that is there throws
 */
export async function loadFirstDriver<Driver>(
  loads: Readonly<Record<string, () => Promise<Driver>>>,
): Promise<Driver> {
  let failure: unknown;
  for (const [name, load] of Object.entries(loads)) {
    try {
      return await load();
    } catch (cause) {
      // A driver that is there but lacks something of its own says so itself.
      if (!isMissing(cause, name)) failure ??= cause;
    }
  }
  if (failure !== undefined) throw failure as Error;
  const names = Object.keys(loads);
  throw new TmError(
    'TM_SETTING_INVALID',
    `databaseUrl needs the driver ${names.join(' or ')}, which is not installed. Run "npm install ${names.at(-1) ?? ''}" in Node-RED's user directory and restart Node-RED.`,
  );
}

function isMissing(cause: unknown, name: string): boolean {
  if (!(cause instanceof Error) || !('code' in cause)) return false;
  const missing = cause.code === 'MODULE_NOT_FOUND' || cause.code === 'ERR_MODULE_NOT_FOUND';
  return missing && cause.message.includes(`'${name}'`);
}
