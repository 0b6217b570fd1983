/** Drivers that only some users need: loaded when first used, with an error that says what to install. */
import { loadPackage } from '../optional-package';

/**
 * @param load imports the package, and nothing else
 * @throws TmError TM_SETTING_INVALID where it is not installed
 */
export function loadDriver<Driver>(name: string, load: () => Promise<Driver>): Promise<Driver> {
  return loadPackage(name, `databaseUrl needs the driver ${name}`, load);
}
