/**
 * What the log tells of the ordinary course of things: one line for each window that was delivered, one for each
 * change of how things stand. The fields beside the text are for logs that are read by machines.
 */
import type { Node } from 'node-red';
import type { Transfer } from '../../lib/transfer';
import { describeWindow } from '../../lib/window';

export function logDelivery(node: Node, transfer: Transfer): void {
  void transfer.outcome.then((outcome) => {
    // What failed is an error of its own.
    if (outcome.state === 'failed' || outcome.elsewhere) return;
    const { receipt } = outcome;
    const { readings, sensors, batches, duration_ms } = receipt;
    const what =
      readings === 0
        ? 'no readings'
        : `${counted(readings, 'reading')} of ${counted(sensors, 'sensor')} in ${counted(batches, 'batch', 'es')}`;
    const message = `${describeWindow(transfer.window)}: ${what}, ${(duration_ms / 1000).toFixed(1)} s`;
    node.log({ message, ...receipt, ...transfer.owner });
  });
}

function counted(number: number, what: string, plural = 's'): string {
  return `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : plural}`;
}

/** Says a state when it is not the one that was said last. */
export class StateLog {
  #said: string | undefined;

  constructor(private readonly node: Node) {}

  /** @param silentAtFirst what nobody needs to be told while nothing else has been said */
  show(state: string, silentAtFirst = false): void {
    if (state === this.#said) return;
    const first = this.#said === undefined;
    this.#said = state;
    if (!(first && silentAtFirst)) this.node.log({ message: state, state });
  }
}
