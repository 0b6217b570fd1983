/** Messages between the nodes: plain JSON; the live objects behind the ids in `msg.tm` stay inside lib/. */
import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { transfers, type Sequence, type Transfer } from '../../lib/transfer';

/** Ids alone, so that cloning a message does no harm. */
export interface MessageIds {
  readonly transfer?: string;
  readonly bookmark?: string;
  readonly task?: string;
}

/** The ids that a message carries; users may have put anything there. */
export function idsOf(message: NodeMessage): MessageIds {
  const { tm } = message;
  if (typeof tm !== 'object' || tm === null) return {};
  const id = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const { transfer, bookmark, task }: Partial<Record<keyof MessageIds, unknown>> = tm;
  const ids = { transfer: id(transfer), bookmark: id(bookmark), task: id(task) };
  return Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== undefined));
}

/** One batch of a transfer's sequence, where the message is one. */
export interface BatchPart {
  readonly transfer: Transfer;
  readonly sequence: Sequence;
  readonly index: number;
}

export function batchPartOf(message: NodeMessageInFlow): BatchPart | undefined {
  const transfer = transfers.get(idsOf(message).transfer);
  const { parts } = message;
  if (!transfer || parts === undefined || typeof parts.index !== 'number') return undefined;
  const sequence = transfer.sequence(parts.id);
  return sequence && { transfer, sequence, index: parts.index };
}
