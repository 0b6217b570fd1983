/** What a machine takes out of the queue is done with when the shared bookmark has it, and not before. */
import assert from 'node:assert/strict';
import sinon from 'sinon';
import { Bookmark } from '../../lib/bookmark';
import { TmError } from '../../lib/errors';
import { Consumer } from '../../lib/queue/consumer';
import type { QueuedWindow } from '../../lib/queue/queue';
import { Transfer, Transfers } from '../../lib/transfer';
import { MemoryStore } from '../support/memory-store';

const PLAN = { horizon: 600, intervalSeconds: 60, longestSeconds: 60, lookbackSeconds: 0, inFlight: 4 };
const SECOND = 1000;

describe('What is taken out of a queue', () => {
  let clock: sinon.SinonFakeTimers;
  let store: MemoryStore;
  let giving: Bookmark;
  let transfers: Transfers;
  let consumer: Consumer;
  let emitted: Transfer[];
  let problems: TmError[];
  let opened: Promise<Bookmark> | undefined;

  beforeEach(async () => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    store = new MemoryStore();
    giving = await Bookmark.open(store, 'plant');
    transfers = new Transfers();
    [emitted, problems, opened] = [[], [], undefined];
    consumer = new Consumer({
      transfers,
      bookmark: (name) => (opened ??= Bookmark.open(store, name)),
      emit: (transfer) => emitted.push(transfer),
      onProblem: (error) => problems.push(error),
      onChange: () => undefined,
    });
  });
  afterEach(() => {
    clock.restore();
    assert.equal(transfers.size, 0, 'no transfer is left over');
  });

  const issue = async (): Promise<QueuedWindow[]> => {
    await giving.start(0);
    return (await giving.issue(PLAN)).map((window) => ({ window, owner: { bookmark: 'plant' } }));
  };
  /** As tm-fetch and tm-post do it. */
  const post = (transfer: Transfer | undefined): void => {
    assert(transfer);
    const sequence = transfer.open();
    sequence.settle(sequence.send(['tag'], 1), 'post', { readings: 3, bytes: 99 });
  };
  const emittedNow = async (): Promise<Transfer> => {
    for (;;) {
      const transfer = emitted.shift();
      if (transfer) return transfer;
      await new Promise(setImmediate);
    }
  };
  const settled = async (promise: Promise<unknown>): Promise<boolean> => {
    let over = false;
    void promise.then(
      () => (over = true),
      () => (over = true),
    );
    await clock.tickAsync(1);
    return over;
  };

  it('is done with when it is committed, not when it is posted', async () => {
    const [queued] = await issue();
    assert(queued);
    const delivery = consumer.deliver(queued);
    const transfer = await emittedNow();
    assert.deepEqual([transfer.window, transfer.owner], [queued.window, queued.owner]);
    post(transfer);
    assert.equal(await settled(delivery), false);
    await (await Bookmark.open(store, 'plant')).commit(transfer.window);
    transfer.onCommit?.(undefined);
    assert.equal((await delivery).receipt?.readings, 3);
  });

  it('is delivered though this machine is writing to the bookmark that another has just given it out of', async () => {
    await giving.start(0);
    // As a database that takes its time: it has read what this machine is about to change.
    let goOn: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const update = sinon.stub(store, 'update').callsFake(async (kind, name, change) => {
      const stored = await store.read(kind, name);
      await slow;
      change(stored);
    });
    const own = await (opened ??= Bookmark.open(store, 'plant'));
    const writing = own.commit({ start: 0, end: 60 });
    await clock.tickAsync(1);
    update.restore();
    const [queued] = await issue();
    assert(queued);
    const delivery = consumer.deliver(queued);
    await clock.tickAsync(1);
    goOn();
    await writing;
    const transfer = await Promise.race([emittedNow(), delivery]);
    assert(transfer instanceof Transfer, 'it was taken for one that the bookmark does not know');
    post(transfer);
    transfer.onCommit?.(undefined);
    await delivery;
  });

  it('is not delivered where the bookmark has it already, or was set by hand', async () => {
    const [first, second] = await issue();
    assert(first && second);
    await giving.commit(first.window);
    assert.deepEqual(await consumer.deliver(first), {});
    await giving.set(0);
    assert.deepEqual(await consumer.deliver(second), {});
    assert.deepEqual(emitted, []);
  });

  it('is given back where the commit fails', async () => {
    const [queued] = await issue();
    assert(queued);
    const delivery = consumer.deliver(queued);
    const refused = assert.rejects(delivery, { code: 'TM_STATE_WRITE' });
    const transfer = await emittedNow();
    post(transfer);
    transfer.onCommit?.(new TmError('TM_STATE_WRITE', 'the disk is full'));
    await refused;
  });

  it('is given back where it fails, and where the flow stops', async () => {
    const [first, second, third] = await issue();
    assert(first && second && third);
    const failing = assert.rejects(consumer.deliver(first), { code: 'TM_QUERY_FAILED' });
    (await emittedNow()).fail(new TmError('TM_QUERY_FAILED', 'no such table'));
    await failing;
    const reading = assert.rejects(consumer.deliver(second), { code: 'TM_CLOSED' });
    await emittedNow();
    const posted = assert.rejects(consumer.deliver(third), { code: 'TM_CLOSED' });
    post(await emittedNow());
    consumer.close(new TmError('TM_CLOSED', 'is being stopped'));
    await Promise.all([reading, posted]);
    await assert.rejects(consumer.deliver(first), { code: 'TM_CLOSED' });
  });

  it('is given back, and said, where this machine does not share the state', async () => {
    const queued = { window: { start: 0, end: 60 }, owner: { bookmark: 'of-another-machine' } };
    await assert.rejects(consumer.deliver(queued), { code: 'TM_SETTING_INVALID' });
    await assert.rejects(consumer.deliver(queued), /must keep their state in the same database/);
    assert.equal(problems.length, 1);
  });

  it('twice at a time is delivered once', async () => {
    const queued = { window: { start: 0, end: 60 }, owner: {} };
    const deliveries = [consumer.deliver(queued), consumer.deliver(queued)];
    const transfer = await emittedNow();
    assert.equal(consumer.underWay, 1);
    post(transfer);
    const [first, second] = await Promise.all(deliveries);
    assert.deepEqual(first, second);
    assert.deepEqual(emitted, []);
  });

  it('says when a window was posted and no commit came, and gives it back in the end', async () => {
    const [queued] = await issue();
    assert(queued);
    const delivery = consumer.deliver(queued);
    const givenBack = assert.rejects(delivery, { code: 'TM_NOT_COMMITTED' });
    post(await emittedNow());
    await clock.tickAsync(11 * SECOND);
    assert.equal(problems[0]?.code, 'TM_NOT_COMMITTED');
    assert.equal(await settled(delivery), false);
    // Another machine, where no wire is missing, may have it.
    await clock.tickAsync(600 * SECOND);
    await givenBack;
    assert.equal(problems.length, 1);
  });

  it('leaves nothing behind that waits for the end of the flow', async () => {
    const added = sinon.spy(AbortSignal.prototype, 'addEventListener');
    const removed = sinon.spy(AbortSignal.prototype, 'removeEventListener');
    try {
      const [queued] = await issue();
      assert(queued);
      for (let index = 0; index < 5; index++) {
        const failing = assert.rejects(consumer.deliver(queued), { code: 'TM_QUERY_FAILED' });
        (await emittedNow()).fail(new TmError('TM_QUERY_FAILED', 'no such table'));
        await failing;
      }
      assert.equal(added.callCount, removed.callCount);
    } finally {
      added.restore();
      removed.restore();
    }
  });

  it('is given back where a commit is lost, once commits have come', async () => {
    const [first, second] = await issue();
    assert(first && second);
    const committed = consumer.deliver(first);
    const transfer = await emittedNow();
    post(transfer);
    transfer.onCommit?.(undefined);
    await committed;
    const lost = assert.rejects(consumer.deliver(second), { code: 'TM_NOT_COMMITTED' });
    post(await emittedNow());
    await clock.tickAsync(601 * SECOND);
    await lost;
  });
});
