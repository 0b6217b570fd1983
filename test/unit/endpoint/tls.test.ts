import assert from 'node:assert/strict';
import { TestAuthority } from '../../support/certificates';
import { never, Opened, regularBatch, SOURCE } from '../../support/endpoint';

const { body } = regularBatch(1, 2);

describe('TLS', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const authority = new TestAuthority();
  const other = new TestAuthority('Another authority');
  const tls = authority.issue('127.0.0.1', ['127.0.0.1', 'localhost']);

  it('an endpoint with a certificate of the plant’s own authority', async () => {
    const cloud = await opened.cloud({ tls });
    for (const host of ['127.0.0.1', 'localhost']) {
      const url = cloud.url.replace('127.0.0.1', host);
      const outcome = await opened.endpoint(url, { tls: { ca: authority.cert } }).exchange(body, 'k', never);
      assert.equal(outcome.kind, 'accepted', outcome.answer);
    }
  });

  it('a certificate that is not trusted: hold, in words, and no reading or key leaves', async () => {
    const cloud = await opened.cloud({ tls });
    for (const settings of [{}, { tls: { ca: other.cert } }]) {
      const outcome = await opened.endpoint(cloud.url, settings).exchange(body, 'k', never);
      assert.deepEqual([outcome.kind, outcome.reason], ['hold', 'endpoint TLS']);
      assert.match(outcome.answer, /^its TLS certificate is not accepted: /);
    }
    assert.equal(cloud.exchanges.length, 0);
  });

  it('a certificate for another host: hold', async () => {
    const cloud = await opened.cloud({ tls: authority.issue('cloud.example', ['cloud.example']) });
    const outcome = await opened
      .endpoint(cloud.url, { tls: { ca: authority.cert } })
      .exchange(body, 'k', never);
    assert.deepEqual([outcome.kind, outcome.reason], ['hold', 'endpoint TLS']);
    const named = opened.endpoint(cloud.url, { tls: { ca: authority.cert, servername: 'cloud.example' } });
    assert.equal((await named.exchange(body, 'k', never)).kind, 'accepted');
  });

  it('delivery says what to check', async () => {
    const cloud = await opened.cloud({ tls });
    const delivery = opened
      .endpoint(cloud.url)
      .deliver(regularBatch(1, 2), { source: SOURCE, attempts: 1, signal: never });
    await assert.rejects(delivery, {
      code: 'TM_ENDPOINT_HOLD',
      message: /its TLS certificate is not accepted: .*Check the address and the TLS settings/,
    });
  });

  it('verification can be switched off', async () => {
    const cloud = await opened.cloud({ tls });
    const endpoint = opened.endpoint(cloud.url, { tls: { rejectUnauthorized: false } });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
  });

  it('a certificate of the client’s own', async () => {
    const cloud = await opened.cloud({
      tls: { ...tls, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    });
    const client = authority.issue('plant 7');
    const endpoint = opened.endpoint(cloud.url, { tls: { ca: authority.cert, ...client } });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
    const without = await opened
      .endpoint(cloud.url, { tls: { ca: authority.cert } })
      .exchange(body, 'k', never);
    assert.equal(without.kind, 'retry');
    assert.equal(cloud.exchanges.length, 1);
  });

  it('TLS options do not say where to connect', async () => {
    const cloud = await opened.cloud({ tls });
    const endpoint = opened.endpoint(cloud.url, {
      tls: { ca: authority.cert, host: 'elsewhere.invalid', port: 1, path: '/nowhere' },
    });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
  });
});
