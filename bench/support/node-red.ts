/** A real Node-RED in a process of its own, with the connector's nodes and the measurements' marks. */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';

export interface ProcessFigures {
  readonly rssMB: number;
  readonly peakRssMB: number;
  /** V8's heap and the Buffers outside it, when the most was resident. */
  readonly peakHeapMB: number;
  readonly peakBuffersMB: number;
  readonly cpuMs: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  readonly tickGapsMs: readonly number[];
  /** How often V8 collected its whole heap. */
  readonly collections: number;
}

export interface Mark {
  readonly mark: string;
  /** Milliseconds since 1970 with fraction, by the clock of the measured process. */
  readonly at: number;
  readonly message: { readonly payload?: Readonly<Record<string, unknown>>; readonly statusCode?: number };
}

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly children?: readonly number[];
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

export interface MeasuredOptions {
  readonly databaseUrl: string;
  readonly endpointUrl: string;
  readonly flow: Flow;
  /** Beside the variables that every measured flow has. */
  readonly env?: Readonly<Record<string, string>>;
}

export class MeasuredNodeRed {
  /** Of the process with its flows started and nothing done yet. */
  idleMB = NaN;

  private constructor(
    readonly nodeRed: NodeRed,
    readonly directory: string,
  ) {
    nodeRed.process.setMaxListeners(0);
  }

  static async start({ databaseUrl, endpointUrl, flow, env }: MeasuredOptions): Promise<MeasuredNodeRed> {
    const directory = await mkdtemp(join(tmpdir(), 'tm-bench-'));
    const userDirectory = join(directory, 'node-red');
    await mkdir(join(userDirectory, 'nodes'), { recursive: true });
    await cp(join(__dirname, 'nodes'), join(userDirectory, 'nodes'), { recursive: true });
    const nodeRed = await startNodeRed({
      folder: dirname(require.resolve('node-red/package.json')),
      userDirectory,
      flow,
      env: {
        NODE_OPTIONS: `--require ${join(__dirname, 'probe.cjs')}`,
        BENCH_PROJECT: resolve('package.json'),
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: endpointUrl,
        POST_DATA_API_KEY: 'bench-key',
        ...env,
      },
    });
    const measured = new MeasuredNodeRed(nodeRed, directory);
    measured.idleMB = (await measured.figures()).rssMB;
    return measured;
  }

  /** Hands a message to a node. */
  async send(id: string, message: object): Promise<void> {
    await fetch(`${this.nodeRed.url}bench/${id}`, { method: 'POST', body: JSON.stringify(message) });
  }

  /** The next of the marks for which `wanted` holds. */
  mark(name: string, wanted: (mark: Mark) => boolean = () => true): Promise<Mark> {
    return this.#next(
      (message): message is Mark => 'mark' in message && message.mark === name && wanted(message as Mark),
    );
  }

  /** Calls for each of the marks of a name from now on. */
  onMark(name: string, act: (mark: Mark) => void): void {
    this.nodeRed.process.on('message', (message: object) => {
      if ('mark' in message && message.mark === name) act(message as Mark);
    });
  }

  /** Since the last `reset`. */
  figures(): Promise<ProcessFigures> {
    return this.#ask('report') as Promise<ProcessFigures>;
  }

  reset(): Promise<unknown> {
    return this.#ask('reset');
  }

  /** The CPU profile of what is done meanwhile. */
  async profile(work: () => Promise<void>): Promise<CpuProfile> {
    await this.#ask('profile');
    await work();
    return ((await this.#ask('profile')) as { readonly profile: CpuProfile }).profile;
  }

  async stop(): Promise<void> {
    await this.nodeRed.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #ask(ask: 'report' | 'reset' | 'profile'): Promise<unknown> {
    const answered = this.#next((message): message is { answer: unknown } => 'answer' in message);
    this.nodeRed.process.send({ ask });
    return (await answered).answer;
  }

  #next<Message extends object>(wanted: (message: object) => message is Message): Promise<Message> {
    const { process } = this.nodeRed;
    return new Promise((resolve, reject) => {
      const ended = (): void => {
        reject(new Error(`Node-RED ended:\n${this.nodeRed.log.slice(-4000)}`));
      };
      const look = (message: object): void => {
        if (!wanted(message)) return;
        process.off('message', look);
        process.off('exit', ended);
        resolve(message);
      };
      process.on('message', look);
      process.once('exit', ended);
    });
  }
}
