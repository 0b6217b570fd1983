import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { instanceOf } from '../../nodes/tm-config/instance';

const named = (get: unknown): string => instanceOf({ settings: { get } } as never);

describe('The name of a Node-RED among others with the same flow', () => {
  it("is the id of Node-RED's own", () => {
    assert.equal(
      named((name: string) => (name === 'instanceId' ? '0a1b2c3d4e5f6071' : undefined)),
      '0a1b2c3d4e5f6071',
    );
  });

  it('is that of the host where Node-RED keeps no settings', () => {
    for (const get of [
      undefined,
      () => undefined,
      () => '',
      () => {
        throw new Error('Settings not available');
      },
    ])
      assert.equal(named(get), hostname());
  });
});
