import assert from 'node:assert/strict';
import sinon, { type SinonFakeTimers } from 'sinon';
import { ANSWERED_WITHIN_MS, Claim, formatLease, parseLease, type Lease } from '../../lib/lease';
import { thisProcess } from '../../lib/process-identity';

/** Of another machine: nobody here can know whether it runs. */
const far = (token: string, fence = 7): Lease => ({
  fence,
  holder: { host: 'plant-2', process: 4711, realm: 'elsewhere', started: '1', token },
  challenge: undefined,
});

describe('A lease', () => {
  let timers: SinonFakeTimers;
  let claim: Claim;
  beforeEach(() => {
    timers = sinon.useFakeTimers({ toFake: ['performance'] });
    claim = new Claim();
  });
  afterEach(() => {
    claim.end();
    timers.restore();
  });

  it('that nobody holds is had at once, with a higher fence than any before', () => {
    const first = claim.take(undefined);
    assert.equal(first.fence, 1);
    assert.deepEqual(claim.standing(first), { state: 'mine' });
    const released = claim.release(first);
    const next = new Claim().take(released);
    assert.equal(next.fence, 2);
    assert.equal(claim.standing(next).state, 'held');
  });

  it('is taken over when its holder has not answered for long enough, and not before', () => {
    let lease = claim.take(far('other'));
    assert.equal(lease.holder?.token, 'other');
    assert(lease.challenge !== undefined);
    timers.tick(ANSWERED_WITHIN_MS - 1);
    lease = claim.take(lease);
    assert.deepEqual(claim.standing(lease), { state: 'asked', by: 'process 4711 on plant-2' });
    timers.tick(1);
    lease = claim.take(lease);
    assert.deepEqual(claim.standing(lease), { state: 'mine' });
    assert.equal(lease.fence, 8);
    assert.equal(lease.challenge, undefined);
  });

  it('stays with a holder that answers, which is said to be at work', () => {
    let lease = claim.take(far('other'));
    for (let round = 0; round < 10; round++) {
      timers.tick(ANSWERED_WITHIN_MS - 1);
      // As its holder does.
      claim.stored(lease);
      lease = claim.take({ ...lease, challenge: undefined });
      assert.equal(lease.holder?.token, 'other');
      assert.equal(claim.standing(lease).state, 'held');
    }
  });

  it('is not taken for answered where the challenge was never stored', () => {
    // The store tries the same step again, or could not write it.
    claim.take(far('other'));
    const lease = claim.take(far('other'));
    assert.equal(claim.standing(lease).state, 'asked');
  });

  it('is answered for by its holder, and lost by one that was held up', () => {
    const mine = claim.take(undefined);
    const challenged = { ...mine, challenge: 'c' };
    assert(claim.isChallenged(challenged));
    assert.deepEqual(claim.take(challenged), mine);
    const lost = far('other', mine.fence + 1);
    assert.equal(claim.isChallenged({ ...lost, challenge: 'c' }), false);
    assert.notEqual(claim.take(lost).holder?.token, mine.holder?.token);
    assert.deepEqual(claim.release(lost), lost, 'what is not held is not given back');
  });

  it('of a process that has ended, or of a claim of this one that has, is had at once', () => {
    const { realm, host } = thisProcess();
    // No process has this number.
    const gone: Lease = {
      ...far('gone'),
      holder: { host, process: 2 ** 30, realm, started: '1', token: 'gone' },
    };
    assert.equal(claim.standing(claim.take(gone)).state, 'mine');
    const ended: Lease = { ...far('x'), holder: { ...thisProcess(), token: 'of a claim that has ended' } };
    assert.equal(claim.standing(claim.take(ended)).state, 'mine');
  });

  it('of two that wait goes to one', () => {
    const other = new Claim();
    let lease = claim.take(far('other'));
    claim.stored(lease);
    lease = other.take(lease);
    timers.tick(ANSWERED_WITHIN_MS);
    lease = other.take(lease);
    assert.equal(other.standing(lease).state, 'mine');
    lease = claim.take(lease);
    assert.equal(claim.standing(lease).state, 'held');
    other.end();
  });

  it('is read as it was stored, and as none where it is none', () => {
    const lease = claim.take(undefined);
    const stored: unknown = JSON.parse(JSON.stringify(formatLease(lease)));
    assert.deepEqual(parseLease(stored), lease);
    for (const none of [undefined, null, 'x', {}, { fence: 'x' }]) assert.equal(parseLease(none), undefined);
    assert.deepEqual(parseLease({ fence: 3, holder: { host: 1 } }), {
      fence: 3,
      holder: undefined,
      challenge: undefined,
    });
  });
});
