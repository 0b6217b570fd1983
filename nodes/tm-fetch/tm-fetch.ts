/** Reads a window from the database as a stream and emits it as batches, held back while the downstream is busy. */
import type { NodeAPI, NodeMessageInFlow } from 'node-red';
import type { Batch, ReadingCounts } from '../../lib/batch';
import { SHORT_REASONS, asTmError, type TmErrorCode } from '../../lib/errors';
import { readBatches } from '../../lib/reading';
import { fetchSettings, type FetchSettings } from '../../lib/fetch-settings';
import { STALL_SAID_AFTER_SECONDS, transfers, type Sequence, type Transfer } from '../../lib/transfer';
import { describeWindow, parseWindow } from '../../lib/window';
import { idsOf } from '../shared/message';
import { Interrupted, registerNode, type ConnectorNode, type Send } from '../shared/node';
import { servePreview } from './preview-route';
import { logDelivery } from '../shared/progress-log';
import { configOf, type Connections } from '../tm-config/connections';

/** A body larger than this is cut by time before tm-post, which may cut further. */
const LARGEST_BATCH_BYTES = 5_000_000;

type State = 'reading' | 'waiting' | 'read' | 'failed';
const STATUS = {
  reading: { fill: 'blue', shape: 'dot' },
  waiting: { fill: 'yellow', shape: 'ring' },
  read: { fill: 'green', shape: 'dot' },
  failed: { fill: 'red', shape: 'ring' },
} as const satisfies Record<State, object>;

export = function register(RED: NodeAPI): void {
  servePreview(RED);
  registerNode(RED, 'tm-fetch', (node, raw) => {
    const connections = configOf(RED, raw);
    const settings = fetchSettings(raw);
    const source = connections.source();
    connections.addReader(node.id, settings.query);
    const own = new Set<Transfer>();
    /** Windows that are not sent again by themselves, and that the close of this node has ended. */
    const interrupted = new WeakSet<Transfer>();
    /** What reading fails with, said already: windows are tried again and again until it is mended. */
    let failing: TmErrorCode | undefined;
    return {
      async input(message, send) {
        const transfer = transferFor(message, connections.settings.timeZone);
        own.add(transfer);
        try {
          await read(node, connections, settings, { message, send, transfer });
          if (failing) node.log('Reading goes on.');
          failing = undefined;
        } catch (thrown) {
          const error = asTmError(thrown, 'TM_QUERY_FAILED');
          if (interrupted.has(transfer)) {
            throw new Interrupted(
              `The flow was stopped before the window ${describeWindow(transfer.window)} was read. It was built by hand and is not sent again by itself: send it again.`,
            );
          }
          // A window that failed elsewhere, or was cancelled, has been reported there.
          if (transfer.ended) return;
          transfer.fail(error);
          node.statusLine.show({ ...STATUS.failed, text: SHORT_REASONS[error.code] });
          const said = error.code === failing;
          failing = error.code;
          // Who built a window by hand is told each time: nothing tries it again.
          if (!said || transfer.sentAgainBy === undefined) throw error;
        } finally {
          own.delete(transfer);
        }
      },
      close() {
        connections.removeReader(node.id);
        for (const transfer of own) {
          if (transfer.sentAgainBy === undefined && !transfer.ended) interrupted.add(transfer);
          transfer.fail(connections.closed('tm-fetch'));
        }
      },
    };

    function transferFor(message: NodeMessageInFlow, timeZone: string): Transfer {
      const known = transfers.get(idsOf(message).transfer);
      if (known && !known.ended) return known;
      // Built by hand, or left over from before a redeploy: the window itself says what to read.
      const transfer = transfers.issue(parseWindow(message.payload, timeZone));
      logDelivery(node, transfer);
      return transfer;
    }

    async function read(
      reader: ConnectorNode,
      { settings: config }: Connections,
      { query, readingsPerBatch, nullValues, output }: FetchSettings,
      { message, send, transfer }: { message: NodeMessageInFlow; send: Send; transfer: Transfer },
    ): Promise<void> {
      const sequence = transfer.open();
      let readings = 0;
      reader.statusLine.show({ ...STATUS.reading, text: 'reading' });
      const sendBatch = (batch: Batch, count: number | undefined): void => {
        readings += batch.readings;
        const index = sequence.send(batch.newSensors, count);
        send({
          ...message,
          payload: output === 'body' ? batch.body : (JSON.parse(batch.body.toString()) as unknown),
          readings: batch.readings,
          parts: { id: sequence.id, index, ...(count === undefined ? {} : { count }) },
          tm: { ...idsOf(message), transfer: transfer.id },
        });
      };
      const summary = await readBatches(
        source,
        query,
        {
          window: transfer.window,
          timeZone: config.timeZone,
          timestampFormat: config.timestampFormat,
          readingsPerBatch,
          nullValues,
          maxBytes: LARGEST_BATCH_BYTES,
        },
        {
          room: () => roomSaying(reader, sequence),
          send: sendBatch,
          onTimeout: () => {
            reader.statusLine.show({ ...STATUS.waiting, text: SHORT_REASONS.TM_QUERY_TIMEOUT });
          },
          onNarrowed: (seconds) => {
            reader.warn(
              `The query took longer than the statement timeout. Windows are read in parts of ${seconds} s, and in longer ones when that is quick; nothing is lost. Is there an index on the timestamp column?`,
            );
          },
        },
        transfer.signal,
      );
      warnOf(reader, summary.counts);
      reader.statusLine.show({ ...STATUS.read, text: `${readings.toLocaleString('en-US')} readings` });
    }

    async function roomSaying(reader: ConnectorNode, sequence: Sequence): Promise<void> {
      const timer = setTimeout(() => {
        reader.statusLine.show({ ...STATUS.waiting, text: 'waiting downstream' });
      }, STALL_SAID_AFTER_SECONDS * 1000).unref();
      await sequence.room();
      clearTimeout(timer);
    }
  });
};

/** Once a window: what was not posted as it stands in the table. */
function warnOf(node: ConnectorNode, counts: ReadingCounts): void {
  const { notFinite, withoutSensor, withoutTimestamp, doubledHour } = counts;
  if (notFinite > 0) {
    node.warn(`${notFinite} values were NaN or infinite; JSON has no such numbers, they were sent as null.`);
  }
  if (withoutSensor > 0) node.warn(`${withoutSensor} rows had no sensor (NULL); they were not sent.`);
  if (withoutTimestamp > 0) {
    node.warn(`${withoutTimestamp} rows had no timestamp (NULL, or none of a calendar); they were not sent.`);
  }
  if (doubledHour > 0) {
    node.warn(
      `${doubledHour} readings are of an hour that the clocks of the time zone show twice; they were sent as of its first pass.`,
    );
  }
}
