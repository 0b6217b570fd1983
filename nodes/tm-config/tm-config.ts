/** The config node: holds the connections that other nodes share, and answers the editor's *Test* buttons. */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { asTmError, type TmError } from '../../lib/errors';
import { closeWithin } from '../shared/node';
import { watched } from '../shared/watched';
import { Connections, type ConfigNode } from './connections';
import { serveTests } from './test-routes';
import { serveWatching } from './watch-routes';

export = function register(RED: NodeAPI): void {
  function TmConfigNode(this: Node, definition: NodeDef): void {
    RED.nodes.createNode(this, definition);
    let connections: Connections | undefined;
    let refusal: TmError | undefined;
    try {
      connections = new Connections(RED, this, { ...definition }, this.credentials);
    } catch (error) {
      refusal = asTmError(error, 'TM_SETTING_INVALID');
    }
    if (connections) watched.configs.add(connections);
    Object.assign(this, { connections, refusal, users: {} } satisfies Partial<ConfigNode>);
    this.on('close', (_removed: boolean, done: () => void) => {
      if (connections) watched.configs.delete(connections);
      void closeWithin(this, { close: () => connections?.close() }).then(done);
    });
  }
  RED.nodes.registerType('tm-config', TmConfigNode, {
    credentials: {
      databaseUrl: { type: 'password' },
      endpointKey: { type: 'password' },
      requestKey: { type: 'password' },
      stateUrl: { type: 'password' },
      brokerUrl: { type: 'password' },
    },
  });
  serveTests(RED);
  serveWatching(RED);
};
