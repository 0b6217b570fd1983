/** Drivers that only some users need: loaded when first used, with an error that says what to install. */
import { isMissing, notInstalled } from '../optional-package';

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
      if (!isMissing(name, cause)) failure ??= cause;
    }
  }
  if (failure !== undefined) throw failure as Error;
  const names = Object.keys(loads);
  throw notInstalled(names.slice(-1), `databaseUrl needs the driver ${names.join(' or ')}`);
}
