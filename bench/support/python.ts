/** The connector in Python, as it is called directly and as it runs through Celery and Redis. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isoTime, type BenchDatabase, type Readings } from './database';
import { hasProgram } from './figures';
import { check, type Run } from './run';
import type { Sink } from './sink';

const run = promisify(execFile);
const PEERS = join(__dirname, '..', 'peers');
const NEEDED = 'sqlalchemy, psycopg2, celery, redis, requests';
/** Not a virtual environment's: the packages are the system's. */
const PYTHON = ['/usr/bin/python3', 'python3'].find((python) => hasProgram(python, '-c', `import ${NEEDED}`));

/** Why it cannot be measured here; undefined where it can. */
export const pythonMissing =
  PYTHON === undefined
    ? `The connector in Python was left out: there is no python3 with ${NEEDED}.`
    : undefined;

export class PythonConnector {
  #worker: ChildProcess | undefined;

  constructor(
    readonly database: BenchDatabase,
    readonly sink: Sink,
    readonly readings: Readings,
  ) {}

  async direct(): Promise<Run> {
    return this.#run('direct');
  }

  async throughCelery(): Promise<Run> {
    this.#worker ??= await this.#startWorker();
    return this.#run('celery');
  }

  async stop(): Promise<void> {
    if (!this.#worker) return;
    const ended = once(this.#worker, 'close');
    this.#worker.kill('SIGTERM');
    await ended;
  }

  async #run(way: 'direct' | 'celery'): Promise<Run> {
    const { start, end } = this.readings;
    await this.sink.take();
    const times = [start, end].map((time) => isoTime(time).replace('Z', '+00:00'));
    const { stdout } = await run(PYTHON ?? '', [join(PEERS, 'connector.py'), way, ...times], {
      env: this.#environment(),
    });
    const [, ms, ownMB] = stdout.trim().split(' ').map(Number);
    await check(this.sink, this.readings, `the connector in Python (${way})`);
    return { ms: ms ?? NaN, peakMB: way === 'direct' ? ownMB : await this.#workerPeakMB() };
  }

  async #startWorker(): Promise<ChildProcess> {
    const worker = spawn(
      PYTHON ?? '',
      ['-m', 'celery', '--app', 'connector', 'worker', '--concurrency', '1', '--loglevel', 'INFO'],
      { cwd: PEERS, env: this.#environment(), stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    await new Promise<void>((resolve, reject) => {
      worker.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (log.includes('ready.')) resolve();
      });
      worker.once('exit', () => reject(new Error(`The Celery worker ended:\n${log}`)));
    });
    return worker;
  }

  /** Of the worker's process that does the work, its child. */
  async #workerPeakMB(): Promise<number | undefined> {
    const pid = this.#worker?.pid;
    if (pid === undefined) return undefined;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    const peaks = await Promise.all(
      children
        .trim()
        .split(/\s+/)
        .map(async (child) => /VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${child}/status`, 'utf8'))?.[1]),
    );
    return Math.max(...peaks.map(Number)) / 1000;
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      PYTHONDONTWRITEBYTECODE: '1',
      DATABASE_URL: this.database.url,
      BENCH_TABLE: this.readings.table,
      POST_DATA_ENDPOINT: this.sink.url,
      POST_DATA_API_KEY: 'bench-key',
    };
  }
}
