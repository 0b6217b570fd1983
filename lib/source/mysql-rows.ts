/**
 * A statement whose rows are handed on in place, straight from the packets of mysql2's connection.
 *
 * Of mysql2 it takes everything but the rows. For that it rests on internals of mysql2 3 (looked at in 3.24), all of
 * them in this file:
 * - a running query calls its own `row(packet)` for each row, and what that returns for the next one;
 * - a packet is the bytes of `buffer` from `offset` to `end`, and knows whether it is the end of the rows (`isEOF`);
 * - the driver's listener of the stream's `data` parses a chunk at once.
 * Source of the form of rows: MySQL Internals, "Text Resultset Row".
 */
import type { Connection, FieldPacket, Query } from 'mysql2';
import { countAsYoung } from '../young-memory';
import type { RowSink } from './rows';

/** Takes the rows. What its methods throw ends the read. */
export interface RowsConsumer {
  /** What the columns are; called once, before any row. */
  columns(fields: readonly FieldPacket[]): RowSink;
  /** Called after each chunk of rows; while a promise that it gives is pending, no more are read. */
  drain(): Promise<void> | undefined;
}

/**
 * Resolves when the server has said that the result is complete.
 * @throws the server's error: the connection is ready for the next query. Anything else (the connection's end, what
 *   the consumer threw): the connection is in mid-result and can only be closed
 */
export function readRows(connection: Connection, sql: string, consumer: RowsConsumer): Promise<void> {
  return new Promise((resolve, reject) => {
    new RowsQuery(connection, consumer, resolve, reject).run(sql);
  });
}

/** How much is parsed before other work in the process gets its turn. */
const BYTES_PER_TURN = 128 * 1024;

const NULL = 251;
const TWO_BYTES = 252;
const THREE_BYTES = 253;

interface RowPacket {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly end: number;
  isEOF(): boolean;
}
type RowState = (packet: RowPacket, connection: unknown) => unknown;

class RowsQuery {
  readonly #connection: DriverConnection;
  readonly #consumer: RowsConsumer;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;

  #query: DriverQuery | undefined;
  #driverRow: RowState = () => undefined;
  #sink: RowSink | undefined;
  #starts = new Int32Array(0);
  #ends = new Int32Array(0);
  #settled = false;
  /** Its last row has been seen; the driver says so in a moment. */
  #ended = false;
  #bytesThisTurn = 0;

  constructor(
    connection: Connection,
    consumer: RowsConsumer,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.#connection = connection as DriverConnection;
    this.#consumer = consumer;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  run(sql: string): void {
    const query = this.#connection.query({ sql }, (error) => {
      this.#settle(error ?? undefined);
    }) as DriverQuery;
    const { row } = query;
    if (typeof row !== 'function') {
      this.#abandon(
        new Error('This version of mysql2 reads its rows in a way that the connector does not know.'),
      );
      return;
    }
    this.#driverRow = row;
    query.row = this.#row;
    query.on('fields', this.#onFields);
    this.#query = query;
    // Behind the driver's own listener.
    this.#connection.stream.on('data', this.#onChunk);
  }

  readonly #onFields = (fields: readonly FieldPacket[] | undefined): void => {
    try {
      // Such as of a statement that gives none.
      if (!fields) throw new Error('The statement gave no result.');
      this.#sink = this.#consumer.columns(fields);
      this.#starts = new Int32Array(fields.length);
      this.#ends = new Int32Array(fields.length);
    } catch (error) {
      this.#abandon(error);
    }
  };

  readonly #row: RowState = (packet, connection) => {
    if (packet.isEOF()) {
      this.#ended = true;
      return this.#driverRow.call(this.#query, packet, connection);
    }
    if (this.#settled) return this.#row;
    try {
      this.#take(packet);
    } catch (error) {
      this.#abandon(error);
    }
    return this.#row;
  };

  #take({ buffer, offset, end }: RowPacket): void {
    const starts = this.#starts;
    const ends = this.#ends;
    let at = offset;
    for (let field = 0; field < starts.length; field++) {
      let length = buffer[at++] ?? 0;
      if (length === NULL) {
        starts[field] = -1;
        ends[field] = -1;
        continue;
      }
      if (length >= TWO_BYTES) {
        const bytes = length === TWO_BYTES ? 2 : length === THREE_BYTES ? 3 : 8;
        // More than six bytes of a length are of no row that there is.
        length = buffer.readUIntLE(at, Math.min(bytes, 6));
        at += bytes;
      }
      starts[field] = at;
      at += length;
      ends[field] = at;
    }
    if (at !== end) throw new RangeError('A row of the result has another form than was announced.');
    this.#sink?.row(buffer, starts, ends);
  }

  readonly #onChunk = (chunk: Buffer): void => {
    if (this.#settled || this.#ended || !this.#sink) return;
    countAsYoung(chunk.length);
    try {
      const busy = this.#consumer.drain();
      this.#bytesThisTurn += chunk.length;
      if (busy) this.#holdUntil(busy);
      else if (this.#bytesThisTurn >= BYTES_PER_TURN) this.#giveWay();
    } catch (error) {
      this.#abandon(error);
    }
  };

  #holdUntil(free: Promise<void>): void {
    this.#connection.stream.pause();
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
    this.#connection.stream.pause();
    setImmediate(() => {
      this.#goOn();
    });
  }

  #goOn(): void {
    this.#bytesThisTurn = 0;
    if (!this.#settled) this.#connection.stream.resume();
  }

  #abandon(error: unknown): void {
    this.#connection.stream.pause();
    this.#settle(error instanceof Error ? error : new Error(String(error)));
  }

  #settle(error?: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#connection.stream.removeListener('data', this.#onChunk);
    if (error) this.#reject(error);
    else this.#resolve();
  }
}

/** What mysql2's connection and query have, where its published types say nothing of it. */
interface DriverConnection extends Connection {
  readonly stream: NodeJS.ReadableStream;
}
interface DriverQuery extends Query {
  row?: RowState;
}
