import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect, Socket, type AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { Client, type FieldDef } from 'pg';
import { lendingSocket } from '../../lib/source/lending-socket';
import { readRows, type RowsConsumer, type RowsStatement } from '../../lib/source/postgres-rows';
import type { RowSink } from '../../lib/source/rows';
import { TestAuthority } from '../support/certificates';
import { testDatabase } from '../support/test-database';

type Row = (string | null)[];

/** Keeps every row as text. */
class Rows implements RowsConsumer, RowSink {
  fields: readonly FieldDef[] | undefined;
  readonly rows: Row[] = [];
  bytes = 0;

  columns(fields: readonly FieldDef[]): RowSink {
    this.fields = fields;
    return this;
  }

  row(bytes: Buffer, starts: Int32Array, ends: Int32Array): void {
    this.rows.push(
      Array.from(starts, (start, column) => (start < 0 ? null : bytes.toString('utf8', start, ends[column]))),
    );
    this.bytes += (ends.at(-1) ?? 0) - (starts[0] ?? 0);
  }

  drain(): Promise<void> | undefined {
    return undefined;
  }
}

/** A connection whose bytes arrive in pieces of the sizes given, or changed. */
class Pieces extends Socket {
  readonly #sizes: () => number;
  readonly #change: (chunk: Buffer) => Buffer;

  constructor(sizes: () => number, change: (chunk: Buffer) => Buffer = (chunk) => chunk) {
    super();
    this.#sizes = sizes;
    this.#change = change;
  }

  override push(chunk: Buffer | null): boolean {
    if (chunk === null) return super.push(null);
    const changed = this.#change(chunk);
    let more = true;
    for (let at = 0; at < changed.length && !this.destroyed;) {
      const size = this.#sizes();
      more = super.push(changed.subarray(at, at + size));
      at += size;
    }
    return more;
  }
}

const statement = (text: string, ...values: (string | null)[]): RowsStatement => ({ text, values });
const numbers = (count: number): RowsStatement =>
  statement('select number, repeat($1, 20) from generate_series(1, $2::int) number', 'x', String(count));

describe('Rows in place out of a real PostgreSQL', () => {
  const database = testDatabase();
  const clients: Client[] = [];
  const open = async (socket = lendingSocket(), url = database.url): Promise<Client> => {
    const client = new Client({ connectionString: url, stream: () => socket });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  };
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.end())));

  const read = async (client: Client, of: RowsStatement): Promise<Rows> => {
    const rows = new Rows();
    await readRows(client, of, rows);
    return rows;
  };
  /** The same by the driver's own way. */
  const expected = async (client: Client, { text, values }: RowsStatement): Promise<Row[]> => {
    const { rows } = await client.query<Row>({
      text,
      values: [...values],
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
    });
    return rows;
  };

  it('are those that the driver itself reads, in whatever pieces they arrive', async () => {
    let sizes: number[] = [];
    let next = 0;
    const client = await open(
      new Pieces(() => (sizes.length === 0 ? 65_536 : (sizes[next++ % sizes.length] ?? 1))),
    );
    const text = fc.option(fc.string({ unit: 'grapheme', maxLength: 40 }).map((s) => s.replaceAll('\0', '')));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(text, text, fc.option(fc.double())), { maxLength: 40 }),
        fc.oneof(
          fc.constant<number[]>([1]),
          fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        ),
        async (table, pieces) => {
          sizes = [];
          const json = JSON.stringify(
            table.map(([a, b, c]) => ({ a, b, c: Number.isFinite(c) ? c : String(c) })),
          );
          const all = statement(
            'select a, b, c from json_to_recordset($1::json) as t(a text, b varchar, c float8)',
            json.replaceAll('"c":"null"', '"c":null'),
          );
          const wanted = await expected(client, all);
          sizes = pieces;
          next = 0;
          const { rows, fields } = await read(client, all);
          assert.deepEqual(rows, wanted);
          assert.deepEqual(
            fields?.map(({ name, dataTypeID }) => [name, dataTypeID]),
            [
              ['a', 25],
              ['b', 1043],
              ['c', 701],
            ],
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are whole where one is larger than many chunks', async () => {
    const client = await open();
    const large = statement(
      "select n, repeat(n::text || 'ä', 100000), null from generate_series(1, 5) n union all select 6, '', 'end'",
    );
    const { rows } = await read(client, large);
    assert.deepEqual(rows, await expected(client, large));
  });

  it('are whole where the next piece is read over the memory of the one before', async () => {
    const client = await open();
    // Rows that lie across what is read in one go: of lengths that share no factor with it.
    const long = statement(
      "select number, repeat(number || '.', number % 997) from generate_series(1, 20000) number",
    );
    const { rows } = await read(client, long);
    // The driver keeps what it has read until a message is whole: it gets memory of its own.
    assert.deepEqual(rows, await expected(client, long));
  });

  it('are none in an empty result, whose columns are known all the same', async () => {
    const client = await open();
    const { rows, fields } = await read(
      client,
      statement('select 1::int8 as "Value" where $1::int > 5', '1'),
    );
    assert.deepEqual(rows, []);
    assert.deepEqual(
      fields?.map(({ name, dataTypeID }) => [name, dataTypeID]),
      [['Value', 20]],
    );
  });

  it('take NULL as a parameter, and text that looks like SQL', async () => {
    const client = await open();
    const { rows } = await read(client, statement('select $1::text, $2::text', null, "'; drop table x; --"));
    assert.deepEqual(rows, [[null, "'; drop table x; --"]]);
  });

  it('come in order with other queries that wait for the connection', async () => {
    const client = await open(new Pieces(() => 7));
    const first = new Rows();
    const second = new Rows();
    const [, plain] = await Promise.all([
      readRows(client, numbers(200), first),
      client.query('select 5 as five'),
      readRows(client, numbers(3), second),
    ]);
    assert.equal(first.rows.length, 200);
    assert.deepEqual(plain.rows, [{ five: 5 }]);
    assert.equal(second.rows.length, 3);
  });

  it('leave the connection usable after each of 100 reads', async () => {
    const client = await open();
    for (let count = 0; count < 100; count++) {
      assert.equal((await read(client, numbers(count))).rows.length, count);
    }
    assert.equal(client.connection.stream.listenerCount('data'), 1);
  });

  it('end with the error of the server, in the middle of the result too, and the next query works', async () => {
    for (const sizes of [1, 5, 65_536]) {
      const client = await open(new Pieces(() => sizes));
      const rows = new Rows();
      await assert.rejects(
        readRows(client, statement('select 1 / (2000 - n) from generate_series(1, 4000) n'), rows),
        { code: '22012', severity: 'ERROR', message: 'division by zero' },
      );
      assert(rows.rows.length > 100 && rows.rows.length < 2000, `${rows.rows.length} rows before it`);
      await assert.rejects(read(client, statement('select nonsense')), { code: '42703' });
      assert.equal((await read(client, numbers(10))).rows.length, 10);
    }
  });

  it('end with an error where the server closes the connection in the middle', async () => {
    const other = await open();
    const client = await open();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const consumer = new Rows();
    let terminated: Promise<void> | undefined;
    consumer.drain = () =>
      (terminated ??= other.query('select pg_terminate_backend($1)', [rows[0]?.pid]).then(() => undefined));
    await assert.rejects(readRows(client, numbers(1_000_000), consumer));
    assert(consumer.rows.length < 1_000_000);
  });

  it('end with an error where the connection breaks off, at any byte of the answer', async () => {
    let arrived = 0;
    let most = Infinity;
    const breaking = (): Socket => {
      const socket: Socket = new Pieces(
        () => 65_536,
        (chunk) => {
          arrived += chunk.length;
          if (arrived < most) return chunk;
          setImmediate(() => socket.destroy());
          return chunk.subarray(0, Math.max(0, chunk.length - (arrived - most)));
        },
      );
      return socket;
    };
    const whole = await open(breaking());
    arrived = 0;
    await read(whole, numbers(3));
    const length = arrived;
    assert(length > 100);
    for (let bytes = 1; bytes < length; bytes++) {
      most = Infinity;
      const client = await open(breaking());
      arrived = 0;
      most = bytes;
      await assert.rejects(read(client, numbers(3)), /terminated/, `after ${bytes} of ${length} bytes`);
    }
  });

  it('end with an error where fewer arrived than the server says', async () => {
    const client = await open(
      new Pieces(
        () => 65_536,
        (chunk) => Buffer.from(chunk.toString('latin1').replace('SELECT 3\0', 'SELECT 4\0'), 'latin1'),
      ),
    );
    await assert.rejects(read(client, numbers(3)), /"SELECT 4", but 3 rows/);
  });

  it('end with an error for a statement that has none', async () => {
    const client = await open();
    await assert.rejects(read(client, statement('')), /no result/);
    await assert.rejects(read(client, statement("set application_name = 'x'")), /no rows/);
    await assert.rejects(read(client, statement('copy (select 1) to stdout')), /no rows/);
    assert.equal((await read(client, numbers(1))).rows.length, 1);
  });

  for (const where of ['columns', 'row', 'drain'] as const) {
    it(`end with what the consumer throws in ${where}`, async () => {
      const client = await open();
      const consumer = new Rows();
      consumer[where] = () => {
        throw new RangeError('not for me');
      };
      await assert.rejects(readRows(client, numbers(100_000), consumer), { message: 'not for me' });
      await client.end();
    });
  }

  it('wait while their consumer is busy, and go on where they stood', async () => {
    const client = await open();
    const other = await open();
    const consumer = new Rows();
    let busy = 0;
    consumer.drain = () => {
      if (busy++ % 10 !== 0) return undefined;
      const before = consumer.rows.length;
      return other.query('select 1').then(() => {
        assert.equal(consumer.rows.length, before, 'rows came meanwhile');
      });
    };
    await readRows(client, numbers(100_000), consumer);
    assert(busy > 10);
    assert.equal(consumer.rows.length, 100_000);
    assert.equal(consumer.rows.at(-1)?.[0], '100000');
  });

  it('let other work of the process have its turn every 192 KB', async () => {
    const client = await open();
    const consumer = new Rows();
    let perTurn = 0;
    let most = 0;
    const count = consumer.row.bind(consumer);
    consumer.row = (bytes, starts, ends) => {
      const before = consumer.bytes;
      count(bytes, starts, ends);
      perTurn += consumer.bytes - before;
      most = Math.max(most, perTurn);
    };
    let reading = true;
    const turn = (): void => {
      perTurn = 0;
      if (reading) setImmediate(turn);
    };
    turn();
    await readRows(client, numbers(200_000), consumer);
    reading = false;
    assert(consumer.bytes > 4_000_000);
    assert(most <= 192 * 1024, `${most} bytes in one turn`);
  });

  it('come over TLS too', async () => {
    const { cert, key } = new TestAuthority().issue('localhost', ['127.0.0.1']);
    const target = new URL(database.url);
    const secured = createServer((socket) => {
      // SSLRequest, eight bytes, answered with one: then TLS (PostgreSQL documentation, "SSL Session Encryption").
      socket.once('data', () => {
        socket.write('S');
        const plain = new TLSSocket(socket, { isServer: true, cert, key });
        const server = connect(Number(target.port || 5432), target.hostname);
        void pipeline(plain, server, plain).catch(() => undefined);
      });
    }).listen(0, '127.0.0.1');
    await once(secured, 'listening');
    const url = new URL(database.url);
    url.port = String((secured.address() as AddressInfo).port);
    url.searchParams.set('sslmode', 'no-verify');
    const client = await open(undefined, url.href);
    assert(client.connection.stream instanceof TLSSocket);
    const { rows } = await read(client, numbers(20_000));
    assert.deepEqual(rows, await expected(client, numbers(20_000)));
    await client.end();
    secured.close();
  });
});
