import assert from 'node:assert/strict';
import type { Reply } from '../../../scripts/start/cloud';
import { never, Opened, regularBatch, SOURCE } from '../../support/endpoint';

const { body } = regularBatch(3, 60);

describe('compression', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const listing = (acceptEncoding: string, status = 200): Reply => ({
    status,
    headers: { 'accept-encoding': acceptEncoding },
  });

  /** Posts once for each reply of the endpoint. @returns the encodings that were used */
  async function encodings(compression: 'auto' | 'none' | 'gzip', replies: Reply[]): Promise<string[]> {
    const cloud = await opened.cloud({ respond: ({ index }) => replies[index] });
    const endpoint = opened.endpoint(cloud.url, { compression });
    while (cloud.exchanges.length < replies.length) await endpoint.exchange(body, 'k', never);
    assert.ok(cloud.exchanges.every((exchange) => exchange.body.equals(body)));
    return cloud.exchanges.map(({ headers }) => headers['content-encoding'] ?? 'plain');
  }

  it('none: plain, whatever the endpoint offers', async () => {
    assert.deepEqual(await encodings('none', [listing('gzip'), listing('gzip')]), ['plain', 'plain']);
  });

  it('gzip: from the first post on, and far smaller', async () => {
    const cloud = await opened.cloud();
    const endpoint = opened.endpoint(cloud.url, { compression: 'gzip' });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
    const [exchange] = cloud.exchanges;
    assert.equal(exchange?.headers['content-encoding'], 'gzip');
    assert.ok(exchange.bytesOnWire < body.length / 4, `${exchange.bytesOnWire} of ${body.length} bytes`);
    assert.deepEqual(exchange.body, body);
  });

  it('gzip: an endpoint that does not take it holds, and says what to set', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 415 }) });
    const endpoint = opened.endpoint(cloud.url, { compression: 'gzip' });
    const batch = regularBatch(1, 2);
    await assert.rejects(endpoint.deliver(batch, { source: SOURCE, attempts: 1, signal: never }), {
      code: 'TM_ENDPOINT_HOLD',
      message: /415\. Set the compression to none or auto/,
    });
  });

  it('auto: plain at first, gzip once an answer lists it', async () => {
    const used = await encodings('auto', [{}, {}, listing('gzip'), {}, {}]);
    assert.deepEqual(used, ['plain', 'plain', 'plain', 'gzip', 'gzip']);
  });

  for (const header of ['gzip, deflate', 'br, GZIP;q=0.5', 'x-gzip', 'identity, gzip ; q = 1']) {
    it(`auto: "${header}" lists gzip`, async () => {
      assert.deepEqual(await encodings('auto', [listing(header), {}]), ['plain', 'gzip']);
    });
  }

  for (const header of ['', 'identity', 'br', 'gzip;q=0', 'gzip; q=0.000, br', 'notgzip']) {
    it(`auto: "${header}" does not`, async () => {
      assert.deepEqual(await encodings('auto', [listing(header), {}]), ['plain', 'plain']);
    });
  }

  it('auto: an answer that lists others only ends gzip', async () => {
    assert.deepEqual(await encodings('auto', [listing('gzip'), listing('identity'), {}]), [
      'plain',
      'gzip',
      'plain',
    ]);
  });

  it('auto: what an error answer lists may be another server’s', async () => {
    assert.deepEqual(await encodings('auto', [listing('gzip', 502), {}]), ['plain', 'plain']);
  });

  it('auto: after 415 the same batch goes again at once, plain, and the endpoint is believed', async () => {
    const cloud = await opened.cloud({
      acceptEncoding: 'gzip',
      respond: ({ headers }) => (headers['content-encoding'] === 'gzip' ? { status: 415 } : undefined),
    });
    const endpoint = opened.endpoint(cloud.url, { compression: 'auto' });
    for (let batch = 0; batch < 4; batch++) {
      assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
    }
    assert.deepEqual(
      cloud.exchanges.map(({ headers, status }) => [headers['content-encoding'] ?? 'plain', status]),
      [
        ['plain', 200],
        ['gzip', 415],
        ['plain', 200],
        ['plain', 200],
        ['plain', 200],
      ],
    );
  });

  it('auto: 415 to a plain body is not asked about again', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 415 }) });
    assert.equal(
      (await opened.endpoint(cloud.url, { compression: 'auto' }).exchange(body, 'k', never)).kind,
      'hold',
    );
    assert.equal(cloud.exchanges.length, 1);
  });
});
