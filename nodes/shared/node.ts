/**
 * What every node type does alike: settings checked at deploy, each message ended exactly once, nothing thrown
 * out of a listener, a close that always finishes. The node types themselves are only their own work.
 */
import type { Node, NodeAPI, NodeDef, NodeMessage, NodeMessageInFlow } from 'node-red';
import { SHORT_REASONS, TmError, asTmError } from '../../lib/errors';
import type { RawSettings } from '../../lib/settings';
import { settlesWithin } from '../../lib/signals';
import { transfers } from '../../lib/transfer';
import { idsOf } from './message';
import { StatusLine } from './status';
import { watched } from './watched';

/** One message or undefined per output, as Node-RED's `send` takes them. */
export type Send = (messages: NodeMessage | (NodeMessage | undefined)[]) => void;

export interface Behaviour {
  /** Resolves when the message is done with; what it throws is reported once, with the message, to Catch. */
  input?(message: NodeMessageInFlow, send: Send): Promise<void> | void;
  /** Must end within seconds whatever hangs: a redeploy waits for it. */
  close?(): Promise<void> | void;
}

export interface ConnectorNode extends Node {
  /** Shows a status; see {@link StatusLine}. */
  readonly statusLine: StatusLine;
  /** Reports what no message can: to Catch, where `payload` goes with it, or else to the log. */
  problem(error: TmError, payload?: object): void;
}

/** A stop has interrupted what nothing does again after it. Other TM_CLOSED are of no concern to anybody. */
export class Interrupted extends TmError {
  constructor(message: string) {
    super('TM_CLOSED', message);
  }
}

/** Well inside the 15 s that Node-RED allows. */
const CLOSE_WITHIN_MS = 5_000;

/**
 * @param open checks the settings and gives the node's behaviour; what it throws is shown on the node at deploy,
 *   and every message is answered with it
 * @param whileRefused what else a message needs then, such as an answer for whoever waits for one
 */
export function registerNode(
  RED: NodeAPI,
  type: string,
  open: (node: ConnectorNode, raw: RawSettings) => Behaviour,
  whileRefused: NonNullable<Behaviour['input']> = () => undefined,
): void {
  function constructNode(this: Node, definition: NodeDef): void {
    RED.nodes.createNode(this, definition);
    const statusLine = new StatusLine(this);
    const node: ConnectorNode = Object.assign(this, {
      statusLine,
      problem: (error: TmError, payload?: object) => {
        this.error(error, payload === undefined ? {} : { payload });
      },
    });
    let behaviour: Behaviour;
    try {
      behaviour = open(node, { ...definition });
    } catch (thrown) {
      behaviour = refusing(RED, node, asTmError(thrown, 'TM_SETTING_INVALID'), whileRefused);
    }
    node.on('input', (message, send, done) => {
      void endOnce(node, message, behaviour, send as Send, done);
    });
    node.on('close', (_removed: boolean, done: () => void) => {
      statusLine.close();
      void closeWithin(node, behaviour).then(done);
    });
  }
  RED.nodes.registerType(type, constructNode);
}

async function endOnce(
  node: Node,
  message: NodeMessageInFlow,
  behaviour: Behaviour,
  send: Send,
  done: (error?: Error) => void,
): Promise<void> {
  let failure: TmError | undefined;
  try {
    await behaviour.input?.(message, send);
  } catch (thrown) {
    failure = asTmError(thrown, 'TM_MESSAGE_INVALID');
  }
  // The Catch nodes of the flow may be closed by now, and swallow it.
  if (failure instanceof Interrupted) node.warn(failure.message);
  // Outside the try: what a Complete or Catch flow does with it is not this message's failure.
  // What a stop interrupted is done again after it: not a failure that anybody should look into.
  if (failure && (failure.code !== 'TM_CLOSED' || failure instanceof Interrupted)) done(failure);
  else done();
}

/**
 * A node whose settings are wrong: says so at deploy, and again to each message. Not to those of a window, which is
 * sent again by itself, for as long as it takes.
 */
function refusing(
  RED: NodeAPI,
  node: ConnectorNode,
  error: TmError,
  whileRefused: NonNullable<Behaviour['input']>,
): Behaviour {
  node.status({ fill: 'red', shape: 'ring', text: SHORT_REASONS[error.code] });
  watched.refusals.add(error);
  // Catch nodes are wired up only when all nodes exist.
  const report = (): void => {
    node.problem(error);
  };
  RED.events.once('flows:started', report);
  return {
    async input(message, send) {
      await whileRefused(message, send);
      // Its window is not delivered, whoever else has taken it.
      const transfer = transfers.get(idsOf(message).transfer);
      if (!transfer) throw error;
      transfer.fail(error);
    },
    close: () => {
      watched.refusals.delete(error);
      RED.events.removeListener('flows:started', report);
    },
  };
}

/** Closes in the time that a redeploy may take; what takes longer goes on in the background. */
export async function closeWithin(node: Node, behaviour: Pick<Behaviour, 'close'>): Promise<void> {
  try {
    const closing = Promise.resolve(behaviour.close?.());
    if (await settlesWithin(CLOSE_WITHIN_MS, closing)) await closing;
    else node.warn(`Closing took longer than ${CLOSE_WITHIN_MS / 1000} s and goes on in the background.`);
  } catch (error) {
    node.warn(`Closing failed: ${asTmError(error, 'TM_CLOSED').message}`);
  }
}
