/**
 * Action *commit*: moves the bookmark past a delivered window. Takes tm-post's receipts, or tm-fetch's own batches
 * where a user's sink stands between: then a window is delivered when its last batch has come through.
 */
import type { NodeMessageInFlow } from 'node-red';
import { asTmError, TmError } from '../../lib/errors';
import { SettingsReader, type RawSettings } from '../../lib/settings';
import { everyReceiver, transfers, type Transfer } from '../../lib/transfer';
import { describeWindow, parseWindow, type Window } from '../../lib/window';
import { batchPartOf, idsOf, type BatchPart, type MessageIds } from '../shared/message';
import type { Behaviour, ConnectorNode, Send } from '../shared/node';
import type { Connections } from '../tm-config/connections';
import { timeOfDay } from './next';

/** A window's end is rounded up to a second, and may be told by the database's clock. */
const CLOCKS_APART_SECONDS = 60;

export function commitBehaviour(node: ConnectorNode, raw: RawSettings, connections: Connections): Behaviour {
  const ownName = new SettingsReader(raw).text('bookmark');
  const { timeZone } = connections.settings;
  connections.store();

  const commit = async (name: string, window: Window, from: 'issued' | 'by-hand'): Promise<void> => {
    if (from === 'by-hand' && window.end > Date.now() / 1000 + CLOCKS_APART_SECONDS) {
      throw new TmError(
        'TM_WINDOW_INVALID',
        `The window ${describeWindow(window)} ends in the future: what comes until then was not read, and the bookmark "${name}" does not move past it. Send a window that is over.`,
      );
    }
    const bookmark = await connections.bookmark(name);
    await bookmark.commit(window, from);
    const { position } = bookmark;
    node.statusLine.show(
      position === undefined
        ? { fill: 'yellow', shape: 'ring', text: 'waits for a start' }
        : { fill: 'green', shape: 'dot', text: `at ${timeOfDay(position, timeZone)}` },
    );
    node.debug(`Bookmark "${name}": ${describeWindow(window)} committed.`);
  };

  /** What the last commit failed with. */
  let failedWith = '';

  /** @returns whether it is; where the same failure was said before, it is not said again */
  const commitTransfer = async (delivered: Transfer, name: string): Promise<boolean> => {
    try {
      if (ownName !== '' && ownName !== name) {
        throw new TmError(
          'TM_MESSAGE_INVALID',
          `The window ${describeWindow(delivered.window)} belongs to the bookmark "${name}", but this tm-bookmark (commit) is set to "${ownName}". Clear its bookmark name, or set the same one.`,
        );
      }
      await commit(name, delivered.window, delivered.owner.bookmark === undefined ? 'by-hand' : 'issued');
    } catch (thrown) {
      const error = asTmError(thrown, 'TM_STATE_WRITE');
      // Its window is sent again.
      delivered.onCommit?.(error);
      const isSaid = error.code === failedWith;
      failedWith = error.code;
      if (isSaid) return false;
      throw error;
    }
    failedWith = '';
    delivered.onCommit?.(undefined);
    connections.schedule(name)?.committed(delivered);
    return true;
  };

  /** Windows that other nodes have batches of, with the last message that came of each. */
  const waiting = new WeakMap<Transfer, { message: NodeMessageInFlow; send: Send }>();

  const passOn = async (delivered: Transfer, message: NodeMessageInFlow, send: Send): Promise<void> => {
    waiting.delete(delivered);
    const name = delivered.owner.bookmark ?? ownName;
    if (name === '' || (await commitTransfer(delivered, name))) send(message);
  };

  /** All batches may have come through here before another node, a tm-post beside the sink, has delivered its own. */
  const passOnWhenDelivered = (transfer: Transfer, message: NodeMessageInFlow, send: Send): void => {
    const isFirst = !waiting.has(transfer);
    waiting.set(transfer, { message, send });
    if (!isFirst) return;
    void transfer.outcome.then(async ({ state }) => {
      const last = waiting.get(transfer);
      if (state === 'failed' || !last) return;
      await passOn(transfer, last.message, last.send).catch((thrown: unknown) => {
        node.problem(asTmError(thrown, 'TM_STATE_WRITE'));
      });
    });
  };

  return {
    async input(message, send) {
      const ids = idsOf(message);
      const part = batchPartOf(message);
      if (part) {
        part.sequence.arrived(part.index, node.id);
        await everyReceiver();
        settle(part, message, node.id);
      }
      const delivered = deliveredTransfer(ids, part);
      if (delivered === 'not yet') {
        if (part && ids.task === undefined) passOnWhenDelivered(part.transfer, message, send);
        return;
      }
      // A task never moves a schedule's bookmark, nor does what is left over from before a redeploy.
      if (delivered === 'not a bookmark') {
        send(message);
        return;
      }
      if (delivered) {
        await passOn(delivered, message, send);
        return;
      }
      if (isOwnReceipt(message.payload, ids)) {
        send(message);
        return;
      }
      if (ids.transfer === undefined || ownName !== '') {
        await commit(requireName(ids.bookmark ?? ownName), parseWindow(message.payload, timeZone), 'by-hand');
      }
      // Else a window that was sent to tm-fetch by hand, such as a range that had been refused: nothing moves.
      send(message);
    },
  };
}

/** The batch has gone through a sink of the user's own. */
function settle(
  { sequence, index }: BatchPart,
  { readings, payload }: NodeMessageInFlow & { readings?: unknown },
  receiver: string,
): void {
  sequence.settle(index, receiver, {
    readings: typeof readings === 'number' ? readings : 0,
    bytes: Buffer.isBuffer(payload) ? payload.length : 0,
  });
}

/** What the message says was delivered: a transfer, `undefined` for a window built by hand, or why it is neither. */
function deliveredTransfer(
  ids: MessageIds,
  part: BatchPart | undefined,
): Transfer | 'not yet' | 'not a bookmark' | undefined {
  if (ids.transfer === undefined) return ids.task === undefined ? undefined : 'not a bookmark';
  const transfer = part?.transfer ?? transfers.get(ids.transfer);
  if (ids.task !== undefined) return transfer && !transfer.ended ? 'not yet' : 'not a bookmark';
  if (!transfer) return ids.bookmark === undefined ? undefined : 'not a bookmark';
  if (!transfer.ended) return 'not yet';
  return transfer.ended.state === 'delivered' ? transfer : 'not a bookmark';
}

/** Of what a source of the user's own sent to tm-post: its span of time is not a window that was read. */
function isOwnReceipt(payload: unknown, ids: MessageIds): boolean {
  const isReceipt = typeof payload === 'object' && payload !== null && 'batches' in payload;
  return isReceipt && ids.transfer === undefined && ids.bookmark === undefined;
}

function requireName(name: string): string {
  if (name !== '') return name;
  throw new TmError(
    'TM_MESSAGE_INVALID',
    'The message names no bookmark (msg.tm.bookmark), and this tm-bookmark (commit) has no bookmark name. Set one to commit windows built by hand.',
  );
}
