/** Drivers that only some users need: loaded when first used, with an error that says what to install. */
import { TmError } from '../errors';

/**
 * @param load imports the package, and nothing else
 * @throws TmError TM_SETTING_INVALID where it is not installed
 */
export async function loadDriver<Driver>(name: string, load: () => Promise<Driver>): Promise<Driver> {
  try {
    return await load();
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const missing = code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
    // A driver that is there but lacks something of its own says so itself.
    if (!missing || !(cause instanceof Error) || !cause.message.includes(`'${name}'`)) throw cause;
    throw new TmError(
      'TM_SETTING_INVALID',
      `databaseUrl needs the driver ${name}, which is not installed. Run "npm install ${name}" in Node-RED's user directory and restart Node-RED.`,
      { cause },
    );
  }
}
