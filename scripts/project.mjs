/** Where the project lies, what its package.json says, and how the scripts run a program. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** The node types and the files that Node-RED loads for them, as package.json names them. */
export const nodeFiles = Object.entries(manifest['node-red'].nodes);

const require = createRequire(import.meta.url);

/** The script behind a dependency's command, to be run by this very Node.js. */
export function binOf(dependency, command = dependency) {
  const folder = dependencyFolder(dependency);
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return join(folder, typeof bin === 'string' ? bin : bin[command]);
}

/** The Node-RED to check with: TEST_NODE_RED, as in the tests, or the development dependency. */
export function nodeRedFolder() {
  return process.env.TEST_NODE_RED || dependencyFolder('node-red');
}

function dependencyFolder(dependency) {
  // Not require.resolve(): a package may export neither its package.json nor anything that CommonJS can load.
  const folder = require.resolve
    .paths(dependency)
    ?.map((path) => join(path, dependency))
    .find(existsSync);
  if (folder === undefined) throw new Error(`${dependency} is not installed: run npm ci`);
  return folder;
}

/**
 * npm's own script. npm tells its children where it is; without it, the one that came with Node.js.
 * A `npm` found by PATH would be another one: node-red installs its own into node_modules/.bin.
 */
function npmCli() {
  const candidates = [
    process.env.npm_execpath,
    join(dirname(process.execPath), 'node_modules/npm/bin/npm-cli.js'),
    join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js'),
    join(root, 'node_modules/npm/bin/npm-cli.js'),
  ];
  const cli = candidates.find((path) => path?.endsWith('npm-cli.js') && existsSync(path));
  if (cli === undefined) throw new Error('npm was not found beside Node.js');
  return cli;
}

/** Runs a program to its end. With `capture` its output comes back, otherwise it goes to the terminal. */
export function run(program, args, { cwd = root, env = process.env, capture = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: capture ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
    let output = '';
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text;
      output += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (status, signal) => {
      resolve({ ok: status === 0, status, signal, stdout, output });
    });
  });
}

export function runNpm(args, options) {
  return runNode(npmCli(), args, options);
}

export function runNode(script, args = [], options) {
  return run(process.execPath, [script, ...args], options);
}
