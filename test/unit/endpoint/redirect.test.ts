import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { never, Opened, regularBatch } from '../../support/endpoint';

const { body } = regularBatch(1, 2);

describe('redirects', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  /** Answers as `answers` says, by path; remembers what came. */
  async function server(answers: (path: string) => { status: number; location?: string }): Promise<{
    origin: string;
    requests: { path: string; method: string; headers: IncomingHttpHeaders; bytes: number }[];
  }> {
    const requests: { path: string; method: string; headers: IncomingHttpHeaders; bytes: number }[] = [];
    const http = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { url: path = '', method = '', headers } = request;
        requests.push({ path, method, headers, bytes: Buffer.concat(chunks).length });
        const { status, location } = answers(path);
        response.writeHead(status, location === undefined ? {} : { location }).end();
      });
    });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    opened.add({
      close: () => {
        http.closeAllConnections();
        http.close();
      },
    });
    return { origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, requests };
  }

  for (const status of [307, 308]) {
    it(`${status} to the same origin is followed with method, body and keys`, async () => {
      const { origin, requests } = await server((path) =>
        path === '/old' ? { status, location: '../new?a=b' } : { status: 200 },
      );
      const outcome = await opened.endpoint(`${origin}/old`).exchange(body, 'k', never);
      assert.equal(outcome.kind, 'accepted');
      assert.deepEqual(
        requests.map(({ path, method, bytes }) => [method, path, bytes]),
        [
          ['POST', '/old', body.length],
          ['POST', '/new?a=b', body.length],
        ],
      );
      assert.deepEqual(requests[1]?.headers.authorization, requests[0]?.headers.authorization);
      assert.equal(requests[1]?.headers['idempotency-key'], 'k');
    });

    it(`${status} to another origin is not followed: nothing reaches it, the outcome says where it leads`, async () => {
      const elsewhere = await server(() => ({ status: 200 }));
      const { origin } = await server(() => ({ status, location: `${elsewhere.origin}/data?token=sesame` }));
      const outcome = await opened.endpoint(origin).exchange(body, 'k', never);
      assert.deepEqual([outcome.kind, outcome.status], ['hold', status]);
      assert.equal(outcome.answer, `it redirects to ${elsewhere.origin}/data, which is not followed`);
      assert.deepEqual(elsewhere.requests, []);
    });
  }

  it('another port, another host and another scheme are another origin', async () => {
    for (const location of ['http://127.0.0.1:1/', 'https://127.0.0.1/', '//localhost/']) {
      const { origin, requests } = await server(() => ({ status: 308, location }));
      assert.equal((await opened.endpoint(origin).exchange(body, 'k', never)).kind, 'hold');
      assert.equal(requests.length, 1);
    }
  });

  for (const status of [301, 302, 303]) {
    it(`${status} is not followed: it would turn the post into a GET`, async () => {
      const { origin, requests } = await server(() => ({ status, location: '/new' }));
      const outcome = await opened.endpoint(`${origin}/old`).exchange(body, 'k', never);
      assert.deepEqual([outcome.kind, requests.length], ['hold', 1]);
      assert.match(outcome.answer, /redirects to http:.*\/new/);
    });
  }

  it('at most three in a row', async () => {
    const { origin, requests } = await server((path) => ({ status: 307, location: `${path}x` }));
    const outcome = await opened.endpoint(`${origin}/a`).exchange(body, 'k', never);
    assert.equal(outcome.kind, 'hold');
    assert.deepEqual(
      requests.map(({ path }) => path),
      ['/a', '/ax', '/axx', '/axxx'],
    );
  });

  it('a Location that is no URL is not followed', async () => {
    const { origin } = await server(() => ({ status: 307, location: 'http://[nonsense' }));
    assert.equal((await opened.endpoint(origin).exchange(body, 'k', never)).kind, 'hold');
  });
});
