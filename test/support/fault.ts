/** Something breaks while windows are being delivered, and is mended: what every such test looks at. */
import assert from 'node:assert/strict';
import type { Exchange } from '../../scripts/start/cloud';
import { parseInstant } from '../../lib/window';
import { deploy, inject, messageWhere, type FlowMessage } from './flow';
import type { Plant } from './plant';
import { until } from './until';

export const START = '2026-01-01T00:00:00Z';
/** Windows of ten minutes: three of them are delivered before the fault, three behind it. */
const WINDOW_MINUTES = 10;
const BEFORE = '2026-01-01T00:30:00Z';
const AFTER = '2026-01-01T01:00:00Z';

export interface Fault {
  /** While the last window before the fault is on its way to the cloud. */
  readonly strike: () => Promise<unknown>;
  /** What is reported, once. */
  readonly code: string;
  readonly mend: () => Promise<unknown>;
  /** Changes of the flow, by node id. */
  readonly nodes?: Readonly<Record<string, object>>;
}

/** To be given to {@link usePlant}: calls what the test sets as the cloud takes a post. */
export class Moment {
  onPost: ((exchange: Exchange) => Promise<unknown>) | undefined;
  readonly respond = async (exchange: Exchange): Promise<undefined> => {
    await this.onPost?.(exchange);
  };
}

/**
 * Asserts that the fault neither moves the bookmark nor ends anything, is reported once, and that delivery goes
 * on by itself, from the one message at the beginning, until all has arrived.
 */
export async function survives(
  plant: Plant,
  moment: Moment,
  { strike, code, mend, nodes = {} }: Fault,
): Promise<void> {
  await plant.history(START, 3600);
  const flow = plant.flow({
    ...nodes,
    'bookmark-next': {
      start: 'date',
      startDate: START,
      longestMinutes: String(WINDOW_MINUTES),
      ...nodes['bookmark-next'],
    },
  });
  let struck = false;
  moment.onPost = async ({ posted }) => {
    if (struck || posted?.end_time !== BEFORE) return;
    struck = true;
    await strike();
  };
  await deploy(flow, plant.credentials);
  const errors: (string | undefined)[] = [];
  const failed = messageWhere('errors', (message) => {
    const { code: said } = message.error as { code?: string };
    errors.push(said);
    return said === code;
  });
  const done = messageWhere('committed', endsAt(AFTER));
  inject('bookmark-next');
  await failed;
  await until(async () => (await plant.position()) === parseInstant(BEFORE, 'test', 'UTC'));
  await mend();
  await done;
  await plant.assertAllArrived();
  assert.equal(plant.cloud.received().conflicts, 0);
  assert.deepEqual(errors, [code], 'one report for the fault, not one per attempt');
}

function endsAt(end: string): (message: FlowMessage) => boolean {
  return ({ payload }) => (payload as { end_time: string }).end_time === end;
}
