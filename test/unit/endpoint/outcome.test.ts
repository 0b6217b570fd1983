import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { kindOf, type OutcomeKind } from '../../../lib/endpoint/outcome';
import { batchOf, never, Opened } from '../../support/endpoint';

const body = batchOf([{ sensor: 'K101.SPEED', at: 0, value: 7 }]).body;

describe('what an answer of the endpoint means', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const classes: Record<OutcomeKind, number[]> = {
    accepted: [200, 201, 202, 204, 299],
    retry: [408, 425, 429, 500, 502, 503, 504, 520, 599],
    hold: [300, 301, 302, 303, 304, 401, 402, 403, 404, 405, 407, 410, 415],
    split: [413],
    refused: [400, 406, 409, 411, 412, 418, 422, 431, 451, 499],
  };
  for (const [kind, statuses] of Object.entries(classes)) {
    it(`${statuses.join(', ')}: ${kind}`, async () => {
      const cloud = await opened.cloud({
        respond: ({ index }) => ({
          status: statuses[index] ?? 0,
          body: statuses[index] === 204 ? '' : 'so it is',
        }),
      });
      const endpoint = opened.endpoint(cloud.url);
      for (const status of statuses) {
        const outcome = await endpoint.exchange(body, 'k', never);
        assert.deepEqual([outcome.status, outcome.kind], [status, kind]);
        assert.equal(outcome.reason, `endpoint ${status}`);
      }
    });
  }

  it('307 and 308 without a usable Location: hold', () => {
    assert.deepEqual([kindOf(307), kindOf(308)], ['hold', 'hold']);
  });

  it('409 is accepted where the endpoint answers it to repeats', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 409 }) });
    const endpoint = opened.endpoint(cloud.url, { conflict: 'accepted' });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
  });

  it('a success is one whatever its body says', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 200, body: 'no JSON '.repeat(1000) }) });
    const outcome = await opened.endpoint(cloud.url).exchange(body, 'k', never);
    assert.equal(outcome.kind, 'accepted');
    assert.equal(outcome.answer.length, 500);
  });

  it('a success is one even where its body never ends: more than the start is not waited for', async () => {
    const server = createHttpServer((request, response) => {
      request.resume();
      const more = (): void => {
        while (response.write(Buffer.alloc(10_000, 46)));
      };
      response.on('drain', more);
      more();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.add({ close: () => server.close() });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const outcome = await opened.endpoint(url, { requestTimeoutSeconds: 5 }).exchange(body, 'k', never);
    assert.equal(outcome.kind, 'accepted');
  });

  it('a connection that is cut, with or without the start of an answer: retry', async () => {
    const cloud = await opened.cloud({ respond: ({ index }) => ({ end: index === 0 ? 'destroy' : 'cut' }) });
    const endpoint = opened.endpoint(cloud.url);
    for (let exchange = 0; exchange < 2; exchange++) {
      const outcome = await endpoint.exchange(body, 'k', never);
      assert.deepEqual([outcome.kind, outcome.status, outcome.reason], ['retry', undefined, 'endpoint down']);
      assert.match(outcome.error?.message ?? '', /^No answer from http:\/\/127\.0\.0\.1:\d+\/api\/data: /);
    }
  });

  it('a connection that is cut before the body was read: retry', async () => {
    const cloud = await opened.cloud({ respondEarly: () => ({ end: 'destroy' }) });
    const large = Buffer.alloc(5_000_000, 32);
    assert.equal((await opened.endpoint(cloud.url).exchange(large, 'k', never)).kind, 'retry');
  });

  it('nobody listens, or the name is not known: retry', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const outcome = await opened.endpoint(`http://127.0.0.1:${port}/`).exchange(body, 'k', never);
    assert.equal(outcome.kind, 'retry');
    assert.match(outcome.error?.message ?? '', /ECONNREFUSED/);
    const unknown = await opened.endpoint('http://no-such-host.invalid/').exchange(body, 'k', never);
    assert.equal(unknown.kind, 'retry');
  });

  it('a kept connection that the endpoint closed meanwhile costs a retry at most', async () => {
    const cloud = await opened.cloud({
      respond: ({ index }) => (index === 1 ? { accept: true, end: 'destroy' } : undefined),
    });
    const endpoint = opened.endpoint(cloud.url, {}, { random: () => 0 });
    const batch = batchOf([{ sensor: 'K101.SPEED', at: 1, value: 1 }]);
    const options = { source: 's', attempts: 2, signal: never };
    await endpoint.deliver(batchOf([{ sensor: 'K101.SPEED', at: 0, value: 1 }]), options);
    const delivery = await endpoint.deliver(batch, options);
    assert.deepEqual(delivery, { readings: 1, bytes: batch.body.length, posts: 1, refused: [] });
    assert.equal(cloud.received().repeats, 1);
    assert.equal(cloud.readings().length, 2);
  });

  it('tells the start of the answer in one line, pages without their markup', async () => {
    const cloud = await opened.cloud({
      respond: () => ({
        status: 502,
        headers: { 'content-type': 'text/html' },
        body: '<html><style>b{}</style><body><h1>502\nBad\u0007 Gateway</h1><hr>nginx</body></html>',
      }),
    });
    const outcome = await opened.endpoint(cloud.url).exchange(body, 'k', never);
    assert.equal(outcome.answer, '502 Bad Gateway nginx');
  });

  it('posts JSON with the key, the idempotency key and the version', async () => {
    const cloud = await opened.cloud();
    const outcome = await opened.endpoint(`${cloud.url}?tenant=7`).exchange(body, 'the-key', never);
    assert.equal(outcome.kind, 'accepted');
    const [exchange] = cloud.exchanges;
    assert.equal(exchange?.headers['content-type'], 'application/json');
    assert.equal(exchange.headers['idempotency-key'], 'the-key');
    assert.match(exchange.headers['user-agent'] ?? '', /^turbomechanica-node-red\/\d+\.\d+\.\d+ node\/\d+/);
    assert.equal(exchange.headers['content-encoding'], undefined);
    assert.deepEqual(exchange.body, body);
  });
});
