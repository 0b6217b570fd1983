import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import helper from 'node-red-node-test-helper';
import type { NodeInitializer } from 'node-red';
import { nodeRedMain, nodeRedVersion } from '../support/node-red';

const requireFromNodeRed = createRequire(nodeRedMain());
const coreNode = (file: string) => requireFromNodeRed(`@node-red/nodes/core/${file}`) as NodeInitializer;

describe(`Node-RED ${nodeRedVersion()} on Node.js ${process.version}`, () => {
  before(() => {
    helper.init(nodeRedMain());
  });
  beforeEach(async () => {
    await new Promise<void>((resolve) => helper.startServer(resolve));
  });
  afterEach(async () => {
    await helper.unload();
    await new Promise<void>((resolve) => helper.stopServer(resolve));
  });

  it('is the one that the test helper runs', () => {
    const { version } = helper.settings({}) as { version?: string };
    // Inside a git checkout Node-RED says so after its version.
    assert.equal(version?.replace(/-git$/, ''), nodeRedVersion());
  });

  it('carries a message through core nodes', async () => {
    const flow = [
      { id: 'n1', type: 'inject', props: [{ p: 'payload', v: '1', vt: 'num' }], wires: [['n2']] },
      { id: 'n2', type: 'change', rules: [{ t: 'set', p: 'topic', to: 'changed' }], wires: [['n3']] },
      { id: 'n3', type: 'helper', wires: [] },
    ];
    await helper.load([coreNode('common/20-inject.js'), coreNode('function/15-change.js')], flow);

    const arrival = once(helper.getNode('n3'), 'input');
    helper.getNode('n1').receive({});
    const [message] = (await arrival) as [{ payload: unknown; topic: unknown }];
    assert.equal(message.payload, 1);
    assert.equal(message.topic, 'changed');
  });
});
