/** A bookmark's three actions: give out the next windows, commit a delivered one, set it by hand. */
import type { NodeAPI } from 'node-red';
import { bookmarkAction } from '../../lib/settings';
import { registerNode } from '../shared/node';
import { configOf } from '../tm-config/connections';
import { commitBehaviour } from './commit';
import { nextBehaviour } from './next';
import { setBehaviour } from './set';

const ACTIONS = { next: nextBehaviour, commit: commitBehaviour, set: setBehaviour } as const;

export = function register(RED: NodeAPI): void {
  registerNode(RED, 'tm-bookmark', (node, raw) =>
    ACTIONS[bookmarkAction(raw)](node, raw, configOf(RED, raw)),
  );
};
