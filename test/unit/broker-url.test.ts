import assert from 'node:assert/strict';
import { TmError } from '../../lib/errors';
import { parseBrokerUrl, withoutSecrets } from '../../lib/queue/broker-url';
import { checkBrokerPackages } from '../../lib/queue/open';
import { keyOf, parseQueued, queueName } from '../../lib/queue/queue';

const SECRET = 'br0ker-s3cret/+';

describe('The URL of a broker', () => {
  it('says which engine is meant and where it is, without what is secret', () => {
    const places = [
      ['redis://localhost', 'redis', 'redis://localhost:6379'],
      [`rediss://:${encodeURIComponent(SECRET)}@cache.plant:6380/2`, 'redis', 'rediss://cache.plant:6380'],
      ['amqp://guest:guest@127.0.0.1//', 'rabbitmq', 'amqp://127.0.0.1:5672'],
      [' amqps://user@[::1]/vhost?heartbeat=5 ', 'rabbitmq', 'amqps://[::1]:5671'],
    ] as const;
    for (const [text, engine, place] of places) {
      const address = parseBrokerUrl(text);
      assert.deepEqual([address.engine, address.place], [engine, place]);
    }
  });

  it('that is none says so and holds nothing back but its secrets', () => {
    const wrong = [
      ['plant', /^brokerUrl is not a URL\. Give one such as redis:/],
      [`http://user:${SECRET}@plant`, /^brokerUrl begins with "http:\/\/", a broker that is not supported/],
      [`redis://:${SECRET}@`, /^brokerUrl names no host/],
      [`redis://:${SECRET}@plant:sixty`, /^brokerUrl names no host/],
    ] as const;
    for (const [text, reason] of wrong) {
      assert.throws(
        () => parseBrokerUrl(text),
        (error: unknown) => {
          assert(error instanceof TmError && error.code === 'TM_SETTING_INVALID');
          assert.match(error.message, reason);
          assert(!error.message.includes('s3cret'), error.message);
          return true;
        },
      );
    }
  });

  it('is taken out of what the broker says', () => {
    const address = parseBrokerUrl(`amqp://plant:${encodeURIComponent(SECRET)}@host`);
    const said = withoutSecrets(`ACCESS_REFUSED plant ${SECRET} at ${address.url}`, address);
    assert(!said.includes('s3cret'), said);
    assert.match(said, /^ACCESS_REFUSED plant … at …$/);
  });

  it('whose library is missing says what to install', () => {
    const resolve = Object.assign(
      (name: string): string => {
        throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
      },
      { paths: () => null },
    );
    assert.throws(() => {
      checkBrokerPackages(parseBrokerUrl('redis://localhost'), resolve);
    }, /brokerUrl needs bullmq and ioredis, which are not installed\. Run "npm install bullmq ioredis" in Node-RED's user directory/);
    assert.throws(() => {
      checkBrokerPackages(parseBrokerUrl('amqp://localhost'), resolve);
    }, /needs rabbitmq-client, which is not installed\. Run "npm install rabbitmq-client"/);
    checkBrokerPackages(parseBrokerUrl('amqp://localhost'));
  });
});

describe('A window in a queue', () => {
  const queued = { window: { start: 60, end: 120 }, owner: { bookmark: 'plant' } };

  it('is known by its bounds and by whose it is, on whatever machine', () => {
    assert.equal(keyOf(queued), keyOf(structuredClone(queued)));
    const others = [
      { window: { start: 60, end: 180 }, owner: { bookmark: 'plant' } },
      { window: { start: 60, end: 120 }, owner: { bookmark: 'plant2' } },
      { window: { start: 60, end: 120 }, owner: { task: 'plant' } },
      { window: { start: 60, end: 120 }, owner: {} },
    ];
    assert.equal(new Set([queued, ...others].map(keyOf)).size, 5);
    for (const key of others.map(keyOf)) assert.match(key, /^[\w-]{43}$/);
  });

  it('of another database is in another queue', () => {
    assert.notEqual(queueName('plant', 'postgresql://a:5432/x'), queueName('plant', 'postgresql://b:5432/x'));
    assert.match(queueName('plant', 'postgresql://a:5432/x'), /^plant\.[0-9a-f]{8}$/);
  });

  it('that is none is refused with what it was', () => {
    assert.throws(() => parseQueued({ start_time: 'now' }), /no window.*\{"start_time":"now"\}/);
    assert.throws(() => parseQueued('x'), { code: 'TM_MESSAGE_INVALID' });
  });
});
