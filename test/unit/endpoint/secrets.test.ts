import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { Endpoint } from '../../../lib/endpoint/endpoint';
import type { Reply } from '../../../scripts/start/cloud';
import { InstantClock, KEY, never, Opened, regularBatch, SOURCE } from '../../support/endpoint';

const batch = regularBatch(1, 2);

/** Everything that a log, a status or Node-RED's Catch could get out of it. */
function everythingOf(thing: unknown): string {
  return inspect(thing, { depth: 10, showHidden: true }) + JSON.stringify(thing);
}

describe('no key leaves by another way than the Authorization header', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const echo = `invalid token ${KEY} (${encodeURIComponent(KEY)})`;
  const replies: [string, Reply][] = [
    ['401 that quotes it', { status: 401, body: echo }],
    ['503 that quotes it', { status: 503, body: echo }],
    ['a redirect that quotes it', { status: 302, headers: { location: `/login/${KEY}?token=${KEY}` } }],
    ['a cut connection', { end: 'destroy' }],
    ['an answer that is cut', { end: 'cut' }],
  ];
  for (const [name, reply] of replies) {
    it(`not after ${name}`, async () => {
      const cloud = await opened.cloud({ respond: () => reply });
      const endpoint = opened.endpoint(`${cloud.url}?code=sesame`, {}, { clock: new InstantClock() });
      const outcome = await endpoint.exchange(batch.body, 'k', never);
      const error: unknown = await endpoint
        .deliver(batch, { source: SOURCE, attempts: 2, signal: never })
        .catch((thrown: unknown) => thrown);
      assert.ok(error instanceof Error);
      for (const thing of [outcome, error, error.stack, endpoint, endpoint.state]) {
        const text = everythingOf(thing);
        for (const secret of [KEY, encodeURIComponent(KEY), 'sesame'])
          assert.ok(!text.includes(secret), text);
      }
    });
  }

  it('not in a refusal', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 422, body: echo }) });
    const delivery = await opened
      .endpoint(cloud.url)
      .deliver(batch, { source: SOURCE, attempts: 2, signal: never });
    assert.ok(!everythingOf(delivery).includes(KEY));
    assert.match(delivery.refused[0]?.answer ?? '', /^invalid token …/);
  });

  const settings = { compression: 'none', requestTimeoutSeconds: 1 } as const;

  for (const key of ['', 'sesame\n', 'sesamé', ' sesame', 'sesa\u0000me']) {
    it(`a key that cannot be sent (${JSON.stringify(key)}) is refused at once`, () => {
      assert.throws(
        () => new Endpoint({ url: 'https://cloud.example/', key, ...settings }),
        (error: Error) => inspect(error).includes('TM_SETTING_INVALID') && !inspect(error).includes('sesam'),
      );
    });
  }

  for (const url of [
    '',
    'cloud.example/data',
    'ftp://plant:sesame@cloud.example/',
    'https://plant:sesame@cloud.example/',
  ]) {
    it(`an address that cannot be posted to (${url}) is refused at once`, () => {
      assert.throws(
        () => new Endpoint({ url, key: KEY, ...settings }),
        (error: Error) =>
          inspect(error).includes('TM_SETTING_INVALID') &&
          !inspect(error).includes('sesame') &&
          !inspect(error).includes(KEY),
      );
    });
  }
});
