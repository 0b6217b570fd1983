/**
 * What the endpoint refused for good: onto the record, to output 2, and, where it holds its window, into an
 * error. A window that is held is sent again and again: what is said of it is said once.
 */
import type { NodeMessageInFlow } from 'node-red';
import type { RefusedReadings } from '../../lib/endpoint/delivery';
import { TmError } from '../../lib/errors';
import type { PostBody } from '../../lib/payload';
import { rejectedPiece, type PostedRange, type RejectedPiece, type RejectedRanges } from '../../lib/rejected';
import type { PostSettings } from '../../lib/settings';
import type { Transfer } from '../../lib/transfer';
import { formatWindow } from '../../lib/window';
import type { Send } from '../shared/node';

/** How much of the cloud's words goes into an error. */
const QUOTED = 3;

const STATES = { hold: 'held', setAside: 'set aside' } as const;

/** By every tm-post that a window goes to: it is on record once. */
const refusedOf = new WeakMap<Transfer, RejectedPiece[]>();

export class Refusals {
  constructor(
    readonly rejected: RejectedRanges,
    readonly setting: PostSettings['refused'],
  ) {}

  /**
   * Resolves when they are on record.
   * @throws TmError TM_READINGS_REFUSED where they hold their window; `said` is false the first time
   */
  async take(
    refused: readonly RefusedReadings[],
    posted: { readonly body: PostBody; readonly transfer: Transfer | undefined },
    message: NodeMessageInFlow,
    send: Send,
  ): Promise<void> {
    const { transfer } = posted;
    const pieces = [...((transfer && refusedOf.get(transfer)) ?? []), ...refused.map(rejectedPiece)];
    if (transfer) refusedOf.set(transfer, pieces);
    const isNews = await this.rejected.note(rangeOf(posted), pieces, STATES[this.setting]);
    const held = this.setting === 'hold';
    const repeated = held && transfer?.sentAgainBy !== undefined;
    if (isNews || !repeated) for (const piece of refused) send([undefined, messageOf(piece, message, held)]);
    if (held) throw new ReadingsHeld(refused, isNews, repeated);
  }

  /** A window, or a message by itself, is delivered; what was set aside of it is not. */
  async delivered(posted: {
    readonly body: PostBody;
    readonly transfer: Transfer | undefined;
  }): Promise<void> {
    const { transfer } = posted;
    if (transfer && refusedOf.has(transfer)) return;
    // The readings have arrived: whatever is wrong with the record, that is no failure of theirs.
    await this.rejected.delivered(rangeOf(posted)).catch(() => undefined);
  }
}

export class ReadingsHeld extends TmError {
  constructor(
    refused: readonly RefusedReadings[],
    /** Not said before. */
    readonly isNews: boolean,
    /** Its window is sent again by itself. */
    repeated: boolean,
  ) {
    const said = refused
      .slice(0, QUOTED)
      .map(
        ({ status, answer, start_time, end_time }) => `${status} for ${start_time} to ${end_time}: ${answer}`,
      );
    super(
      'TM_READINGS_REFUSED',
      `The endpoint refused ${readingsIn(refused)} readings for good (${said.join('; ')}). ${repeated ? 'The window is held and sent again: mend' : 'They are not sent again by themselves, output 2 has them: send them again when you have mended'} the readings or the endpoint, or let tm-post set refused readings aside.`,
    );
  }
}

export function readingsIn(refused: readonly RefusedReadings[]): number {
  return refused.reduce((sum, { readings }) => sum + readings, 0);
}

/** Without `tm` and `parts`: it stands for itself, and can be sent to tm-post or tm-fetch at any later time. */
function messageOf(
  { body, readings, status, answer }: RefusedReadings,
  { tm: _tm, parts: _parts, ...rest }: NodeMessageInFlow,
  held: boolean,
): NodeMessageInFlow {
  const payload = JSON.parse(body.toString()) as unknown;
  return { ...rest, ...{ payload, readings, statusCode: status, answer, held } };
}

function rangeOf({ body, transfer }: { body: PostBody; transfer: Transfer | undefined }): PostedRange {
  const { start_time, end_time, sensors } = body;
  return transfer
    ? { ...formatWindow(transfer.window), owner: transfer.owner, sensors: transfer.sensors }
    : { start_time, end_time, owner: {}, sensors };
}
