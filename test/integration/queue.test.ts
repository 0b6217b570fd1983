/** What every broker does for the connector, shown by real ones. */
import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import { TmError } from '../../lib/errors';
import { keyOf, type Done, type QueuedWindow } from '../../lib/queue/queue';
import type { Receipt } from '../../lib/transfer';
import { formatWindow } from '../../lib/window';
import { BROKERS, brokerMissing, brokerUrl, ownBroker, type BrokerKind } from '../support/brokers';
import { rawMessages, useMachines } from '../support/queue-machines';
import { TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/until';

const windowAt = (index: number): QueuedWindow => ({
  window: { start: 1_767_225_600 + index * 60, end: 1_767_225_660 + index * 60 },
  owner: { bookmark: 'plant' },
});
const receiptOf = ({ window }: QueuedWindow): Receipt => ({
  ...formatWindow(window),
  ...{ readings: 3, sensors: 1, batches: 1, bytes: 99, duration_ms: 5 },
});
const delivered = (queued: QueuedWindow): Done => ({ receipt: receiptOf(queued) });

/** A delivery that ends when it is told to. */
function held(): { promise: Promise<Done>; release: (done?: Done) => void; fail: (error: Error) => void } {
  let release: (done?: Done) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise<Done>((resolve, reject) => {
    release = (done = {}) => {
      resolve(done);
    };
    fail = reject;
  });
  return { promise, release, fail };
}

for (const kind of BROKERS) {
  const missing = brokerMissing(kind);
  const suite = missing === undefined ? describe : describe.skip;
  suite(`A queue in ${kind}${missing === undefined ? '' : ` (skipped: ${missing})`}`, function () {
    this.timeout(120_000);
    const machines = useMachines(kind, () => brokerUrl(kind));

    it('hands each window to one machine, and tells the one that put it with what result', async () => {
      const [putting, one, other] = [machines.add(), machines.add(), machines.add()];
      for (const machine of [one, other]) machine.take(2, delivered);
      await Promise.all([putting, one, other].map((machine) => machine.connected()));
      const windows = Array.from({ length: 40 }, (_, index) => windowAt(index));
      for (const queued of windows) await putting.queue.put(queued);
      await until(() => putting.done.size === windows.length);
      assert.deepEqual([...one.taken, ...other.taken].sort(), windows.map(keyOf).sort());
      for (const queued of windows) assert.deepEqual(putting.done.get(keyOf(queued)), delivered(queued));
      assert.deepEqual(
        [putting, one, other].flatMap(({ problems }) => problems),
        [],
      );
    });

    it('takes windows as they were put, and has nothing of them but bounds and ids', async () => {
      const machine = await machines.add().connected();
      const windows: QueuedWindow[] = [
        windowAt(1),
        { window: windowAt(2).window, owner: { task: 'task-7' } },
        { window: windowAt(3).window, owner: {} },
      ];
      for (const queued of windows) await machine.queue.put(queued);
      const raw = (await rawMessages(kind, await brokerUrl(kind), machines.name)).join('\n');
      assert.match(raw, /2026-01-01T00:01:00Z.*plant|plant.*2026-01-01T00:01:00Z/);
      assert(!raw.includes('guest'), raw);
      if (kind === 'rabbitmq') for (const queued of windows) await machine.queue.put(queued);
      const taken: QueuedWindow[] = [];
      machine.take(1, (queued) => {
        taken.push(queued);
        return {};
      });
      await until(() => taken.length === windows.length);
      const order = (all: readonly QueuedWindow[]): QueuedWindow[] =>
        [...all].sort((a, b) => a.window.start - b.window.start);
      assert.deepEqual(order(taken), windows);
    });

    it('gives a machine no more windows than it takes at a time', async () => {
      const machine = machines.add();
      const under = new Map<string, ReturnType<typeof held>>();
      let most = 0;
      let ended = 0;
      machine.take(3, async (queued) => {
        const hold = held();
        under.set(keyOf(queued), hold);
        most = Math.max(most, under.size);
        const done = await hold.promise;
        under.delete(keyOf(queued));
        ended++;
        return done;
      });
      await machine.connected();
      for (let index = 0; index < 9; index++) await machine.queue.put(windowAt(index));
      while (ended < 9) {
        // All that it may have are there, so a fourth would be too.
        await until(() => under.size >= Math.min(3, 9 - ended));
        const before = ended;
        [...under.values()][0]?.release();
        await until(() => ended > before);
      }
      assert.equal(most, 3);
    });

    it('gives a window that failed out again, with others going on meanwhile', async () => {
      const machine = machines.add();
      const order: string[] = [];
      let failures = 0;
      machine.take(1, (queued) => {
        order.push(keyOf(queued));
        if (keyOf(queued) === keyOf(windowAt(0)) && failures++ < 2)
          throw new TmError('TM_ENDPOINT_UNAVAILABLE', 'secret-answer-of-the-endpoint 503');
        return delivered(queued);
      });
      await machine.connected();
      for (let index = 0; index < 4; index++) await machine.queue.put(windowAt(index));
      await until(() => machine.done.size === 4);
      const failing = keyOf(windowAt(0));
      assert.equal(order.filter((key) => key === failing).length, 3);
      assert(
        order.indexOf(keyOf(windowAt(3))) < order.lastIndexOf(failing),
        'the others did not wait for it',
      );
      const raw = (await rawMessages(kind, await brokerUrl(kind), machines.name)).join('\n');
      assert(!raw.includes('secret-answer'), 'what failed is nobody else’s business');
    });

    it('gives what a machine that is closed had to another at once, of which the one that put it hears nothing', async () => {
      const [putting, closing, other] = [machines.add(), machines.add(), machines.add()];
      const [hold, another] = [held(), held()];
      const windows = [windowAt(0), windowAt(1)];
      await putting.connected();
      // First, for it makes the queue: RabbitMQ may cut off who takes from one that is just being made.
      for (const queued of windows) await putting.queue.put(queued);
      closing.take(2, () => hold.promise);
      await until(() => closing.taken.length === 2);
      other.take(2, () => another.promise);
      hold.fail(new TmError('TM_CLOSED', 'is being stopped'));
      await closing.queue.close();
      await until(() => other.taken.length === 2);
      assert.deepEqual([...other.taken].sort(), windows.map(keyOf).sort());
      assert.equal(putting.done.size, 0);
      another.release();
      await until(() => putting.done.size === 2);
      const all = [putting, closing, other];
      assert.deepEqual(
        all.flatMap(({ problems, unreachable }) => [...problems, ...unreachable]),
        [],
      );
    });

    it('gives what a machine that vanished had to another', async () => {
      const url = await urlWithPort(kind);
      const proxy = await TcpProxy.start(url);
      const [vanishing, other] = [machines.add(proxy.through(url)), machines.add()];
      const hold = held();
      vanishing.take(1, () => hold.promise);
      await vanishing.connected();
      await vanishing.queue.put(windowAt(0));
      await until(() => vanishing.taken.length === 1);
      await proxy.refuse();
      other.take(1, delivered);
      await until(() => other.taken.length === 1);
      assert.deepEqual(other.taken, [keyOf(windowAt(0))]);
      await until(() => vanishing.unreachable.length > 0);
      assert.equal(vanishing.unreachable[0]?.code, 'TM_BROKER_UNREACHABLE');
      // It goes on with what it has, and finds its way back.
      const before = vanishing.connections;
      await proxy.restore();
      hold.release();
      await until(() => vanishing.connections > before);
      await vanishing.queue.put(windowAt(1));
      await until(() => vanishing.taken.length + other.taken.length === 3);
      await vanishing.queue.close();
      await proxy.close();
    });

    it('takes out what is no window, says so, and goes on', async () => {
      const machine = await machines.add().connected();
      await putStrange(kind, await brokerUrl(kind), machines.name, machine.queue.put.bind(machine.queue));
      await machine.queue.put(windowAt(0));
      machine.take(1, delivered);
      await until(() => machine.taken.length === 1 && machine.problems.length === 1);
      assert.match(machine.problems[0]?.message ?? '', /no window.*\{"hello":"there"\}/s);
      assert.equal(machine.problems[0]?.code, 'TM_MESSAGE_INVALID');
    });

    it('closes in seconds while the broker is away, and leaves nothing that goes on', async () => {
      const url = await urlWithPort(kind);
      const proxy = await TcpProxy.start(url);
      const through = proxy.through(url);
      const before = resources();
      const machine = machines.add(through);
      const hold = held();
      machine.take(1, () => hold.promise);
      await machine.connected();
      await machine.queue.put(windowAt(0));
      await until(() => machine.taken.length === 1);
      await proxy.refuse();
      await until(() => machine.unreachable.length > 0);
      hold.fail(new TmError('TM_CLOSED', 'is being stopped'));
      const never = machines.add(through);
      never.take(1, delivered);
      for (const { queue } of [machine, never]) {
        const begun = performance.now();
        await queue.close();
        assert(performance.now() - begun < 5_000);
      }
      await until(() => resources() <= before);
    });

    it('hangs on to nothing of connections that it had before', async () => {
      const url = await urlWithPort(kind);
      const proxy = await TcpProxy.start(url);
      const machine = machines.add(proxy.through(url));
      machine.take(2, delivered);
      await machine.connected();
      const listeners = new Set<number>();
      for (let index = 0; index < 8; index++) {
        await machine.queue.put(windowAt(index));
        await until(() => machine.taken.includes(keyOf(windowAt(index))));
        if (index > 0) listeners.add(machine.listeners);
        const before = machine.connections;
        await proxy.refuse();
        await until(() => machine.unreachable.length > index);
        await proxy.restore();
        await until(() => machine.connections > before);
      }
      assert(Math.max(...listeners) > 0);
      assert.equal(listeners.size, 1, `listeners after each: ${[...listeners].join(', ')}`);
      await machine.queue.close();
      await proxy.close();
    });

    if (kind === 'redis') {
      it('keeps a window that is put twice once, and takes it again when it was done with', async () => {
        const machine = await machines.add().connected();
        await machine.queue.put(windowAt(0));
        await machine.queue.put(windowAt(0));
        machine.take(1, delivered);
        await until(() => machine.done.size === 1);
        await machine.queue.put(windowAt(1));
        await until(() => machine.done.size === 2);
        assert.equal(machine.taken.length, 2);
        await machine.queue.put(windowAt(0));
        await until(() => machine.taken.length === 3);
      });

      it('leaves a window to whoever works on it for longer than its lock lasts', async () => {
        const [working, other] = [machines.add(), machines.add()];
        const hold = held();
        working.take(1, () => hold.promise);
        await working.connected();
        await working.queue.put(windowAt(0));
        await until(() => working.taken.length === 1);
        other.take(1, delivered);
        const redis = new Redis(await brokerUrl(kind));
        const lock = `tm:${machines.name}:${keyOf(windowAt(0))}:lock`;
        // Renewed at half its time: three times are more than one lock.
        let left = await redis.pttl(lock);
        for (let renewals = 0; renewals < 3;) {
          const now = await redis.pttl(lock);
          assert(now > 0, 'the lock ran out');
          if (now > left) renewals++;
          left = now;
        }
        await redis.quit();
        hold.release();
        await until(() => working.done.size === 1);
        assert.deepEqual(other.taken, []);
      });
    }
  });

  if (kind === 'redis') {
    const without = brokerMissing(kind, true);
    (without === undefined ? describe : describe.skip)(
      'A queue in a redis that refuses the password',
      function () {
        this.timeout(60_000);
        const broker = ownBroker(kind);
        const machines = useMachines(kind, async () => broker.url);

        it('is tried again over no more connections than one try takes, and works once it is accepted', async () => {
          const setPassword = async (password: string, now?: string): Promise<void> => {
            const redis = new Redis(broker.url, now === undefined ? {} : { password: now });
            await redis.config('SET', 'requirepass', password);
            redis.disconnect();
          };
          const proxy = await TcpProxy.start(broker.url);
          const url = new URL(proxy.through(broker.url));
          url.password = 'wrong';
          await setPassword('another');
          const machine = machines.add(url.href);
          machine.take(1, delivered);
          let most = 0;
          await until(() => {
            most = Math.max(most, proxy.open);
            return proxy.connections > 60;
          });
          await setPassword('wrong', 'another');
          assert(most <= 8, `${most} at a time`);
          await until(() =>
            machine.queue.put(windowAt(0)).then(
              () => true,
              () => false,
            ),
          );
          // What the queue tells of it, too: from when its connection is accepted on.
          await until(async () => {
            await machine.queue.put(windowAt(0));
            return machine.done.size === 1;
          });
          // What it fails with later is not what it failed with before.
          const before = machine.unreachable.length;
          assert.match(machine.unreachable.at(-1)?.message ?? '', /WRONGPASS/);
          const redis = new Redis(broker.url, { password: 'wrong' });
          await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
          redis.disconnect();
          await until(() => machine.unreachable.length > before);
          assert.doesNotMatch(machine.unreachable[before]?.message ?? '', /WRONGPASS/);
          await machine.queue.close();
          await proxy.close();
          await setPassword('', 'wrong');
        });
      },
    );
  }

  const ownMissing = brokerMissing(kind, true);
  const ownSuite = ownMissing === undefined ? describe : describe.skip;
  ownSuite(
    `A queue in a ${kind} that is restarted${ownMissing === undefined ? '' : ` (skipped: ${ownMissing})`}`,
    function () {
      this.timeout(240_000);
      const broker = ownBroker(kind);
      const machines = useMachines(kind, async () => broker.url);

      it('still has what was put, and goes on with machines that were connected', async () => {
        const [putting, taking] = [await machines.add().connected(), machines.add()];
        for (let index = 0; index < 5; index++) await putting.queue.put(windowAt(index));
        await broker.crash();
        await until(() => putting.unreachable.length > 0);
        await broker.start();
        taking.take(1, delivered);
        await until(() => putting.connections > 1);
        await until(() => new Set(taking.taken).size === 5);
        // What is told of one that is done while its putter connects anew is lost: its bookmark is looked at then.
        let next = 5;
        await until(async () => {
          const queued = windowAt(next++);
          await putting.queue.put(queued);
          await until(() => taking.taken.includes(keyOf(queued)));
          return putting.done.size > 0;
        });
      });
    },
  );
}

async function urlWithPort(kind: BrokerKind): Promise<string> {
  const url = new URL(await brokerUrl(kind));
  if (url.port === '') url.port = kind === 'redis' ? '6379' : '5672';
  return url.href;
}

/** Sockets and timers of this process. */
function resources(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(TCP|Timeout)/.test(name)).length;
}

/** A message of somebody else in the same queue. */
async function putStrange(
  kind: (typeof BROKERS)[number],
  url: string,
  name: string,
  makeQueue: (queued: QueuedWindow) => Promise<void>,
): Promise<void> {
  if (kind === 'redis') {
    const { Queue } = await import('bullmq');
    const connection = new Redis(url, { maxRetriesPerRequest: null });
    const queue = new Queue(name, { connection, prefix: 'tm' });
    await queue.add('strange', { hello: 'there' });
    await queue.close();
    connection.disconnect();
    return;
  }
  const { Connection } = await import('rabbitmq-client');
  // The queue is made by the first window.
  await makeQueue(windowAt(9));
  const connection = new Connection(url);
  await connection.queuePurge(name);
  const publisher = connection.createPublisher({ confirm: true });
  await publisher.send({ routingKey: name, durable: true }, { hello: 'there' });
  await publisher.close();
  await connection.close();
}
