import assert from 'node:assert/strict';
import { bypassesProxy } from '../../../lib/endpoint/no-proxy';
import { TestAuthority } from '../../support/certificates';
import { KEY, never, Opened, regularBatch } from '../../support/endpoint';
import { TestProxy, type ProxyOptions } from '../../support/proxy';

const { body } = regularBatch(1, 2);

describe('proxy', () => {
  const opened = new Opened();
  const authority = new TestAuthority();
  const tls = authority.issue('127.0.0.1', ['127.0.0.1']);
  afterEach(() => opened.close());

  const proxy = async (options?: ProxyOptions) => opened.add(await TestProxy.start(options));

  it('is asked for an http endpoint by its whole URL', async () => {
    const [cloud, through] = [await opened.cloud(), await proxy()];
    const endpoint = opened.endpoint(`${cloud.url}?tenant=7`, { proxy: { url: through.url, noProxy: [] } });
    for (let post = 0; post < 2; post++)
      assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
    assert.deepEqual(through.seen, Array(2).fill(`POST ${cloud.url}?tenant=7`));
    assert.equal(cloud.exchanges[0]?.headers.host, new URL(cloud.url).host);
  });

  it('tunnels to an https endpoint: it sees neither the key nor a reading', async () => {
    const [cloud, through] = [await opened.cloud({ tls }), await proxy()];
    const endpoint = opened.endpoint(cloud.url, {
      proxy: { url: through.url, noProxy: [] },
      tls: { ca: authority.cert },
    });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
    assert.deepEqual(through.seen, [`CONNECT ${new URL(cloud.url).host}`]);
    const seen = Buffer.concat(through.tunnelled).toString('latin1');
    assert.ok(seen.length > 0 && !seen.includes(KEY) && !seen.includes('K101'));
  });

  it('a tunnel does not make an untrusted certificate trusted', async () => {
    const [cloud, through] = [await opened.cloud({ tls }), await proxy()];
    const endpoint = opened.endpoint(cloud.url, { proxy: { url: through.url, noProxy: [] } });
    const outcome = await endpoint.exchange(body, 'k', never);
    assert.deepEqual([outcome.kind, outcome.reason], ['hold', 'endpoint TLS']);
    assert.equal(cloud.exchanges.length, 0);
  });

  for (const scheme of ['http', 'https']) {
    describe(`with a password, ${scheme} endpoint`, () => {
      const start = async (): Promise<[endpointUrl: string, through: TestProxy]> => [
        (await opened.cloud(scheme === 'https' ? { tls } : {})).url,
        await proxy({ username: 'plant', password: 'p@ss:word' }),
      ];

      it('is given it from the settings', async () => {
        const [url, through] = await start();
        const settings = { url: through.url, username: 'plant', password: 'p@ss:word', noProxy: [] };
        const endpoint = opened.endpoint(url, { proxy: settings, tls: { ca: authority.cert } });
        assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
      });

      it('is given it from its URL', async () => {
        const [url, through] = await start();
        const settings = { url: through.url.replace('//', '//plant:p%40ss%3Aword@'), noProxy: [] };
        const endpoint = opened.endpoint(url, { proxy: settings, tls: { ca: authority.cert } });
        assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
      });

      it('holds where it is refused, without repeating it', async () => {
        const [url, through] = await start();
        const settings = { url: through.url, username: 'plant', password: 'wrong-sesame', noProxy: [] };
        const endpoint = opened.endpoint(url, { proxy: settings, tls: { ca: authority.cert } });
        const outcome = await endpoint.exchange(body, 'k', never);
        assert.equal(outcome.kind, 'hold');
        assert.match(`${outcome.reason} ${outcome.answer}`, /407/);
        assert.doesNotMatch(JSON.stringify(outcome) + String(outcome.error?.stack), /sesame/);
      });
    });
  }

  const tunnelAnswers: [number, 'retry' | 'hold'][] = [
    [502, 'retry'],
    [503, 'retry'],
    [504, 'retry'],
    [403, 'hold'],
    [400, 'hold'],
  ];
  for (const [status, kind] of tunnelAnswers) {
    it(`that answers ${status} to CONNECT: ${kind}, never refused readings`, async () => {
      const through = await proxy({ tunnelStatus: status });
      const endpoint = opened.endpoint('https://cloud.invalid/', {
        proxy: { url: through.url, noProxy: [] },
      });
      const outcome = await endpoint.exchange(body, 'k', never);
      assert.deepEqual(
        [outcome.kind, outcome.reason, outcome.answer],
        [kind, `proxy ${status}`, `the proxy answers ${status}`],
      );
    });
  }

  it('that is not there: retry', async () => {
    const endpoint = opened.endpoint('https://cloud.invalid/', {
      proxy: { url: 'http://127.0.0.1:1', noProxy: [] },
    });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'retry');
  });

  it('is left out for hosts of the noProxy list', async () => {
    const [cloud, through] = [await opened.cloud(), await proxy()];
    const endpoint = opened.endpoint(cloud.url, {
      proxy: { url: through.url, noProxy: ['.plant.local', '127.0.0.1'] },
    });
    assert.equal((await endpoint.exchange(body, 'k', never)).kind, 'accepted');
    assert.deepEqual(through.seen, []);
  });

  const bypassed: [entry: string, url: string, expected: boolean][] = [
    ['cloud.example', 'https://cloud.example/', true],
    ['Cloud.Example', 'https://CLOUD.example/', true],
    ['example', 'https://cloud.example/', true],
    ['ample', 'https://cloud.example/', false],
    ['.example', 'https://cloud.example/', true],
    ['.cloud.example', 'https://cloud.example/', false],
    ['*.example', 'https://cloud.example/', true],
    ['*', 'https://cloud.example/', true],
    ['', 'https://cloud.example/', false],
    [' cloud.example ', 'https://cloud.example/', true],
    ['cloud.example:443', 'https://cloud.example/', true],
    ['cloud.example:8443', 'https://cloud.example/', false],
    ['cloud.example:8443', 'https://cloud.example:8443/', true],
    ['cloud.example:80', 'http://cloud.example/', true],
    ['10.0.0.1', 'http://10.0.0.1:8080/', true],
    ['[::1]', 'http://[::1]:8080/', true],
    ['::1', 'http://[::1]:8080/', true],
    ['[::1]:8080', 'http://[::1]:8080/', true],
    ['[::1]:8081', 'http://[::1]:8080/', false],
  ];
  for (const [entry, url, expected] of bypassed) {
    it(`noProxy "${entry}" ${expected ? 'covers' : 'does not cover'} ${url}`, () => {
      assert.equal(bypassesProxy(new URL(url), ['other.example', entry]), expected);
    });
  }

  it('with a URL that is none is refused at once, without repeating what may be a password', () => {
    for (const url of ['ftp://plant:sesame@proxy:21', 'http://plant:sesame@[', '']) {
      assert.throws(
        () => opened.endpoint('https://cloud.invalid/', { proxy: { url, noProxy: [] } }),
        (error: Error & { code?: string }) =>
          error.code === 'TM_SETTING_INVALID' && !String(error.stack).includes('sesame'),
      );
    }
  });
});
