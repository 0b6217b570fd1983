import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { lend, lendingSocket } from '../../lib/source/lending-socket';

describe('A lending socket', () => {
  let server: Server;
  let socket: Socket;
  let peer: Socket;
  beforeEach(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connected = once(server, 'connection');
    socket = lendingSocket().connect((server.address() as AddressInfo).port, '127.0.0.1');
    [peer] = (await connected) as [Socket];
  });
  afterEach(() => {
    socket.destroy();
    peer.destroy();
    server.close();
  });

  /** What listeners are given for each text, as it is once all have come. */
  const received = async (texts: readonly string[]): Promise<string[]> => {
    const chunks: Buffer[] = [];
    for (const text of texts) {
      const came = once(socket, 'data') as Promise<[Buffer]>;
      peer.write(text);
      chunks.push((await came)[0]);
    }
    return chunks.map((chunk) => chunk.toString());
  };

  it('gives its listeners what they can keep', async () => {
    assert.deepEqual(await received(['first', 'other']), ['first', 'other']);
  });

  it('gives them the same memory again while it is lent, and no longer', async () => {
    lend(socket, true);
    assert.deepEqual(await received(['first', 'other']), ['other', 'other']);
    lend(socket, false);
    assert.deepEqual(await received(['third', 'after']), ['third', 'after']);
  });

  it('gives nothing while it is paused, and the rest when it goes on', async () => {
    let bytes = 0;
    const all = 5_000_000;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    const first = once(socket, 'data');
    peer.write(Buffer.alloc(all));
    await first;
    socket.pause();
    const before = bytes;
    // What is on its way by now has come when as much again could have.
    peer.write('more');
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    assert.equal(bytes, before);
    assert(bytes < all);
    const ended = once(socket, 'end');
    socket.resume();
    peer.end();
    await ended;
    assert.equal(bytes, all + 'more'.length);
  });
});
