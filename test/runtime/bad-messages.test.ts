import assert from 'node:assert/strict';
import { collect, deploy, inject, messageWhere, useNodeRed, type FlowNode } from '../support/flow';
import { usePlant } from '../support/plant';

interface CaughtError {
  readonly code: string;
  readonly message: string;
  readonly source: { readonly id: string };
}

/** Sends each nonsense, expects one error with the message, then that the good one still works. */
describe('A message with nonsense gives one clear error through Catch, and the next one works', () => {
  useNodeRed();
  const plant = usePlant();
  const hour = { start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-01T01:00:00Z' };

  const cases: {
    readonly node: string;
    readonly good: object;
    readonly nonsense: readonly (readonly [message: object, code: string, says: RegExp])[];
  }[] = [
    {
      node: 'fetch-1',
      good: { payload: hour },
      nonsense: [
        [{}, 'TM_WINDOW_INVALID', /object \{start_time, end_time\}/],
        [{ payload: 17 }, 'TM_WINDOW_INVALID', /the payload is 17/],
        [{ payload: [] }, 'TM_WINDOW_INVALID', /object/],
        [{ payload: { start_time: hour.start_time } }, 'TM_WINDOW_INVALID', /end_time is missing/],
        [
          { payload: { start_time: hour.end_time, end_time: hour.start_time } },
          'TM_WINDOW_INVALID',
          /"2026-01-01T01:00:00Z" is not before/,
        ],
        [{ payload: { ...hour, end_time: 'yesterday' } }, 'TM_WINDOW_INVALID', /"yesterday"/],
        [
          { payload: { ...hour, end_time: '2026-02-30T00:00:00Z' } },
          'TM_WINDOW_INVALID',
          /does not exist|date that exists/,
        ],
        [{ payload: { start_time: {}, end_time: [] } }, 'TM_WINDOW_INVALID', /start_time/],
      ],
    },
    {
      node: 'post-1',
      good: { payload: [{ sensor: 'K101.TAG_1', timestamp: '2026-01-01T00:00:00Z', value: 1 }] },
      nonsense: [
        [{}, 'TM_MESSAGE_INVALID', /the payload is undefined/],
        [{ payload: 'no json' }, 'TM_MESSAGE_INVALID', /no JSON: "no json"/],
        [{ payload: Buffer.from('{"start') }, 'TM_MESSAGE_INVALID', /no JSON/],
        [{ payload: [] }, 'TM_MESSAGE_INVALID', /empty array/],
        [{ payload: [17] }, 'TM_MESSAGE_INVALID', /payload\[0\] is 17/],
        [
          { payload: [{ sensor: {}, timestamp: 1, value: 1 }] },
          'TM_MESSAGE_INVALID',
          /sensor must be a text/,
        ],
        [
          { payload: [{ sensor: 'a', timestamp: 'noon', value: 1 }] },
          'TM_MESSAGE_INVALID',
          /payload\[0\]\.timestamp.*"noon"/,
        ],
        [
          { payload: [{ sensor: 'a', timestamp: 1, value: {} }] },
          'TM_MESSAGE_INVALID',
          /payload\[0\]\.value/,
        ],
        [{ payload: { ...hour, data: [] } }, 'TM_MESSAGE_INVALID', /data is \[\]/],
        [{ payload: { ...hour, data: { a: 1 } } }, 'TM_MESSAGE_INVALID', /data\["a"\] is 1/],
      ],
    },
    {
      node: 'bookmark-commit',
      good: { payload: hour, tm: { bookmark: 'other' } },
      nonsense: [
        [{ payload: hour }, 'TM_MESSAGE_INVALID', /names no bookmark/],
        [{ payload: 'x', tm: { bookmark: 'other' } }, 'TM_WINDOW_INVALID', /the payload is "x"/],
      ],
    },
    {
      node: 'bookmark-set',
      good: { payload: '2026-01-01T00:00:00Z' },
      nonsense: [
        [{}, 'TM_WINDOW_INVALID', /missing/],
        [{ payload: 'soon' }, 'TM_WINDOW_INVALID', /"soon"/],
        [{ payload: {} }, 'TM_MESSAGE_INVALID', /send a time/],
      ],
    },
  ];

  const flow = (): FlowNode[] => [
    ...plant.flow(),
    {
      id: 'bookmark-set',
      type: 'tm-bookmark',
      config: 'cfg-1',
      action: 'set',
      bookmark: 'other',
      wires: [['completed']],
    },
    {
      id: 'complete-all',
      type: 'complete',
      scope: ['fetch-1', 'post-1', 'bookmark-commit', 'bookmark-set'],
      wires: [['completed']],
    },
    { id: 'completed', type: 'helper' },
  ];

  for (const { node, good, nonsense } of cases) {
    it(node, async () => {
      await plant.history('2026-01-01T00:00:00Z', 10);
      await deploy(flow(), plant.credentials);
      const errors = collect('errors');
      for (const [message, code, says] of nonsense) {
        errors.length = 0;
        const caught = messageWhere('errors', () => true);
        inject(node, { ...message, mark: 'kept' });
        const { error, mark } = await caught;
        const { source, ...reported } = error as CaughtError;
        assert.equal(reported.code, code, reported.message);
        assert.match(reported.message, says);
        assert.equal(source.id, node);
        assert.equal(mark, 'kept', 'Catch gets the message that failed');
        assert.equal(errors.length, 1);
      }
      errors.length = 0;
      const completed = messageWhere('completed', () => true);
      inject(node, good);
      await completed;
      assert.deepEqual(errors, []);
    });
  }
});
