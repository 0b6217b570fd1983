import assert from 'node:assert/strict';
import { Alarm, type AlarmNotice } from '../../lib/alarm';
import { TmError } from '../../lib/errors';
import { FileStore } from '../../lib/state/file-store';
import type { StateStore } from '../../lib/state/store';
import { testDirectory } from '../support/directory';

const HOLD = new TmError('TM_ENDPOINT_HOLD', 'The endpoint takes no readings. Check the key.');
const FULL = new TmError('TM_STATE_WRITE', 'The disk is full.');
const AGAIN = 'The endpoint takes readings again.';

describe('An alarm', () => {
  const directory = testDirectory();
  let said: { code: string; notice: AlarmNotice }[] = [];
  let now = Date.parse('2026-01-31T12:00:00.250Z');
  beforeEach(() => {
    said = [];
  });

  const alarmOver = (store: StateStore): Alarm =>
    new Alarm('post-1 endpoint', {
      store,
      report: (error, notice) => {
        assert.equal(error.message, notice.message);
        said.push({ code: error.code, notice });
      },
      now: () => now,
    });
  const open = (): Alarm => alarmOver(new FileStore(directory.path));
  const states = (): string[] => said.map(({ notice }) => notice.state);

  it('is given once, with since when and what to do, and once when it is over', async () => {
    const alarm = open();
    for (let time = 0; time < 3; time++) alarm.raise(HOLD);
    now += 60_000;
    for (let time = 0; time < 3; time++) alarm.recovered(AGAIN);
    await alarm.close();
    assert.deepEqual(said, [
      {
        code: 'TM_ENDPOINT_HOLD',
        notice: {
          ...{ alarm: 'TM_ENDPOINT_HOLD', state: 'raised', since: '2026-01-31T12:00:00Z' },
          message: `${HOLD.message} Since 2026-01-31T12:00:00Z.`,
        },
      },
      {
        code: 'TM_RECOVERED',
        notice: {
          ...{ alarm: 'TM_ENDPOINT_HOLD', state: 'recovered' },
          ...{ since: '2026-01-31T12:00:00Z', until: '2026-01-31T12:01:00Z' },
          message: `${AGAIN} It was TM_ENDPOINT_HOLD from 2026-01-31T12:00:00Z to 2026-01-31T12:01:00Z.`,
        },
      },
    ]);
  });

  it('is not over before it was given', async () => {
    const alarm = open();
    alarm.recovered(AGAIN);
    await alarm.close();
    assert.deepEqual(said, []);
  });

  it('that a restart mended is over all the same, once', async () => {
    const before = open();
    before.raise(HOLD);
    await before.close();
    for (let start = 0; start < 2; start++) {
      const alarm = open();
      alarm.recovered(AGAIN);
      await alarm.close();
    }
    assert.deepEqual(states(), ['raised', 'recovered']);
  });

  it('that a restart did not mend is given once more, since the first time', async () => {
    for (let start = 0; start < 2; start++) {
      const alarm = open();
      alarm.raise(HOLD);
      await alarm.close();
      now += 3_600_000;
    }
    assert.deepEqual(states(), ['raised', 'raised']);
    assert.equal(said[0]?.notice.since, said[1]?.notice.since);
  });

  it('is given again when it comes again', async () => {
    const alarm = open();
    for (let time = 0; time < 2; time++) {
      alarm.raise(HOLD);
      alarm.recovered(AGAIN);
    }
    await alarm.close();
    assert.deepEqual(states(), ['raised', 'recovered', 'raised', 'recovered']);
  });

  it('is given though the store fails', async () => {
    const fail = (): Promise<never> => Promise.reject(FULL);
    const alarm = alarmOver({ read: fail, write: fail, update: fail, remove: fail, list: fail, close: fail });
    alarm.raise(HOLD);
    alarm.recovered(AGAIN);
    await alarm.close();
    assert.deepEqual(states(), ['raised', 'recovered']);
  });
});
