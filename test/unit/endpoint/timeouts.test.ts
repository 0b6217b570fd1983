import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { never, Opened, regularBatch } from '../../support/endpoint';
import { until } from '../../support/until';

const { body } = regularBatch(1, 2);
/** Long enough that it is never the one that ends the exchange. */
const LONG = { connectMs: 600_000, headersMs: 600_000, bodyMs: 600_000, totalMs: 600_000 };

describe('timeouts: each ends a stuck exchange, as one to be tried again', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  /** Takes connections and never says a word. */
  async function silentServer(): Promise<{ port: number; close(): void }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return opened.add({
      port: (server.address() as AddressInfo).port,
      close() {
        server.close();
        for (const socket of sockets) socket.destroy();
      },
    });
  }

  it('connect: a TLS handshake that does not come to its end', async () => {
    const { port } = await silentServer();
    const endpoint = opened.endpoint(
      `https://127.0.0.1:${port}/`,
      {},
      { timeouts: { ...LONG, connectMs: 50 } },
    );
    const outcome = await endpoint.exchange(body, 'k', never);
    assert.deepEqual([outcome.kind, outcome.reason], ['retry', 'endpoint timeout']);
    assert.match(outcome.answer, /no connection within 0\.05 s/);
  });

  it('connect: a proxy that does not answer CONNECT', async () => {
    const { port } = await silentServer();
    const endpoint = opened.endpoint(
      'https://cloud.invalid/',
      { proxy: { url: `http://127.0.0.1:${port}`, noProxy: [] } },
      { timeouts: { ...LONG, connectMs: 50 } },
    );
    const outcome = await endpoint.exchange(body, 'k', never);
    assert.deepEqual([outcome.kind, outcome.reason], ['retry', 'endpoint timeout']);
  });

  it('headers: no answer', async () => {
    const cloud = await opened.cloud({ respond: () => ({ end: 'hang' }) });
    const endpoint = opened.endpoint(cloud.url, {}, { timeouts: { ...LONG, headersMs: 50 } });
    const outcome = await endpoint.exchange(body, 'k', never);
    assert.deepEqual([outcome.kind, outcome.answer], ['retry', 'no answer within 0.05 s']);
  });

  it('body: an answer that stops in its middle', async () => {
    const cloud = await opened.cloud({ respond: () => ({ end: 'stall' }) });
    const endpoint = opened.endpoint(cloud.url, {}, { timeouts: { ...LONG, bodyMs: 50 } });
    const outcome = await endpoint.exchange(body, 'k', never);
    assert.deepEqual(
      [outcome.kind, outcome.answer],
      ['retry', 'the answer stopped in its middle for 0.05 s'],
    );
  });

  for (const end of ['trickle-headers', 'trickle-body', 'hang'] as const) {
    it(`total: ${end}, which no other timeout would end`, async () => {
      const cloud = await opened.cloud({ respond: () => ({ end }) });
      const endpoint = opened.endpoint(cloud.url, {}, { timeouts: { ...LONG, totalMs: 150 } });
      const outcome = await endpoint.exchange(body, 'k', never);
      assert.deepEqual([outcome.kind, outcome.reason], ['retry', 'endpoint timeout']);
      assert.equal(outcome.answer, 'no complete answer within 0.15 s');
    });
  }

  it('total: is the request timeout of the settings', async () => {
    const cloud = await opened.cloud({ respond: () => ({ end: 'trickle-body' }) });
    const outcome = await opened
      .endpoint(cloud.url, { requestTimeoutSeconds: 0.1 })
      .exchange(body, 'k', never);
    assert.equal(outcome.answer, 'no complete answer within 0.1 s');
  });

  it('a stuck exchange leaves no connection behind; the next one is answered', async () => {
    const cloud = await opened.cloud({ respond: ({ index }) => (index === 0 ? { end: 'hang' } : undefined) });
    const endpoint = opened.endpoint(cloud.url, {}, { timeouts: { ...LONG, totalMs: 50 } });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'retry');
    await until(() => cloud.exchanges[0]?.socket.destroyed === true);
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
  });
});
