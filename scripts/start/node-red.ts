/**
 * A Node-RED of its own process with this package installed, as the palette would have it: for `npm start`, and
 * for tests that kill and restart it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePort } from './ports';
import { end, processIn } from './processes';

/** A flow as it stands in examples/: nodes, some with `credentials`. */
export type Flow = readonly Readonly<Record<string, unknown>>[];

export interface NodeRedOptions {
  /** The folder of the node-red package. */
  readonly folder: string;
  readonly userDirectory: string;
  /** Deployed where the user directory has no flow yet. */
  readonly flow: Flow;
  readonly port?: number;
  /** Added to this process's own environment: what `${NAME}` in a flow stands for. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onOutput?: (text: string) => void;
}

const PROJECT = resolve(__dirname, '../..');
const END_WITH_PARENT = pathToFileURL(join(__dirname, 'end-with-parent.mjs')).href;
const PID_FILE = 'node-red.pid';
const STARTED = 'Started flows';
const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
/** As much of its output as an error quotes and a test looks into. */
const LOG_KEPT = 1_000_000;

export async function startNodeRed(options: NodeRedOptions): Promise<NodeRed> {
  const { userDirectory, flow } = options;
  await mkdir(userDirectory, { recursive: true });
  await endLeftOver(userDirectory);
  const port = await freePort(options.port);
  await writeFile(join(userDirectory, 'settings.js'), settings(port));
  await install(userDirectory);
  if (!existsSync(join(userDirectory, 'flows.json'))) await writeFlow(userDirectory, flow);
  const nodeRed = new NodeRed(options, port);
  await writeFile(join(userDirectory, PID_FILE), String(nodeRed.process.pid));
  await nodeRed.started();
  return nodeRed;
}

/** Two over one user directory would be two writers on one bookmark. */
async function endLeftOver(userDirectory: string): Promise<void> {
  const found = await processIn(join(userDirectory, PID_FILE));
  if (found?.command.includes(userDirectory)) await end(found.pid, 'SIGTERM', STOP_WITHIN_MS);
}

export class NodeRed {
  readonly url: string;
  readonly process: ChildProcess;
  #log = '';
  readonly #pidFile: string;
  readonly #closed: Promise<unknown>;

  constructor(options: NodeRedOptions, port: number) {
    this.url = `http://127.0.0.1:${port}/`;
    const { folder, userDirectory, env } = options;
    this.#pidFile = join(userDirectory, PID_FILE);
    const args = [
      ...['--import', END_WITH_PARENT, join(folder, 'red.js'), '--userDir', userDirectory],
      // By this it is known again.
      ...['--title', `node-red ${userDirectory}`],
    ];
    this.process = spawn(process.execPath, args, {
      cwd: userDirectory,
      // Where it runs, TZ and the like are the caller's business; its flow sees what is given here.
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C in a terminal goes to the whole group: stopping it is for the parent to do, in order.
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    this.#closed = once(this.process, 'close');
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-LOG_KEPT);
        options.onOutput?.(text);
      });
    }
  }

  /** What it has printed, the latest megabyte. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async started(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const startedFlows = new Promise<string>((settle) => {
      const look = (): void => {
        if (this.#log.includes(STARTED)) settle('started');
      };
      this.process.stdout?.on('data', look);
    });
    const tooLong = new Promise<string>((settle) => {
      timer = setTimeout(settle, START_WITHIN_MS, `did not start within ${START_WITHIN_MS / 1000} s`);
    });
    const outcome = await Promise.race([startedFlows, tooLong, this.#closed.then(() => 'ended at once')]);
    clearTimeout(timer);
    if (outcome === 'started') return;
    await this.stop();
    throw new Error(`Node-RED ${outcome}. It said:\n${this.#log.slice(-4000)}`);
  }

  /** As a power cut would: nothing is closed. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.#closed;
  }

  /** As an administrator would. */
  async stop(): Promise<void> {
    if (this.running) {
      // Windows has no signal that a process could answer.
      if (process.platform === 'win32') this.process.send('shutdown');
      else this.process.kill('SIGTERM');
      const force = setTimeout(() => this.process.kill('SIGKILL'), STOP_WITHIN_MS);
      await this.#closed;
      clearTimeout(force);
    }
    await rm(this.#pidFile, { force: true });
  }
}

function settings(port: number): string {
  const values = {
    uiHost: '127.0.0.1',
    uiPort: port,
    flowFile: 'flows.json',
    // Flows here hold names of environment variables, not secrets.
    credentialSecret: false,
    telemetry: { enabled: false, updateNotification: false },
    editorTheme: { tours: false },
  };
  return `module.exports = ${JSON.stringify(values, null, 2)};\n`;
}

/** A link to the project in the place where the palette would have put the package. */
async function install(userDirectory: string): Promise<void> {
  const { name, version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  const link = join(userDirectory, 'node_modules', name);
  await mkdir(dirname(link), { recursive: true });
  await rm(link, { recursive: true, force: true });
  await symlink(PROJECT, link, 'junction');
  const manifest = {
    name: 'node-red-project',
    private: true,
    version: '0.0.1',
    dependencies: { [name]: version },
  };
  await writeFile(join(userDirectory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Node-RED keeps credentials in a file beside the flow. */
async function writeFlow(userDirectory: string, flow: Flow): Promise<void> {
  const credentials: Record<string, unknown> = {};
  const nodes = flow.map(({ credentials: secret, ...node }) => {
    if (secret !== undefined && typeof node.id === 'string') credentials[node.id] = secret;
    return node;
  });
  await writeFile(join(userDirectory, 'flows_cred.json'), JSON.stringify(credentials));
  await writeFile(join(userDirectory, 'flows.json'), JSON.stringify(nodes, null, 2));
}
