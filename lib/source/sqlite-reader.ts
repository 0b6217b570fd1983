/** A process that reads an SQLite file, as seen from here. */
import { fork, type ChildProcess } from 'node:child_process';
import { extname, join } from 'node:path';
import { TmError } from '../errors';
import { orAborted } from '../signals';
import { readChunk } from './cell-chunk';
import type { RowSink } from './rows';
import { SqliteError } from './sqlite-error';
import type {
  SqliteAnswer,
  SqliteColumn,
  SqliteFailure,
  SqliteRequest,
  SqliteValue,
} from './sqlite-messages';

const OPEN_WITHIN_MS = 10_000;

export interface SqliteStatement {
  readonly text: string;
  readonly values: readonly SqliteValue[];
}

export interface RowsConsumer {
  /** What the columns are; called once, before any row. */
  columns(columns: readonly SqliteColumn[]): RowSink;
  /** Called after each chunk of rows; the next one but one is not read before it is over. */
  drain(): Promise<void> | undefined;
}

let started = 0;

export class SqliteReader {
  /** No other reader's, before or after it. */
  readonly id = ++started;
  readonly #process: ChildProcess;
  readonly #answers: SqliteAnswer[] = [];
  #waiting: { resolve: (answer: SqliteAnswer) => void; reject: (error: Error) => void } | undefined;
  #ended: Error | undefined;

  readonly #exited: Promise<void>;

  private constructor() {
    // Where the connector runs from its sources, so does this.
    const extension = extname(__filename);
    this.#process = fork(join(__dirname, `sqlite-process${extension}`), [], {
      execArgv: extension === '.ts' ? ['--require', 'tsx/cjs'] : [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.#process.on('message', (answer: SqliteAnswer) => {
      if (!this.#waiting) {
        this.#answers.push(answer);
        return;
      }
      this.#waiting.resolve(answer);
      this.#waiting = undefined;
    });
    this.#process.on('error', (cause) => {
      this.#end(
        new TmError(
          'TM_DATABASE_UNREACHABLE',
          `The process that reads the SQLite file failed: ${cause.message}.`,
          { cause },
        ),
      );
    });
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (status, signal) => {
        const how = signal ?? `status ${status}`;
        this.#end(
          new TmError('TM_DATABASE_UNREACHABLE', `The process that reads the SQLite file ended with ${how}.`),
        );
        resolve();
      });
    });
  }

  /**
   * A file on a share that has gone away may neither open nor fail: its process is left to itself then.
   * @throws TmError TM_SETTING_INVALID where no driver is installed, TM_DATABASE_UNREACHABLE; SqliteError; the
   *   signal's reason
   */
  static async open(file: string, signal: AbortSignal, withinMs = OPEN_WITHIN_MS): Promise<SqliteReader> {
    const reader = new SqliteReader();
    const timer = setTimeout(() => {
      reader.#end(
        new TmError(
          'TM_DATABASE_UNREACHABLE',
          `The file ${file} could not be opened within ${withinMs / 1000} s. Is it on a network drive that does not answer?`,
        ),
      );
    }, withinMs);
    try {
      reader.#send({ open: file });
      await orAborted(reader.#next(), signal);
      return reader;
    } catch (error) {
      void reader.end();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether it takes another statement. */
  get usable(): boolean {
    return this.#ended === undefined;
  }

  async describe({ text, values }: SqliteStatement): Promise<readonly SqliteColumn[]> {
    this.#send({ describe: text, values });
    return this.#columns();
  }

  /** Where it throws another error than SQLite's, it is in mid-result and can only be ended. */
  async read({ text, values }: SqliteStatement, consumer: RowsConsumer): Promise<void> {
    this.#send({ run: text, values });
    const columns = await this.#columns();
    const sink = consumer.columns(columns);
    for (let last = false; !last;) {
      const answer = await this.#next();
      if (!('rows' in answer)) throw new Error('The process that reads the file is out of step.');
      ({ last } = answer);
      // The next chunk is made while this one is looked at.
      if (!last) this.#send({ more: true });
      readChunk(answer.rows, columns.length, sink);
      const busy = consumer.drain();
      if (busy) await busy;
    }
  }

  /** At once, whatever it does: it holds nothing but a lock to read, which goes with it. */
  end(reason = new Error('The process that reads the file was ended.')): Promise<void> {
    this.#end(reason);
    this.#process.kill('SIGKILL');
    return this.#exited;
  }

  async #columns(): Promise<readonly SqliteColumn[]> {
    const answer = await this.#next();
    if ('columns' in answer) return answer.columns;
    throw new Error('The process that reads the file is out of step.');
  }

  #send(request: SqliteRequest): void {
    if (!this.#ended) this.#process.send(request);
  }

  async #next(): Promise<SqliteAnswer> {
    const answer =
      this.#answers.shift() ??
      (await new Promise<SqliteAnswer>((resolve, reject) => {
        if (this.#ended) reject(this.#ended);
        else this.#waiting = { resolve, reject };
      }));
    if ('failed' in answer) throw errorOf(answer.failed);
    return answer;
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#waiting?.reject(this.#ended);
    this.#waiting = undefined;
  }
}

function errorOf(failure: SqliteFailure): Error {
  const { message, code } = failure;
  if (code === 'TM_SETTING_INVALID' || code === 'TM_DATABASE_UNREACHABLE') return new TmError(code, message);
  return new SqliteError(failure);
}
