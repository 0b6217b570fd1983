/** The machine that gives windows out learns of their delivery from the bookmark, whatever the queue tells. */
import assert from 'node:assert/strict';
import sinon from 'sinon';
import { Bookmark } from '../../lib/bookmark';
import { TmError } from '../../lib/errors';
import { Producer } from '../../lib/queue/producer';
import { keyOf, type QueuedWindow } from '../../lib/queue/queue';
import { Transfers, type Receipt, type Transfer } from '../../lib/transfer';
import { formatWindow } from '../../lib/window';
import { MemoryStore } from '../support/memory-store';

const PLAN = { horizon: 600, intervalSeconds: 60, longestSeconds: 60, lookbackSeconds: 0, inFlight: 4 };
const SECOND = 1000;

/** One broker that keeps, loses or refuses what is put. */
class Broker {
  readonly repeatAfterSeconds = 60;
  readonly puts: string[] = [];
  failing = false;
  put(queued: QueuedWindow): Promise<void> {
    if (this.failing) return Promise.reject(new TmError('TM_BROKER_UNREACHABLE', 'away'));
    this.puts.push(keyOf(queued));
    return Promise.resolve();
  }
}

describe('What is put into a queue', () => {
  let clock: sinon.SinonFakeTimers;
  let store: MemoryStore;
  let bookmark: Bookmark;
  let broker: Broker;
  let transfers: Transfers;
  let producer: Producer;
  let committed: Transfer[];
  let problems: TmError[];
  let failures: (TmError | undefined)[];

  beforeEach(async () => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    store = new MemoryStore();
    bookmark = await Bookmark.open(store, 'plant');
    await bookmark.start(0);
    broker = new Broker();
    transfers = new Transfers();
    [committed, problems, failures] = [[], [], []];
    producer = new Producer(broker, {
      bookmark: () => Promise.resolve(bookmark),
      onCommitted: (transfer) => committed.push(transfer),
      onProblem: (error) => problems.push(error),
      onBroker: (failure) => failures.push(failure),
    });
  });
  afterEach(() => {
    producer.close();
    clock.restore();
  });

  const give = async (): Promise<Transfer[]> => {
    const windows = await bookmark.issue(PLAN);
    const given = windows.map((window) => transfers.issue(window, { bookmark: 'plant' }));
    await Promise.all(given.map((transfer) => producer.hand(transfer)));
    return given;
  };
  /** As another machine does it. */
  const commitElsewhere = async ({ window }: Transfer): Promise<void> => {
    await (await Bookmark.open(store, 'plant')).commit(window);
  };
  const keyOfTransfer = ({ window, owner }: Transfer): string => keyOf({ window, owner });

  it('is nothing that has ended before', async () => {
    const [window] = await bookmark.issue(PLAN);
    assert(window);
    const transfer = transfers.issue(window, { bookmark: 'plant' });
    transfer.fail(new TmError('TM_CANCELLED', 'cancelled'));
    await producer.hand(transfer);
    await clock.tickAsync(120 * SECOND);
    assert.deepEqual(broker.puts, []);
    assert.equal(producer.underWay, 0);
  });

  it('is known to be delivered when the bookmark has it, at the queue’s hint', async () => {
    const [first, second] = await give();
    assert(first && second);
    await commitElsewhere(first);
    producer.done(keyOfTransfer(first), {});
    await clock.tickAsync(0);
    assert.deepEqual(committed, [first]);
    assert.equal(producer.underWay, 3);
    assert.deepEqual(problems, []);
  });

  it('is known to be delivered without a hint, before long', async () => {
    const [, second] = await give();
    assert(second);
    await commitElsewhere(second);
    assert.deepEqual(committed, []);
    await clock.tickAsync(20 * SECOND);
    assert.deepEqual(committed, [second]);
  });

  it('is put again where the broker was away, or may have lost it, or tells nothing', async () => {
    broker.failing = true;
    const [first] = await give();
    assert(first);
    assert.deepEqual(broker.puts, []);
    assert.equal(failures[0]?.code, 'TM_BROKER_UNREACHABLE');
    broker.failing = false;
    await clock.tickAsync(20 * SECOND);
    assert.equal(broker.puts.length, 4);
    producer.connected();
    await clock.tickAsync(0);
    assert.equal(broker.puts.length, 8, 'after each new connection');
    await clock.tickAsync(50 * SECOND);
    assert.equal(broker.puts.length, 8, 'not while there is nothing to fear');
    await clock.tickAsync(30 * SECOND);
    assert.equal(broker.puts.length, 12);
    assert.equal(new Set(broker.puts).size, 4, 'a repeat is known as one');
  });

  it('that a machine of another state took is said, and put again', async () => {
    const [first] = await give();
    assert(first);
    producer.done(keyOfTransfer(first), {});
    await clock.tickAsync(0);
    assert.deepEqual(committed, []);
    assert.equal(problems[0]?.code, 'TM_NOT_COMMITTED');
    assert.match(problems[0].message, /keep their state in the same database/);
    await clock.tickAsync(35 * SECOND);
    assert.equal(broker.puts.filter((key) => key === keyOfTransfer(first)).length, 2);
  });

  it('is not watched any more when its transfer was cancelled', async () => {
    const [first] = await give();
    first?.fail(new TmError('TM_CANCELLED', 'The bookmark was set by hand.'));
    assert.equal(producer.underWay, 3);
    await clock.tickAsync(100 * SECOND);
    assert(first && !committed.includes(first));
  });

  it('does not stall: no node of this process is expected to take it', async () => {
    const [first] = await give();
    let stalled = '';
    assert(first);
    first.onStalled = (message) => {
      stalled = message;
    };
    await clock.tickAsync(3_600 * SECOND);
    assert.equal(stalled, '');
    assert.equal(first.ended, undefined);
  });

  it('of a task is delivered with the receipt that the other machine gave', async () => {
    const transfer = transfers.issue({ start: 0, end: 60 }, { task: 'task-7' });
    await producer.hand(transfer);
    const receipt: Receipt = {
      ...formatWindow(transfer.window),
      ...{ readings: 3, sensors: 1, batches: 1, bytes: 99, duration_ms: 5 },
    };
    producer.done(keyOfTransfer(transfer), { receipt });
    assert.deepEqual(await transfer.outcome, { state: 'delivered', receipt, elsewhere: true });
    assert.equal(producer.underWay, 0);
    assert.equal(transfers.size, 0);
  });

  it('by hand is refused where the broker does not take it in time', async () => {
    broker.put = () => new Promise(() => undefined);
    const putting = producer.put({ window: { start: 0, end: 60 }, owner: {} });
    const refused = assert.rejects(putting, { code: 'TM_BROKER_UNREACHABLE' });
    await clock.tickAsync(20 * SECOND);
    await refused;
  });
});
