import assert from 'node:assert/strict';
import { Transfers } from '../../lib/transfer';

const DELIVERED = { readings: 1, bytes: 10 };

describe('A batch with several receivers', () => {
  const transfers = new Transfers();
  const open = () => transfers.issue({ start: 0, end: 60 }, { bookmark: 'plant' }).open();
  const hasRoom = (room: Promise<void>): Promise<boolean> =>
    Promise.race([room.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))]);

  it('the next one is read when the slowest works on it', async () => {
    const sequence = open();
    const index = sequence.send(['tag']);
    const room = sequence.room();
    sequence.arrived(index, 'fast');
    sequence.arrived(index, 'slow');
    sequence.settle(index, 'fast', DELIVERED);
    assert.equal(await hasRoom(room), false);
    sequence.started(index, 'slow');
    assert.equal(await hasRoom(room), true);
  });

  it('counts once, when all have it; also where one has come after another was done', async () => {
    const sequence = open();
    const { transfer } = sequence;
    const [first, last] = [sequence.send(['tag']), sequence.send(['tag'], 2)];
    sequence.arrived(first, 'a');
    assert.equal(sequence.settle(first, 'a', DELIVERED), false);
    sequence.arrived(first, 'late');
    sequence.arrived(last, 'a');
    assert.equal(sequence.settle(last, 'a', DELIVERED), false);
    assert.equal(sequence.settle(first, 'late', { readings: 0, bytes: 0 }), true);
    const outcome = await transfer.outcome;
    assert(outcome.state === 'delivered');
    const { readings, batches } = outcome.receipt;
    assert.deepEqual({ readings, batches }, { readings: 1, batches: 2 });
  });
});
