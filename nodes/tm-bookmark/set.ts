/** Action *set*: moves the bookmark by hand, backwards to send again or forwards to skip; on purpose, and logged. */
import { TmError } from '../../lib/errors';
import { SettingsReader, type RawSettings } from '../../lib/settings';
import { formatInstant, parseInstant } from '../../lib/window';
import type { Behaviour, ConnectorNode } from '../shared/node';
import type { Connections } from '../tm-config/connections';
import { timeOfDay } from './next';

export function setBehaviour(node: ConnectorNode, raw: RawSettings, connections: Connections): Behaviour {
  const name = new SettingsReader(raw).required('bookmark', 'the name of the bookmark to set');
  const { timeZone } = connections.settings;
  connections.store();
  return {
    async input(message, send) {
      const position = Math.floor(parseInstant(positionOf(message.payload), 'payload', timeZone));
      const bookmark = await connections.bookmark(name);
      const before = bookmark.position;
      await bookmark.set(position);
      connections.schedule(name)?.restarted();
      connections.openEndpoint?.forgetAccepted();
      node.log(
        `Bookmark "${name}" set by hand from ${before === undefined ? 'nothing' : formatInstant(before)} to ${formatInstant(position)}.`,
      );
      node.statusLine.show({ fill: 'green', shape: 'dot', text: `set ${timeOfDay(position, timeZone)}` });
      send({ ...message, payload: { position: formatInstant(position) } });
    },
  };
}

/** A time, or an object with one. */
function positionOf(payload: unknown): unknown {
  if (typeof payload !== 'object' || payload === null || payload instanceof Date) return payload;
  if ('position' in payload) return payload.position;
  throw new TmError(
    'TM_MESSAGE_INVALID',
    'To set a bookmark, send a time as the payload, such as "2026-01-31T12:00:00Z", or {position: "…"}.',
  );
}
