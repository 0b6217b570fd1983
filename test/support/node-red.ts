/**
 * The Node-RED that the tests run: the one named by TEST_NODE_RED (the folder of its package), or the
 * development dependency. Every test finds it here, so that one suite serves all supported versions.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly main: string;
}

function packageJson(): PackageJson {
  const file = join(nodeRedPath(), 'package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as PackageJson;
  if (manifest.name !== 'node-red') throw new Error(`${file} is the package ${manifest.name}, not node-red`);
  return manifest;
}

/** The folder of the node-red package; `red.js` in it is the command. */
export function nodeRedPath(): string {
  const given = process.env.TEST_NODE_RED;
  return given ? resolve(given) : dirname(require.resolve('node-red/package.json'));
}

/** The file that `require('node-red')` would load; what node-red-node-test-helper's init() takes. */
export function nodeRedMain(): string {
  return join(nodeRedPath(), packageJson().main);
}

export function nodeRedVersion(): string {
  return packageJson().version;
}
