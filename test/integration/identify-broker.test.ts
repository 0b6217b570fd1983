/** What the Test broker button finds out, from a real Redis and a real RabbitMQ. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { parseBrokerUrl } from '../../lib/queue/broker-url';
import { identifyBroker, type BrokerIdentity } from '../../lib/queue/identify';
import { freePort } from '../../scripts/start/ports';
import { BROKERS, brokerMissing, brokerUrl } from '../support/brokers';

const PASSWORD = 'not-the-pass%40word';
const PRODUCTS = { redis: /^Redis \d+\.\d+\.\d+$/, rabbitmq: /^RabbitMQ$/ } as const;

for (const kind of BROKERS) {
  const missing = brokerMissing(kind);
  const suite = missing === undefined ? describe : describe.skip;
  suite(`A ${kind} that is tried${missing === undefined ? '' : ` (skipped: ${missing})`}`, function () {
    this.timeout(60_000);
    const identify = (url: string, signal = new AbortController().signal): Promise<BrokerIdentity> =>
      identifyBroker(parseBrokerUrl(url), signal);
    const changed = async (change: (url: URL) => void): Promise<string> => {
      const url = new URL(await brokerUrl(kind));
      change(url);
      return url.href;
    };

    it('says what it is', async () => {
      assert.match((await identify(await brokerUrl(kind))).product, PRODUCTS[kind]);
    });

    it('says that it refused the password, without it', async () => {
      const url = await changed((each) => Object.assign(each, { username: 'somebody', password: PASSWORD }));
      await assert.rejects(identify(url), (error: Error) => {
        assert.match(error.message, /127\.0\.0\.1:\d+: the user or the password was refused: (?!undefined)/);
        assert.doesNotMatch(error.message, /not-the-pass/);
        return true;
      });
    });

    it('is said to be away where nothing listens', async () => {
      const port = String(await freePort());
      const url = await changed((each) => Object.assign(each, { port, password: PASSWORD }));
      await assert.rejects(identify(url), (error: Error) => {
        assert.match(error.message, /not connected: .*ECONNREFUSED/);
        assert.doesNotMatch(error.message, /not-the-pass/);
        return true;
      });
    });

    it('is not waited for any longer than somebody waits for the answer', async () => {
      const waiting = new AbortController();
      // Takes the connection, and says nothing.
      const silent = createServer((socket) => {
        socket.on('error', () => undefined);
        waiting.abort(new Error('nobody waits any more'));
      }).listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as AddressInfo;
      const url = await changed((each) => Object.assign(each, { port: String(port) }));
      await assert.rejects(identify(url, waiting.signal), /nobody waits any more/);
      await assert.rejects(identify(url, waiting.signal), /nobody waits any more/);
      // Nothing of it is left: the server's end would wait for its connections.
      silent.close();
      await once(silent, 'close');
    });
  });
}
