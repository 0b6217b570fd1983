#!/usr/bin/env node
/**
 * `turbomechanica-connector request|schedule|both`: Node-RED with the flow of a mode, set up by environment
 * variables alone. The one entry of Docker, the Windows service, the systemd unit and the tests.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { reasonOf } from '../lib/errors';
import { merged, readEnvFile } from './env-file';
import { flowOf, type FlowNode } from './flow';
import { askHealth } from './health';
import { findNodeRed, linkPackage } from './node-red';
import { MODES, problemsOf, VARIABLES, type Environment, type Mode } from './variables';

const USAGE = `Usage: turbomechanica-connector <request|schedule|both> [--env-file FILE] [--data DIRECTORY] [--check]
       turbomechanica-connector health [--env-file FILE]

  request    answers requests for a range of time over HTTP
  schedule   follows the clock
  both       both of them
  health     asks the connector that runs on this machine; exits with 0 when readings get through

  --env-file FILE    the environment variables (default: .env, where there is one)
  --check            says whether the mode could start with these variables, and starts nothing
  --data DIRECTORY   where bookmarks and tasks are kept (default: the variable DATA_DIRECTORY, or ./data)`;

/** Wrong usage or configuration: starting again does not help (sysexits.h, EX_CONFIG). */
const EXIT_CONFIG = 78;
/** What the mode needs, written at each start. */
const GENERATED_FLOW = 'connector.json';
/** The user's own, from the editor. */
const OWN_FLOW = 'flows.json';
/** From dist/deploy. */
const PACKAGE_ROOT = resolve(__dirname, '../..');

class ConfigurationError extends Error {}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        'env-file': { type: 'string' },
        data: { type: 'string' },
        check: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const [command = '', ...others] = positionals;
    if (others.length > 0) throw new Error(`Unexpected: ${others.join(' ')}`);
    const { data, check = false, help = false } = values;
    return { command, envFile: values['env-file'], data, check, help };
  } catch (error) {
    throw new ConfigurationError(`${reasonOf(error)}\n\n${USAGE}`);
  }
}

async function main(): Promise<void> {
  const { command, envFile, data, check, help } = readArguments();
  if (help) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const environment = readEnvironment(envFile);
  if (command === 'health') {
    const { up, said } = await askHealth(environment.values);
    process.stdout.write(`${said}\n`);
    if (!up) process.exitCode = 1;
    return;
  }
  const mode = MODES.find((each) => each === command);
  if (!mode)
    throw new ConfigurationError(command === '' ? USAGE : `There is no mode "${command}".\n\n${USAGE}`);
  checkEnvironment(mode, environment);
  if (check) process.stdout.write(`The connector can start in mode ${mode}.\n`);
  else run(mode, environment.values, resolve(data ?? environment.values.DATA_DIRECTORY ?? 'data'));
}

interface Read {
  readonly values: Environment;
  readonly problems: readonly string[];
  readonly from: string;
}

function readEnvironment(envFile: string | undefined): Read {
  const path = resolve(envFile ?? '.env');
  try {
    const file = readEnvFile(path);
    if (!file && envFile !== undefined) throw new Error('there is no such file');
    return {
      values: merged(process.env, file),
      problems: file?.problems ?? [],
      from: file ? `in the environment or in ${path}` : `in the environment, or in a file ${path}`,
    };
  } catch (error) {
    throw new ConfigurationError(`The file ${path} cannot be read: ${reasonOf(error)}`);
  }
}

function checkEnvironment(mode: Mode, { values, problems, from }: Read): void {
  const found = [...problems, ...problemsOf(mode, values)];
  if (found.length > 0) {
    throw new ConfigurationError(
      `The connector cannot start in mode ${mode}. Set ${from}:\n${found.map((problem) => `  - ${problem}`).join('\n')}`,
    );
  }
}

function run(mode: Mode, values: Environment, userDirectory: string): void {
  const nodeRed = findNodeRed([PACKAGE_ROOT, process.cwd()]);
  if (nodeRed === undefined) {
    throw new ConfigurationError(
      `Node-RED is not installed beside this package (${PACKAGE_ROOT}). Install it there: npm install node-red`,
    );
  }
  let flowFile: string;
  try {
    mkdirSync(userDirectory, { recursive: true });
    linkPackage(PACKAGE_ROOT, nodeRed, userDirectory);
    flowFile = writeFlow(mode, values, userDirectory);
  } catch (error) {
    throw new ConfigurationError(`The directory ${userDirectory} cannot be used: ${reasonOf(error)}`);
  }
  say(`Mode ${mode}, state in ${userDirectory}, flow ${flowFile}`);
  startNodeRed(nodeRed, userDirectory, flowFile, withListenAddress(mode, values));
}

/** In schedule mode nobody calls from outside. */
function withListenAddress(mode: Mode, values: Environment): Environment {
  return mode === 'schedule' ? { LISTEN_ADDRESS: '127.0.0.1', ...values } : values;
}

/**
 * The flow of the mode is written anew at each start, so that it follows the environment and each update. One
 * that was changed in the editor is the user's from then on, with the editor or without.
 */
function writeFlow(mode: Mode, values: Environment, userDirectory: string): string {
  const own = existsSync(join(userDirectory, OWN_FLOW));
  const withEditor = values.NODE_RED_EDITOR === 'on';
  const flowFile = own || withEditor ? OWN_FLOW : GENERATED_FLOW;
  if (own) return flowFile;
  const nodes = flowOf(mode, values, join(PACKAGE_ROOT, 'examples'));
  const credentials = Object.fromEntries(
    nodes.flatMap(({ id, credentials: secret }) => (secret ? [[id, secret]] : [])),
  );
  const withoutCredentials = nodes.map(({ credentials: _secret, ...node }: FlowNode) => node);
  const write = (file: string, content: object): void => {
    writeFileSync(join(userDirectory, file), `${JSON.stringify(content, null, 2)}\n`);
  };
  write(flowFile.replace('.json', '_cred.json'), credentials);
  write(flowFile, withoutCredentials);
  return flowFile;
}

/** In this very process, so that signals reach it: as the command `node-red` would. */
function startNodeRed(folder: string, userDirectory: string, flowFile: string, values: Environment): void {
  // `${NAME}` in the flow stands for what Node-RED finds in its environment.
  Object.assign(process.env, values);
  // Set to nothing is not set.
  for (const name of Object.keys(VARIABLES))
    if (values[name] === undefined) Reflect.deleteProperty(process.env, name);
  const settings = join(__dirname, 'settings.js');
  const script = join(folder, 'red.js');
  process.argv.splice(1, Infinity, script, '--userDir', userDirectory, '--settings', settings, flowFile);
  createRequire(script)(script);
}

main().catch((error: unknown) => {
  say(
    error instanceof ConfigurationError
      ? error.message
      : String(error instanceof Error ? error.stack : error),
  );
  process.exitCode = error instanceof ConfigurationError ? EXIT_CONFIG : 1;
});
