/**
 * What the endpoint refuses for good is never dropped without a trace: it is on record before its window counts
 * as delivered, or it holds its window; and it can be sent again with one message.
 */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileStore } from '../../lib/state/file-store';
import type { Reply } from '../../scripts/start/cloud';
import { collect, deploy, inject, messageWhere, useNodeRed, type FlowMessage } from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const BAD = { sensor: 'K101.TAG_2', second: 17 };
const BAD_AT = '2026-01-01T00:00:17Z';

const setBack = {
  ...{ id: 'bookmark-set', type: 'tm-bookmark', config: 'cfg-1', action: 'set' },
  ...{ bookmark: 'plant', wires: [[]] },
};

interface RejectedRecord {
  readonly start_time: string;
  readonly end_time: string;
  readonly state: string;
  readonly owner: string;
  readonly refused: readonly Readonly<Record<string, unknown>>[];
}

const endsAt =
  (end: string) =>
  ({ payload }: FlowMessage): boolean =>
    (payload as { end_time?: string } | undefined)?.end_time === end;
const codeOf = ({ error }: FlowMessage): string => (error as { code: string }).code;

describe('What the endpoint refuses for good', () => {
  useNodeRed();
  let mended = false;
  let refuse: (reading: { sensor: string; value: unknown }) => boolean = () => false;
  const plant = usePlant({
    respond: ({ posted }): Reply | undefined =>
      !mended && posted?.readings.some(refuse) ? { status: 422, body: 'value out of range' } : undefined,
  });
  let directory = '';

  beforeEach(() => {
    mended = false;
    refuse = ({ sensor, value }) => sensor === BAD.sensor && value === BAD.second;
    directory = join(plant.flow()[0]?.stateDirectory as string, 'rejected');
  });

  /** As a process started now would find it. */
  const onRecord = async (): Promise<RejectedRecord[]> => {
    const store = new FileStore(dirname(directory));
    const records = await Promise.all(
      (await store.list('rejected')).map((name) => store.read('rejected', name)),
    );
    return records as unknown[] as RejectedRecord[];
  };
  const flow = (refused: string, more: Readonly<Record<string, object>> = {}) =>
    plant.flow({
      'bookmark-next': { longestMinutes: '1' },
      'post-1': { refused },
      ...more,
    });

  /** Delivers the minute with the bad reading. @returns what came out of output 2 */
  const setAside = async (): Promise<FlowMessage> => {
    await plant.history(START, 60);
    await deploy(flow('setAside'), plant.credentials);
    const aside = messageWhere('refused', () => true);
    const done = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
    inject('bookmark-next');
    await done;
    return aside;
  };

  it('set aside: the bookmark goes on, output 2 and the record have the reading and the answer', async () => {
    const { payload, statusCode, answer, readings, held } = await setAside();
    assert.deepEqual(
      { statusCode, answer, readings, held },
      { statusCode: 422, answer: 'value out of range', readings: 1, held: false },
    );
    assert.deepEqual((payload as { data: unknown }).data, {
      [BAD.sensor]: [{ timestamp: BAD_AT, value: BAD.second }],
    });
    assert.equal(plant.cloud.readings().length, 179);
    const [record, ...others] = await onRecord();
    assert.deepEqual(others, []);
    const { start_time, end_time, state, owner, refused } = record ?? {};
    assert.deepEqual(
      { start_time, end_time, state, owner },
      { start_time: START, end_time: '2026-01-01T00:01:00Z', state: 'set aside', owner: 'bookmark "plant"' },
    );
    assert.deepEqual(refused, [
      {
        ...{ start_time: BAD_AT, end_time: '2026-01-01T00:00:18Z', readings: 1, sensors: [BAD.sensor] },
        ...{ status: 422, answer: 'value out of range' },
      },
    ]);
  });

  it('is sent again with one message: its range to tm-fetch', async () => {
    await setAside();
    const [record] = await onRecord();
    const { start_time, end_time } = record?.refused[0] ?? {};
    mended = true;
    const errors = collect('errors');
    const receipt = messageWhere('committed', endsAt('2026-01-01T00:00:18Z'));
    inject('fetch-1', { payload: { start_time, end_time } });
    await receipt;
    assert.deepEqual(errors, []);
    assert(
      plant.cloud.readings().some(({ sensor, timestamp }) => sensor === BAD.sensor && timestamp === BAD_AT),
    );
    assert.deepEqual(await onRecord(), []);
  });

  it('is sent again with one message: that of output 2, to tm-post', async () => {
    const message = await setAside();
    mended = true;
    inject('post-1', JSON.parse(JSON.stringify(message)) as object);
    await until(async () => (await onRecord()).length === 0);
    await plant.assertAllArrived();
  });

  it('sent again and refused again stays on record', async () => {
    const message = await setAside();
    const again = messageWhere('refused', () => true);
    inject('post-1', message);
    await again;
    const [record] = await onRecord();
    assert.equal(record?.refused.length, 1);
  });

  it('of an own source, held: comes to output 2 and to Catch each time, for nobody sends it again', async () => {
    await deploy(flow('hold'), plant.credentials);
    const [errors, aside] = [collect('errors'), collect('refused')];
    const payload = [{ sensor: BAD.sensor, timestamp: BAD_AT, value: BAD.second }];
    for (const times of [1, 2]) {
      inject('post-1', { payload });
      await until(() => errors.length === times);
      assert.equal(aside.length, times);
    }
    assert.match((errors[0]?.error as Error).message, /not sent again by themselves, output 2 has them/);
  });

  it('held: the window stays, it is said once, and only the refused reading is tried again', async () => {
    await plant.history(START, 60);
    await deploy(flow('hold'), plant.credentials);
    const [errors, aside] = [collect('errors'), collect('refused')];
    const done = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
    inject('bookmark-next');
    await until(() => errors.length > 0);
    assert.match((errors[0]?.error as Error).message, /refused 1 readings for good \(422 for .*out of range/);
    const searched = plant.cloud.exchanges.length;
    // Two more attempts, a post each.
    await until(() => plant.cloud.exchanges.length >= searched + 2);
    for (const { posted } of plant.cloud.exchanges.slice(searched)) assert.equal(posted?.readings.length, 1);
    assert.deepEqual(errors.map(codeOf), ['TM_READINGS_REFUSED']);
    assert.deepEqual(
      aside.map(({ held }) => held),
      [true],
    );
    assert.equal(await plant.position(), Date.parse(START) / 1000);
    assert.deepEqual(
      (await onRecord()).map(({ state }) => state),
      ['held'],
    );
    mended = true;
    await done;
    await plant.assertAllArrived();
    assert.deepEqual(await onRecord(), []);
  });

  /** How many readings were posted since so many posts, refused ones too. */
  const postedSince = (posts: number): number => {
    const readings = plant.cloud.exchanges.slice(posts).flatMap(({ posted }) => posted?.readings ?? []);
    return new Set(readings.map(({ sensor, timestamp }) => `${sensor} ${timestamp}`)).size;
  };

  it('set aside, and the bookmark set back: all of the window is posted again', async () => {
    await plant.history(START, 60);
    await deploy([...flow('setAside'), setBack], plant.credentials);
    let done = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
    inject('bookmark-next');
    await done;
    const posts = plant.cloud.exchanges.length;
    done = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
    inject('bookmark-set', { payload: START });
    await done;
    assert.equal(postedSince(posts), 180);
  });

  it('held, and the bookmark set back: all of the window is posted again', async () => {
    await plant.history(START, 60);
    await deploy([...flow('hold'), setBack], plant.credentials);
    const errors = collect('errors');
    inject('bookmark-next');
    await until(() => errors.length > 0);
    const posts = plant.cloud.exchanges.length;
    inject('bookmark-set', { payload: START });
    await until(() => postedSince(posts) === 180);
  });

  it('held, and asked for by a task: all of the window is posted again', async () => {
    await plant.history(START, 60);
    const request = {
      ...{ id: 'request', type: 'tm-request', config: 'cfg-1', wires: [[], ['fetch-1']] },
    };
    await deploy([...flow('hold'), request], plant.credentials);
    const errors = collect('errors');
    inject('bookmark-next');
    await until(() => errors.length > 0);
    const posts = plant.cloud.exchanges.length;
    inject('request', {
      req: {
        ...{ method: 'POST', path: '/raise-request' },
        headers: {
          authorization: `Bearer ${plant.credentials['cfg-1'].requestKey}`,
          'content-type': 'application/json',
        },
      },
      res: {},
      payload: { start_time: START, end_time: '2026-01-01T00:01:00Z' },
    });
    await until(() => postedSince(posts) === 180);
  });

  it('is not set aside where the record cannot be written: the window stays', async () => {
    await plant.history(START, 60);
    await deploy(flow('setAside'), plant.credentials);
    await rm(directory, { recursive: true, force: true });
    await writeFile(directory, 'in the way');
    const failed = messageWhere('errors', (message) => codeOf(message).startsWith('TM_STATE_'));
    const done = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
    inject('bookmark-next');
    await failed;
    assert.notEqual(await plant.position(), Date.parse('2026-01-01T00:01:00Z') / 1000);
    await rm(directory);
    await done;
    assert.equal((await onRecord()).length, 1);
  });

  it('costs at most 64 posts more for a window, however many of its batches hold some', async () => {
    refuse = ({ value }) => Number(value) % 7 === 0;
    await plant.history(START, 600);
    const limits = { 'fetch-1': { readingsPerBatch: '180' }, 'bookmark-next': { longestMinutes: '10' } };
    await deploy(flow('setAside', limits), plant.credentials);
    const done = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
    inject('bookmark-next');
    await done;
    assert.equal(plant.cloud.exchanges.length, 1800 / 180 + 64);
    const aside = (await onRecord()).flatMap(({ refused }) =>
      refused.map(({ readings }) => Number(readings)),
    );
    assert.equal(plant.cloud.readings().length + aside.reduce((sum, readings) => sum + readings, 0), 1800);
  });
});
