/**
 * Windows that several machines share: what comes in is put into a queue, what this machine takes out of it is
 * emitted, up to its own limit of windows at a time.
 */
import type { NodeAPI, NodeMessageInFlow } from 'node-red';
import type { Alarm } from '../../lib/alarm';
import { asTmError, SHORT_REASONS, TmError } from '../../lib/errors';
import type { BrokerAddress } from '../../lib/queue/broker-url';
import { Consumer } from '../../lib/queue/consumer';
import { checkBrokerPackages, openQueue } from '../../lib/queue/open';
import { Producer } from '../../lib/queue/producer';
import { queueName, type QueueListener, type WindowQueue } from '../../lib/queue/queue';
import { queueSettings, type QueueNodeSettings } from '../../lib/settings';
import { transfers, type Transfer } from '../../lib/transfer';
import { formatWindow, parseWindow } from '../../lib/window';
import { idsOf } from '../shared/message';
import { registerNode, type Behaviour, type ConnectorNode } from '../shared/node';
import { logDelivery } from '../shared/progress-log';
import { configOf, type Connections } from '../tm-config/connections';

type State = 'connecting' | 'ready' | 'working' | 'waiting' | 'unreachable';
const STATUS = {
  connecting: { fill: 'grey', shape: 'ring' },
  ready: { fill: 'green', shape: 'dot' },
  working: { fill: 'blue', shape: 'dot' },
  waiting: { fill: 'yellow', shape: 'ring' },
  unreachable: { fill: 'red', shape: 'ring' },
} as const satisfies Record<State, object>;

export = function register(RED: NodeAPI): void {
  registerNode(RED, 'tm-queue', (node, raw) => {
    const connections = configOf(RED, raw);
    const settings = queueSettings(raw);
    const broker = connections.broker();
    checkBrokerPackages(broker);
    const shared = new SharedWindows(node, connections, settings, broker);
    // What is taken is sent at once: not before the nodes that it is sent to exist.
    const start = (): void => {
      shared.take();
    };
    RED.events.once('flows:started', start);
    return {
      input: (message) => shared.input(message),
      async close() {
        RED.events.removeListener('flows:started', start);
        await shared.close();
      },
    };
  });
};

class SharedWindows implements Required<Behaviour> {
  readonly #node: ConnectorNode;
  readonly #connections: Connections;
  readonly #settings: QueueNodeSettings;
  readonly #broker: BrokerAddress;
  readonly #alarm: Alarm;
  readonly #consumer: Consumer;
  readonly #opening: Promise<{ queue: WindowQueue; producer: Producer }>;
  #producer: Producer | undefined;
  #connected: boolean | undefined;
  /** What windows that were taken wait for. */
  readonly #waiting = new Map<Transfer, string>();

  constructor(
    node: ConnectorNode,
    connections: Connections,
    settings: QueueNodeSettings,
    broker: BrokerAddress,
  ) {
    this.#node = node;
    this.#connections = connections;
    this.#settings = settings;
    this.#broker = broker;
    this.#alarm = connections.alarm(node);
    this.#consumer = new Consumer({
      transfers,
      bookmark: (name) => connections.bookmark(name),
      emit: (transfer) => {
        this.#emit(transfer);
      },
      onProblem: (error) => {
        node.problem(error);
      },
      onChange: () => {
        this.#showState();
      },
    });
    this.#opening = this.#open();
    this.#opening.catch((error: unknown) => {
      node.problem(asTmError(error, 'TM_SETTING_INVALID'));
    });
    this.#showState();
  }

  async input(message: NodeMessageInFlow): Promise<void> {
    const { transfer: id, bookmark, task } = idsOf(message);
    const known = transfers.get(id);
    const transfer = known?.ended ? undefined : known;
    // Its window failed, was cancelled, or belongs to before a redeploy: it is given out again.
    if (id !== undefined && !transfer && (bookmark ?? task) !== undefined) return;
    const { producer } = await this.#opening;
    if (transfer) await producer.hand(transfer);
    else {
      const window = parseWindow(message.payload, this.#connections.settings.timeZone);
      await producer.put({ window, owner: {} });
    }
  }

  take(): void {
    if (this.#settings.inFlight === 0) return;
    this.#opening.then(
      ({ queue }) => {
        queue.take(this.#settings.inFlight, (queued) => this.#consumer.deliver(queued));
      },
      () => undefined,
    );
  }

  async close(): Promise<void> {
    this.#producer?.close();
    this.#consumer.close(this.#connections.closed('tm-queue'));
    const opened = await this.#opening.catch(() => undefined);
    await opened?.queue.close();
    await this.#alarm.close();
  }

  async #open(): Promise<{ queue: WindowQueue; producer: Producer }> {
    const { queue: name } = this.#settings;
    const listener: QueueListener = {
      onDone: (key, done) => this.#producer?.done(key, done),
      onConnected: () => {
        this.#tellBroker(undefined);
        this.#producer?.connected();
      },
      onUnreachable: (error) => {
        this.#tellBroker(error);
      },
      onProblem: (error) => {
        this.#node.problem(error);
      },
    };
    const queue = await openQueue(
      this.#broker,
      { name: queueName(name, this.#connections.sourceId) },
      listener,
    );
    const producer = new Producer(queue, {
      bookmark: (bookmark) => this.#connections.bookmark(bookmark),
      onCommitted: (transfer) => {
        this.#connections.schedule(transfer.owner.bookmark ?? '')?.committed(transfer);
        transfers.forget(transfer);
      },
      onProblem: (error) => {
        this.#node.problem(error);
      },
      onBroker: (failure) => {
        this.#tellBroker(failure);
      },
    });
    this.#producer = producer;
    return { queue, producer };
  }

  #emit(transfer: Transfer): void {
    logDelivery(this.#node, transfer);
    transfer.onWaiting = (reason) => {
      if (reason === undefined) this.#waiting.delete(transfer);
      else this.#waiting.set(transfer, reason);
      this.#showState();
    };
    void transfer.outcome.then((outcome) => {
      this.#waiting.delete(transfer);
      if (outcome.state === 'failed' && outcome.error.code !== 'TM_CLOSED') {
        this.#node.statusLine.show({
          ...STATUS.waiting,
          text: `again: ${SHORT_REASONS[outcome.error.code]}`,
        });
      }
    });
    const tm = { transfer: transfer.id, ...transfer.owner };
    this.#node.send({ payload: { ...formatWindow(transfer.window) }, tm });
  }

  #tellBroker(failure: TmError | undefined): void {
    this.#connected = failure === undefined;
    if (failure) {
      const { code, message } = failure;
      const advice = `${message.replace(/\.$/, '')}. Windows wait until it does; nothing is lost.`;
      this.#alarm.raise(new TmError(code, advice, { cause: failure }));
    } else this.#alarm.recovered(`The broker ${this.#broker.place} takes windows again.`);
    this.#showState();
  }

  #showState(): void {
    const [reason] = this.#waiting.values();
    const { underWay } = this.#consumer;
    const show = (state: State, text: string): void => {
      this.#node.statusLine.show({ ...STATUS[state], text });
    };
    if (this.#connected === undefined) show('connecting', 'connecting');
    else if (!this.#connected) show('unreachable', SHORT_REASONS.TM_BROKER_UNREACHABLE);
    else if (reason !== undefined) show('waiting', `waiting: ${reason}`);
    else if (underWay > 0) show('working', `${underWay} under way`);
    else show('ready', 'ready');
  }
}
