/**
 * Posts each batch with retries. Output 1: one receipt per window, when its last batch is accepted, by every node
 * that it goes to. Output 2: what the cloud refused for good.
 */
import type { NodeAPI, NodeMessageInFlow } from 'node-red';
import { searchBudget, type SearchBudget } from '../../lib/endpoint/delivery';
import type { Delivery, EndpointState } from '../../lib/endpoint/endpoint';
import { SHORT_REASONS, asTmError, type TmError } from '../../lib/errors';
import { postBody, type PostBody } from '../../lib/payload';
import { postSettings } from '../../lib/settings';
import { withSignals } from '../../lib/signals';
import { everyReceiver, transfers, type Receipt, type Transfer } from '../../lib/transfer';
import { Turns } from '../../lib/turns';
import { describeWindow } from '../../lib/window';
import { batchPartOf, idsOf, type BatchPart } from '../shared/message';
import { Interrupted, registerNode, type Send } from '../shared/node';
import { StateLog } from '../shared/progress-log';
import { configOf } from '../tm-config/connections';
import { ReadingsHeld, readingsIn, Refusals } from './refusals';

type State = 'posting' | 'posted' | 'waiting' | 'hold' | 'failed' | 'refused';
const STATUS = {
  posting: { fill: 'blue', shape: 'dot' },
  posted: { fill: 'green', shape: 'dot' },
  waiting: { fill: 'yellow', shape: 'ring' },
  hold: { fill: 'red', shape: 'ring' },
  failed: { fill: 'red', shape: 'ring' },
  refused: { fill: 'red', shape: 'dot' },
} as const satisfies Record<State, object>;

interface Posted {
  readonly message: NodeMessageInFlow;
  readonly send: Send;
  readonly body: PostBody;
}

export = function register(RED: NodeAPI): void {
  registerNode(RED, 'tm-post', (node, raw) => {
    const connections = configOf(RED, raw);
    const settings = postSettings(raw);
    const endpoint = connections.endpoint();
    const { timestampFormat, timeZone } = connections.settings;
    const turns = new Turns(settings.inFlight);
    const closing = new AbortController();
    const refusals = new Refusals(connections.rejected(), settings.refused);
    /** The endpoint holds, or is away for longer than the attempts last. */
    const alarm = connections.alarm(node);
    /** How many more posts may look for refused readings, shared by a window's batches. */
    const searches = new WeakMap<Transfer, SearchBudget>();
    const searchOf = (part: BatchPart | undefined): SearchBudget => {
      const search = (part && searches.get(part.transfer)) ?? searchBudget();
      if (part) searches.set(part.transfer, search);
      return search;
    };

    /** Of each window that this node has batches of: the last batch, whose message becomes the receipt. */
    const latest = new WeakMap<Transfer, Posted>();
    const receipts = new WeakMap<Transfer, Promise<void>>();

    let lateSaid = false;
    const stateLog = new StateLog(node);
    const showState = ({ state, reason }: EndpointState): void => {
      stateLog.show(state === 'ok' ? 'Endpoint: ok' : `Endpoint: ${state}: ${reason}`, state === 'ok');
      if (state !== 'ok') node.statusLine.show({ ...STATUS[state], text: `${state}: ${reason}` });
      if (endpoint.held) alarm.raise(endpoint.held);
    };

    /** @returns what was delivered; what was refused for good has gone to output 2 */
    const deliver = (body: PostBody, message: NodeMessageInFlow, send: Send, part: BatchPart | undefined) =>
      withSignals(part ? [closing.signal, part.transfer.signal] : [closing.signal], (signal) =>
        turns.run(signal, async (): Promise<Delivery> => {
          part?.sequence.started(part.index, node.id);
          node.statusLine.show({ ...STATUS.posting, text: `posting ${turns.running}` });
          // An empty window is delivered by posting nothing.
          if (body.readings === 0) return { readings: 0, bytes: 0, posts: 0, refused: [] };
          const delivery = await endpoint.deliver(body, {
            source: connections.sourceId,
            attempts: settings.attempts,
            largestBodyBytes: settings.largestBodyBytes,
            signal,
            sentAgainBy: part?.transfer.sentAgainBy,
            toSendAgain: part ? 'send its window to tm-fetch again' : 'send the message again',
            refused: settings.refused,
            search: searchOf(part),
            onState: (state) => {
              showState(state);
              part?.transfer.onWaiting?.(state.state === 'ok' ? undefined : state.reason);
            },
          });
          if (endpoint.state.state === 'ok')
            alarm.recovered(`The endpoint ${endpoint.address} takes readings again.`);
          if (delivery.refused.length > 0) {
            const text = `refused ${readingsIn(delivery.refused)}`;
            node.statusLine.show({ ...STATUS.refused, text });
            await refusals.take(delivery.refused, { body, transfer: part?.transfer }, message, send);
          }
          return delivery;
        }),
      );

    return {
      async input(message, send) {
        const { transfer: id } = idsOf(message);
        // Where its window was delivered without this batch (it has come late), nobody sends it again: it is
        // posted by itself.
        const late = transfers.wasDelivered(id);
        const part = late ? undefined : batchPartOf(message);
        // Its window failed, was cancelled, or belongs to before a redeploy: it is read again from the start.
        if (id !== undefined && !late && (!part || part.transfer.ended)) return;
        if (late && !lateSaid) {
          lateSaid = true;
          node.warn(
            'A batch came after its window was delivered by another node. It is posted all the same, but not sent again after a restart: wire this node to tm-fetch without anything slow between.',
          );
        }
        part?.sequence.arrived(part.index, node.id);
        const startedAt = performance.now();
        try {
          const body =
            (part && batchBody(message)) ?? postBody(message.payload, { timestampFormat, timeZone });
          const delivery = await deliver(body, message, send, part);
          if (part) {
            const { sequence, index, transfer } = part;
            await everyReceiver();
            latest.set(transfer, { message, send, body });
            const receipt = receiptOf(transfer);
            sequence.settle(index, node.id, delivery);
            if (transfer.ended) await receipt;
          } else {
            const { start_time, end_time, sensors } = body;
            const { readings, posts, bytes } = delivery;
            const duration_ms = Math.round(performance.now() - startedAt);
            if (delivery.refused.length === 0) await refusals.delivered({ body, transfer: undefined });
            sendReceipt(message, send, {
              start_time,
              end_time,
              readings,
              sensors: sensors.length,
              batches: posts,
              bytes,
              duration_ms,
            });
          }
        } catch (thrown) {
          const error = asTmError(thrown, 'TM_ENDPOINT_UNAVAILABLE');
          // Another batch of the window has failed and been reported.
          if (part?.transfer.ended) return;
          const stopped = closing.signal.aborted || error.code === 'TM_CLOSED';
          if (stopped && part?.transfer.sentAgainBy !== undefined) {
            part.transfer.fail(connections.closed('tm-post'));
            return;
          }
          part?.transfer.fail(error);
          if (error.code === 'TM_CLOSED') throw new Interrupted(interrupted(part));
          if (error.code !== 'TM_READINGS_REFUSED') {
            const state = error.code === 'TM_ENDPOINT_HOLD' ? STATUS.hold : STATUS.failed;
            node.statusLine.show({ ...state, text: SHORT_REASONS[error.code] });
          }
          if (!part || !isSaid(error, part)) throw error;
        }
      },
      async close() {
        closing.abort(connections.closed('tm-post'));
        await alarm.close();
      },
    };

    /** Resolves when the window has ended, and its receipt is sent where it was delivered. */
    function receiptOf(transfer: Transfer): Promise<void> {
      const known = receipts.get(transfer);
      if (known) return known;
      const receipt = transfer.outcome.then(async (outcome) => {
        const posted = latest.get(transfer);
        if (!posted || outcome.state !== 'delivered' || outcome.elsewhere) return;
        await refusals.delivered({ body: posted.body, transfer });
        sendReceipt(posted.message, posted.send, outcome.receipt);
      });
      // Where another node has the last batch, no message of this one waits for it.
      receipt.catch((thrown: unknown) => {
        node.problem(asTmError(thrown, 'TM_MESSAGE_INVALID'));
      });
      receipts.set(transfer, receipt);
      return receipt;
    }

    /** A window of a bookmark or a task is sent again: what it fails with is said once, not at each attempt. */
    function isSaid(error: TmError, { transfer }: BatchPart): boolean {
      if (transfer.sentAgainBy === undefined) return false;
      if (error instanceof ReadingsHeld) return !error.isNews;
      if (error.code !== 'TM_ENDPOINT_HOLD' && error.code !== 'TM_ENDPOINT_UNAVAILABLE') return false;
      alarm.raise(error);
      return true;
    }

    function sendReceipt(message: NodeMessageInFlow, send: Send, receipt: Receipt): void {
      const {
        parts: _parts,
        readings: _readings,
        ...rest
      } = message as NodeMessageInFlow & { readings?: unknown };
      node.statusLine.show({ ...STATUS.posted, text: `${receipt.readings.toLocaleString('en-US')} posted` });
      send([{ ...rest, payload: receipt }, undefined]);
    }
  });
};

function interrupted(part: BatchPart | undefined): string {
  return part
    ? `The flow was stopped before the window ${describeWindow(part.transfer.window)} was posted. It was built by hand and is not sent again by itself: send it to tm-fetch again.`
    : 'The flow was stopped before this message was posted. It is not sent again by itself: send it again.';
}

const BATCH_HEAD = /^\{"start_time":"([^"]+)","end_time":"([^"]+)","data":\{/;
const EMPTY_BATCH_END = '"data":{}}';

/** A body as tm-fetch makes it is posted unread: parsing each would cost more than the rest of its way. */
function batchBody(message: NodeMessageInFlow): PostBody | undefined {
  const { payload, readings } = message as NodeMessageInFlow & { readings?: unknown };
  if (!Buffer.isBuffer(payload) || typeof readings !== 'number') return undefined;
  const head = BATCH_HEAD.exec(payload.toString('latin1', 0, 200));
  const [, start_time, end_time] = head ?? [];
  if (start_time === undefined || end_time === undefined) return undefined;
  const empty = payload.toString('latin1', payload.length - EMPTY_BATCH_END.length) === EMPTY_BATCH_END;
  return { start_time, end_time, body: payload, readings: empty ? 0 : Math.max(1, readings), sensors: [] };
}
