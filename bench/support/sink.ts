/**
 * The endpoint of the measurements, in a process of its own: it reads what is posted as fast as it comes, and
 * counts it only when asked, so that it takes as little of the machine as it can.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export interface SinkOptions {
  readonly latencyMs?: number;
  /** Whether it says that it takes gzip. */
  readonly gzip?: boolean;
}

export interface Received {
  readonly posts: number;
  readonly bytesOnWire: number;
  readonly readings: number;
}

export class Sink {
  readonly #child: ChildProcess;

  private constructor(
    child: ChildProcess,
    readonly url: string,
  ) {
    this.#child = child;
  }

  static async start(): Promise<Sink> {
    const child = fork(require.resolve('./sink-process.cjs'));
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new Sink(child, `http://127.0.0.1:${port}/api/data`);
  }

  async set(options: SinkOptions): Promise<void> {
    await this.#ask({ set: { latencyMs: 0, gzip: false, ...options } });
  }

  /** What has come since this was last asked. */
  async take(): Promise<Received> {
    return (await this.#ask({ take: true })) as Received;
  }

  stop(): void {
    this.#child.kill();
  }

  async #ask(question: object): Promise<unknown> {
    const answered = once(this.#child, 'message');
    this.#child.send(question);
    return ((await answered) as unknown[])[0];
  }
}
