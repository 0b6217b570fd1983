/** The Node-RED that runs the flow: the one that is installed beside this package. */
import { existsSync, lstatSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const PACKAGE_NAME = '@turbomechanica/node-red-data-connector';

/** @param from folders to look from, as `require` would: the package's own, then the working directory */
export function findNodeRed(from: readonly string[]): string | undefined {
  for (const folder of from) {
    try {
      return dirname(createRequire(join(folder, 'package.json')).resolve('node-red/package.json'));
    } catch {
      // Perhaps from the next one.
    }
  }
  return undefined;
}

/**
 * Makes sure that Node-RED finds this package: where it is not installed beside it, by a link in the user
 * directory, as if the palette had put it there.
 */
export function linkPackage(packageRoot: string, nodeRed: string, userDirectory: string): void {
  const link = join(userDirectory, 'node_modules', PACKAGE_NAME);
  // A link of before an update may lead nowhere.
  const stale = lstatSync(link, { throwIfNoEntry: false });
  if (stale && !stale.isSymbolicLink()) return;
  if (stale) rmSync(link);
  if (isBeside(packageRoot, nodeRed)) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(packageRoot, link, 'junction');
}

/** Node-RED looks into each node_modules from its own folder upwards. */
function isBeside(packageRoot: string, nodeRed: string): boolean {
  for (let folder = nodeRed; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', PACKAGE_NAME);
    if (existsSync(candidate) && realpathSync(candidate) === realpathSync(packageRoot)) return true;
    if (folder === dirname(folder)) return false;
  }
}
