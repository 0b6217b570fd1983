/**
 * A statement with bound parameters whose rows are handed on in place, straight from the bytes of pg's connection:
 * as fast as COPY, with column types and clean NULLs.
 *
 * Of pg it takes the queue, the errors and every message that is no row. For that it rests on internals of pg 8
 * (looked at from 8.11 to 8.23, pg-protocol from 1.6 to 1.16), all of them in this file:
 * - `client.query(submittable)` queues it, calls `submit(connection)` and then the `handle…` methods below;
 * - `connection.stream` has one `data` listener, the driver's parser, which takes whole messages in any pieces;
 * - `connection` has `parse`, `bind`, `describe`, `execute`, `sync` and `sendCopyFail`.
 */
import type { Client, Connection, FieldDef, Submittable } from 'pg';
import { DATA_ROW, DataRowReader, int32 } from './data-row';
import { lend } from './lending-socket';
import type { RowSink } from './rows';

export interface RowsStatement {
  readonly text: string;
  /** As text; null is NULL. */
  readonly values: readonly (string | null)[];
}

/** Takes the rows. What its methods throw ends the read. */
export interface RowsConsumer {
  /** What the columns are; called once, before any row. */
  columns(fields: readonly FieldDef[]): RowSink;
  /** Called after each chunk of rows; while a promise that it gives is pending, no more are read. */
  drain(): Promise<void> | undefined;
}

/**
 * Resolves when the server has said that the result is complete; the connection is ready for the next query.
 * @throws the driver's DatabaseError: the connection is ready too, unless its severity is FATAL. Anything else (the
 *   connection's end, what the consumer threw): the connection is in mid-result and can only be closed
 */
export function readRows(client: Client, statement: RowsStatement, consumer: RowsConsumer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(new RowsQuery(statement, consumer, resolve, reject));
  });
}

/** How much is parsed before other work in the process gets its turn: a millisecond's worth or two. */
const BYTES_PER_TURN = 128 * 1024;
const READY_FOR_QUERY = 90; // Z
const HEADER_BYTES = 5;
/** A message is as large as a row at most. What is longer is no message: the stream is out of step. */
const LONGEST_MESSAGE = 256 * 1024 * 1024;

type Listener = (chunk: Buffer) => void;

class RowsQuery implements Submittable {
  readonly #statement: RowsStatement;
  readonly #consumer: RowsConsumer;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;

  /** While its bytes come here. */
  #stream: Connection['stream'] | undefined;
  #driver: Listener = () => undefined;
  #rows: DataRowReader | undefined;
  #complete = false;
  #settled = false;
  /** Left in mid-result: nothing more is looked at. */
  #abandoned = false;
  #bytesThisTurn = 0;
  /** A message that the chunks so far have not ended, in a buffer of its length, or of its header's. */
  #partial = Buffer.alloc(0);
  #partialFilled = 0;

  constructor(
    statement: RowsStatement,
    consumer: RowsConsumer,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.#statement = statement;
    this.#consumer = consumer;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** @returns an error for the driver to hand back by handleError, where nothing was sent */
  submit(published: Connection): Error | undefined {
    const connection = published as unknown as DriverConnection;
    const { stream } = connection;
    const [driver, another] = stream.listeners('data');
    if (driver === undefined || another !== undefined) {
      return new Error('This version of pg reads its connection in a way that the connector does not know.');
    }
    this.#driver = driver as Listener;
    this.#stream = stream;
    stream.removeListener('data', this.#driver);
    stream.on('data', this.#onData);
    lend(stream, true);
    // In one packet. Statement and portal have no names: they end with the next query, and the plan is made for
    // these very values.
    stream.cork();
    connection.parse({ text: this.#statement.text });
    connection.bind({ values: this.#statement.values });
    connection.describe({ type: 'P' });
    connection.execute();
    connection.sync();
    stream.uncork();
    return undefined;
  }

  handleRowDescription({ fields }: { readonly fields: FieldDef[] }): void {
    try {
      this.#rows = new DataRowReader(this.#consumer.columns(fields), fields.length);
    } catch (error) {
      this.#abandon(error);
    }
  }

  /** @param text such as `SELECT 1000` */
  handleCommandComplete({ text }: { readonly text: string }): void {
    const sent = Number(/\d+$/.exec(text)?.[0]);
    if (this.#rows?.count === sent) this.#complete = true;
    else this.#settle(new Error(`The server says "${text}", but ${this.#rows?.count ?? 'no'} rows arrived.`));
  }

  handleEmptyQuery(): void {
    // Not complete: said with ReadyForQuery.
  }

  handleReadyForQuery(): void {
    this.#settle(this.#complete ? undefined : new Error('The statement gave no result.'));
  }

  /** The server's error, or the connection's. */
  handleError(error: Error): void {
    this.#settle(error);
  }

  handleCopyInResponse(connection: DriverConnection): void {
    connection.sendCopyFail('This statement is to give rows.');
  }

  handleCopyData(): void {
    // A COPY has no row description, and so no result here.
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#abandoned) return;
    try {
      this.#take(chunk);
      if (this.#settled || this.#stream === undefined) return;
      const busy = this.#consumer.drain();
      this.#bytesThisTurn += chunk.length;
      if (busy) this.#holdUntil(busy);
      else if (this.#bytesThisTurn >= BYTES_PER_TURN) this.#giveWay();
    } catch (error) {
      this.#abandon(error);
    }
  };

  #take(chunk: Buffer): void {
    let at = this.#partialFilled > 0 ? this.#completePartial(chunk) : 0;
    while (at < chunk.length && this.#stream !== undefined && !this.#abandoned) {
      at = this.#rows?.read(chunk, at) ?? at;
      const left = chunk.length - at;
      const length = left < HEADER_BYTES ? undefined : messageLength(chunk, at);
      if (length === undefined || length > left) {
        if (left > 0) this.#keepPartial(chunk, at, length ?? HEADER_BYTES);
        return;
      }
      this.#message(chunk.subarray(at, at + length));
      at += length;
    }
    // Behind ReadyForQuery everything is the driver's, which may keep it.
    if (this.#stream === undefined && at < chunk.length) this.#driver(Buffer.from(chunk.subarray(at)));
  }

  #message(message: Buffer): void {
    if (message[0] === DATA_ROW) {
      if (this.#rows === undefined) throw new Error('A row came before the description of its columns.');
      this.#rows.read(message, 0);
      return;
    }
    // Before the driver hears of it, for that may begin the next query.
    if (message[0] === READY_FOR_QUERY) this.#detach();
    // Memory of its own: of a message that it stumbles over, the driver keeps what it was given.
    this.#driver(Buffer.from(message));
  }

  #detach(): void {
    if (this.#stream === undefined) return;
    lend(this.#stream, false);
    this.#stream.removeListener('data', this.#onData);
    this.#stream.on('data', this.#driver);
    this.#stream = undefined;
  }

  /** Copied: it must not keep the whole chunk alive, nor change with it. */
  #keepPartial(chunk: Buffer, at: number, length: number): void {
    this.#partial = Buffer.allocUnsafe(length);
    this.#partialFilled = chunk.copy(this.#partial, 0, at);
  }

  /** @returns how much of the chunk belongs to the message that an earlier one began */
  #completePartial(chunk: Buffer): number {
    let at = 0;
    for (;;) {
      const copied = chunk.copy(this.#partial, this.#partialFilled, at);
      at += copied;
      this.#partialFilled += copied;
      if (this.#partialFilled < this.#partial.length) return at;
      const length = messageLength(this.#partial, 0);
      if (length === this.#partial.length) break;
      this.#keepPartial(this.#partial, 0, length);
    }
    this.#partialFilled = 0;
    this.#message(this.#partial);
    return at;
  }

  #holdUntil(free: Promise<void>): void {
    this.#stream?.pause();
    free.then(
      () => {
        this.#goOn();
      },
      (error: unknown) => {
        this.#abandon(error);
      },
    );
  }

  #giveWay(): void {
    this.#stream?.pause();
    setImmediate(() => {
      this.#goOn();
    });
  }

  #goOn(): void {
    this.#bytesThisTurn = 0;
    if (!this.#settled) this.#stream?.resume();
  }

  #abandon(error: unknown): void {
    this.#abandoned = true;
    this.#stream?.pause();
    this.#settle(error instanceof Error ? error : new Error(String(error)));
  }

  #settle(error?: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    if (error) this.#reject(error);
    else this.#resolve();
  }
}

/** With its type byte. */
function messageLength(bytes: Buffer, at: number): number {
  const length = int32(bytes, at + 1);
  if (length < 4 || length > LONGEST_MESSAGE)
    throw new Error('The connection is out of step with the server.');
  return 1 + length;
}

/** What pg's connection does, where its published types say otherwise. */
interface DriverConnection extends Omit<Connection, 'parse' | 'bind' | 'describe' | 'execute'> {
  parse(message: { readonly text: string }): void;
  bind(message: { readonly values: readonly (string | null)[] }): void;
  describe(message: { readonly type: 'P' }): void;
  execute(): void;
  sendCopyFail(message: string): void;
}
