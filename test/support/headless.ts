/**
 * The connector without an editor as an administrator has it: the packed package installed beside Node-RED, and
 * its command started in a process of its own, set up by a file `.env`.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { freePort } from '../../scripts/start/ports';
import { nodeRedPath } from './node-red';
import { until } from './until';

const PROJECT = resolve(__dirname, '../..');
const LOG_KEPT = 1_000_000;

interface Manifest {
  readonly name: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

let packed: Promise<{ readonly folder: string; readonly tarball: string }> | undefined;
after(async () => {
  if (packed) await rm((await packed).folder, { recursive: true, force: true });
});

/** Once for the run; what is packed was built before the tests. */
async function pack(): Promise<string> {
  packed ??= (async () => {
    const { runNpm } = await import('../../scripts/project.mjs');
    const folder = await mkdtemp(join(tmpdir(), 'tm-packed-'));
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const { ok, stdout, output } = await runNpm(args, { capture: true });
    if (!ok) throw new Error(`npm pack failed\n${output}`);
    const [found] = JSON.parse(stdout) as { filename: string }[];
    return { folder, tarball: join(folder, found?.filename ?? '') };
  })();
  return (await packed).tarball;
}

export class Headless {
  readonly port: number;
  /** Where it is installed and started. */
  readonly directory: string;
  readonly data: string;
  #child: ChildProcess | undefined;
  #closed: Promise<unknown> = Promise.resolve();
  #log = '';

  private constructor(directory: string, port: number) {
    this.directory = directory;
    this.data = join(directory, 'data');
    this.port = port;
  }

  static async install(directory: string): Promise<Headless> {
    await mkdir(directory, { recursive: true });
    const headless = new Headless(directory, await freePort());
    await headless.update();
    return headless;
  }

  /** Puts the packed package in the place of the one that is there, as `npm install` does. */
  async update(): Promise<void> {
    const { name, dependencies } = await this.#manifest(PROJECT);
    const modules = join(this.directory, 'node_modules');
    const target = join(modules, name);
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true });
    await promisify(execFile)('tar', ['-xzf', await pack(), '-C', target, '--strip-components=1']);
    for (const dependency of [...Object.keys(dependencies), 'prom-client', 'bullmq', 'ioredis']) {
      await this.#link(join(PROJECT, 'node_modules', dependency), join(modules, dependency));
    }
    await this.#link(nodeRedPath(), join(modules, 'node-red'));
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  get log(): string {
    return this.#log;
  }

  /** Lines of the log, without colours. */
  linesWith(pattern: RegExp): string[] {
    return this.#log.split('\n').filter((line) => pattern.test(line));
  }

  async writeEnv(values: Readonly<Record<string, string>>, lineEnd = '\n'): Promise<void> {
    const lines = Object.entries({ PORT: String(this.port), ...values }).map(
      ([name, value]) => `${name}=${value}`,
    );
    await writeFile(join(this.directory, '.env'), `${lines.join(lineEnd)}${lineEnd}`);
  }

  /** Runs a command beside what runs already, to its end. */
  async ask(args: readonly string[]): Promise<{ code: number | null; said: string }> {
    const child = await this.#spawn(args);
    const [said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: child.exitCode, said };
  }

  /** Starts a mode; resolves when its flow runs and its port answers. */
  async start(mode: string): Promise<void> {
    const child = await this.#follow([mode]);
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`It ended at once:\n${this.#log}`);
      return (
        this.#log.includes('Started flows') &&
        fetch(`${this.url}tm/health/live`).then(
          ({ ok }) => ok,
          () => false,
        )
      );
    });
  }

  /** Runs it to its end. */
  async run(args: readonly string[]): Promise<{ code: number | null; said: string }> {
    const child = await this.#follow(args);
    await this.#closed;
    return { code: child.exitCode, said: this.#log };
  }

  /** @returns the exit code */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await this.#closed;
    return child.exitCode;
  }

  /** As the one that `log` and `stop` are about. */
  async #follow(args: readonly string[]): Promise<ChildProcess> {
    const child = await this.#spawn(args);
    this.#log = '';
    this.#child = child;
    this.#closed = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (said: string) => {
        this.#log = (this.#log + said).slice(-LOG_KEPT);
      });
    }
    return child;
  }

  async #spawn(args: readonly string[]) {
    const folder = join(this.directory, 'node_modules', (await this.#manifest(PROJECT)).name);
    const { bin } = await this.#manifest(folder);
    const script = join(folder, bin['turbomechanica-connector'] ?? '');
    return spawn(process.execPath, [script, ...args], {
      cwd: this.directory,
      env: environmentWithoutConnector(),
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
  }

  async #manifest(folder: string): Promise<Manifest> {
    return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
  }

  async #link(target: string, path: string): Promise<void> {
    if (existsSync(path) || !existsSync(target)) return;
    await mkdir(dirname(path), { recursive: true });
    await symlink(target, path, 'junction');
  }
}

/** Of this process's environment what a service has too, and nothing that would set the connector up. */
function environmentWithoutConnector(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'TZ', 'TEMP', 'TMPDIR', 'SystemRoot', 'ComSpec', 'USERPROFILE', 'APPDATA'];
  return Object.fromEntries(kept.map((name) => [name, process.env[name]]));
}
