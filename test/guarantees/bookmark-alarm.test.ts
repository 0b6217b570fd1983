/** A bookmark that does not move is said once on Catch, with since when and what to do, and once when it moves. */
import assert from 'node:assert/strict';
import type { AlarmNotice } from '../../lib/alarm';
import type { Reply } from '../../scripts/start/cloud';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  redeploy,
  useNodeRed,
  type FlowMessage,
} from '../support/flow';
import { usePlant } from '../support/plant';

const START = '2026-01-01T00:00:00Z';
const noticeOf = ({ payload }: FlowMessage): AlarmNotice => payload as AlarmNotice;
const withCode =
  (code: string) =>
  ({ error, payload }: FlowMessage): boolean =>
    (error as { code: string }).code === code &&
    (payload as Partial<AlarmNotice>).alarm === 'TM_BOOKMARK_STANDS_STILL';

describe('A bookmark that stands still', function () {
  this.timeout(60_000);
  useNodeRed();
  let reply: Reply | undefined;
  const plant = usePlant({ respond: () => reply });
  const flow = () => plant.flow({ 'bookmark-next': { alarmMinutes: 0.02 } });

  for (const restarted of [false, true]) {
    it(`is said once, and its end once${restarted ? ', also where a restart has mended it' : ''}`, async () => {
      await plant.history(START, 60);
      reply = { status: 503 };
      await deploy(flow(), plant.credentials);
      const said = collect('errors');
      const raised = messageWhere('errors', withCode('TM_BOOKMARK_STANDS_STILL'));
      inject('bookmark-next');
      const { since, message } = noticeOf(await raised);
      assert.match(message, /"plant" has not moved .* from 2026-01-01T00:00:00Z/);
      reply = undefined;
      if (restarted) await redeploy(flow(), plant.credentials);
      const recovered = messageWhere('errors', withCode('TM_RECOVERED'));
      if (restarted) inject('bookmark-next');
      const notice = noticeOf(await recovered);
      assert.equal(notice.state, 'recovered');
      assert.equal(notice.since, since);
      assert.equal(said.filter(withCode('TM_BOOKMARK_STANDS_STILL')).length, 1);
      assert.match(notice.message, /The bookmark "plant" moves again\./);
    });
  }
});
