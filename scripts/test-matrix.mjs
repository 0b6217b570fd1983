/**
 * The suite once more on the other supported pair, Node-RED 5 on Node.js 24, both installed from the registry
 * into .cache/matrix. Ends as scripts/test.mjs does; arguments go there.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { root, run, runNpm } from './project.mjs';

const folder = join(root, '.cache/matrix');
const platform = process.platform === 'win32' ? 'win' : process.platform;
const nodePackage = `node-${platform}-${process.arch}`;
const WANTED = { 'node-red': '5', [nodePackage]: '24' };

const installed = (name) => join(folder, 'node_modules', name);
const node = join(installed(nodePackage), 'bin', platform === 'win' ? 'node.exe' : 'node');

async function versionOf(name) {
  const file = join(installed(name), 'package.json');
  return existsSync(file) ? JSON.parse(await readFile(file, 'utf8')).version : undefined;
}

async function isComplete() {
  // npm writes this file when everything else is in its place.
  if (!existsSync(join(folder, 'node_modules/.package-lock.json'))) return false;
  const found = await Promise.all(
    Object.entries(WANTED).map(async ([name, major]) => (await versionOf(name))?.startsWith(`${major}.`)),
  );
  return found.every(Boolean);
}

async function install() {
  await mkdir(folder, { recursive: true });
  // A package.json of its own makes the folder the root of its installation, not a part of the project's.
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'matrix', private: true }));
  const wanted = Object.entries(WANTED).map(([name, major]) => `${name}@${major}`);
  // Installed by this Node.js for the other one: what it thinks of their engines does not count.
  const flags = ['--prefix', folder, '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
  const { ok } = await runNpm(['install', ...flags, ...wanted], { cwd: folder });
  if (!ok || !(await isComplete())) throw new Error(`${wanted.join(' and ')} could not be installed`);
}

if (!(await isComplete())) await install();
console.log(`Node-RED ${await versionOf('node-red')} on Node.js ${await versionOf(nodePackage)}`);

const env = {
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
  TEST_NODE_RED: installed('node-red'),
};
const checked = await run(node, ['scripts/check-package.mjs'], { env });
const tested = await run(node, ['scripts/test.mjs', ...process.argv.slice(2)], { env });
if (!checked.ok || !tested.ok) process.exitCode = 1;
