/** Action *next window*: on any message, the windows that are due, one after another until caught up. */
import type { NodeMessage } from 'node-red';
import { asTmError, SHORT_REASONS } from '../../lib/errors';
import { Schedule, type ScheduleSettings, type ScheduleState } from '../../lib/schedule';
import { scheduleSettings, SettingsReader, type RawSettings } from '../../lib/settings';
import { transfers } from '../../lib/transfer';
import { formatWindow } from '../../lib/window';
import { toLocal } from '../../lib/zone';
import type { Behaviour, ConnectorNode, Send } from '../shared/node';
import { logDelivery, StateLog } from '../shared/progress-log';
import { watched } from '../shared/watched';
import type { Connections } from '../tm-config/connections';

const STATUS = {
  'caught-up': { fill: 'green', shape: 'dot' },
  behind: { fill: 'blue', shape: 'ring' },
  standby: { fill: 'grey', shape: 'ring' },
  waiting: { fill: 'yellow', shape: 'ring' },
} as const satisfies Record<ScheduleState['state'], object>;

export function nextBehaviour(node: ConnectorNode, raw: RawSettings, connections: Connections): Behaviour {
  const { timeZone } = connections.settings;
  const settings = scheduleSettings(raw, timeZone);
  const name = bookmarkName(raw, node.id);
  const source = connections.source();
  // Opened here: what is wrong with its store is said at deploy, not at the first message.
  const alarm = connections.alarm(node);
  let opening: Promise<Schedule> | undefined;
  let schedule: Schedule | undefined;
  let closed = false;
  /** Why it could not be opened, as it was said. */
  let saidOfOpening = '';
  let heartbeat: NodeMessage = {};
  let sendOn: Send = () => undefined;

  const stateLog = new StateLog(node);
  const watch = {
    name,
    waitingFor: undefined as string | undefined,
    get standing() {
      return schedule?.standing;
    },
  };
  watched.bookmarks.add(watch);

  const open = async (): Promise<Schedule> => {
    const bookmark = await connections.bookmark(name);
    if (closed) throw connections.closed('tm-bookmark');
    const opened = new Schedule(bookmark, settings, {
      clock: () => source.clock(),
      oldest: () => connections.oldest(),
      emit: (transfer) => {
        const tm = { transfer: transfer.id, bookmark: name };
        logDelivery(node, transfer);
        sendOn({ ...heartbeat, payload: { ...formatWindow(transfer.window) }, tm });
      },
      onState: (state) => {
        node.statusLine.show({ ...STATUS[state.state], text: describeState(state, timeZone) });
        watch.waitingFor = state.state === 'waiting' ? state.reason : undefined;
        stateLog.show(`Bookmark "${name}": ${stateForLog(state, settings)}`);
      },
      onProblem: (error) => {
        node.problem(error);
      },
      onStandstill: (error) => {
        if (error) alarm.raise(error);
        else alarm.recovered(`The bookmark "${name}" moves again.`);
      },
      onWarning: (message) => {
        node.warn(message);
      },
      transfers,
    });
    connections.addSchedule(name, opened);
    schedule = opened;
    return opened;
  };

  return {
    async input(message, send) {
      // Windows are emitted long after this message is done: each carries its other properties.
      const { payload: _payload, parts: _parts, tm: _tm, ...rest } = message;
      heartbeat = rest;
      sendOn = send;
      opening ??= open();
      let opened: Schedule;
      try {
        opened = await opening;
      } catch (thrown) {
        opening = undefined;
        const error = asTmError(thrown, 'TM_STATE_UNREADABLE');
        watch.waitingFor = SHORT_REASONS[error.code];
        node.statusLine.show({ ...STATUS.waiting, text: `waiting: ${watch.waitingFor}` });
        // Tried again with each heartbeat, and said once.
        if (error.message === saidOfOpening) return;
        saidOfOpening = error.message;
        throw error;
      }
      saidOfOpening = '';
      await opened.heartbeat();
    },
    close() {
      closed = true;
      watched.bookmarks.delete(watch);
      if (schedule) connections.removeSchedule(name, schedule);
      schedule?.close();
      return Promise.all([schedule?.bookmark.release(), alarm.close()]).then(() => undefined);
    },
  };
}

/** The bookmark's name as the user gave it, or the node's id. */
function bookmarkName(raw: RawSettings, nodeId: string): string {
  return new SettingsReader(raw).text('bookmark', nodeId);
}

/** `caught up 12:01:00`, `3 h 12 min behind`, `standby: process 17 on plant-7`, `waiting: endpoint 503` */
function describeState(state: ScheduleState, timeZone: string): string {
  switch (state.state) {
    case 'caught-up':
      return `caught up ${timeOfDay(state.position, timeZone)}`;
    case 'behind':
      return `${duration(state.seconds)} behind`;
    case 'standby':
      return `standby: ${state.behind}`;
    case 'waiting':
      return `waiting: ${state.reason}`;
  }
}

/** Without what changes all the time. A bookmark that is one window behind is as good as caught up. */
function stateForLog(state: ScheduleState, { intervalSeconds, longestSeconds }: ScheduleSettings): string {
  switch (state.state) {
    case 'caught-up':
      return 'caught up';
    case 'behind':
      return state.seconds < intervalSeconds + longestSeconds ? 'caught up' : 'behind';
    case 'standby':
      return `standby, ${state.behind} gives out its windows`;
    case 'waiting':
      return `waiting: ${state.reason}`;
  }
}

export function timeOfDay(seconds: number, timeZone: string): string {
  return new Date(toLocal(seconds, timeZone) * 1000).toISOString().slice(11, 19);
}

function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}
