import assert from 'node:assert/strict';
import { loadDriver, loadFirstDriver } from '../../lib/source/driver';

const MISSING = 'tm-no-such-driver';
const ANOTHER = 'tm-another-driver';
const missing = (): Promise<string> => import(MISSING) as Promise<string>;

describe('A driver that only some users need', () => {
  it('is asked for with the command that installs it', async () => {
    await assert.rejects(loadDriver(MISSING, missing), {
      code: 'TM_SETTING_INVALID',
      message: new RegExp(`Run "npm install ${MISSING}"`),
    });
    await assert.rejects(
      loadFirstDriver({ [MISSING]: missing, [ANOTHER]: () => import(ANOTHER) as Promise<string> }),
      {
        message:
          /needs the driver tm-no-such-driver or tm-another-driver, .*Run "npm install tm-another-driver"/,
      },
    );
  });

  it('is the first of several that is there and loads', async () => {
    const broken = () => Promise.reject(new Error('compiled against a different Node.js version'));
    assert.equal(
      await loadFirstDriver({ [MISSING]: missing, broken, one: () => Promise.resolve('one') }),
      'one',
    );
    await assert.rejects(loadFirstDriver({ broken, [MISSING]: missing }), /different Node.js version/);
  });

  it('that lacks a package of its own says so itself', async () => {
    await assert.rejects(loadDriver('mysql2', missing), {
      code: /MODULE_NOT_FOUND/,
      message: /tm-no-such-driver/,
    });
  });
});
