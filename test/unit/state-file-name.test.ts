import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeName, encodeName } from '../../lib/state/file-name';

// At most 12 characters for each code point: never too long.
const anyName = fc.string({ unit: 'binary', minLength: 1, maxLength: 16 });

describe('a file name made of a bookmark name', () => {
  it('leaves a node id as it is', () => {
    assert.equal(encodeName('a1b2c3d4.e5f60718'.replace('.', '')), 'a1b2c3d4e5f60718');
  });

  it('stays readable', () => {
    assert.equal(encodeName('Plant A/K101'), '+plant%20+a%2f+k101');
  });

  it('gives back the name it was made of', () => {
    fc.assert(fc.property(anyName, (name) => assert.equal(decodeName(encodeName(name)), name)));
  });

  it('holds nothing but letters in one case, digits and signs that every file system takes', () => {
    fc.assert(fc.property(anyName, (name) => assert.match(encodeName(name), /^[a-z0-9_%+-]+$/)));
  });

  for (const [one, other] of [
    ['k101', 'K101'],
    ['+k', 'K'],
    ['é', 'e\u0301'],
    ['ß', 'SS'],
    ['a%20b', 'a b'],
  ] as const) {
    it(`tells "${one}" from "${other}" where case and form are not told apart`, () => {
      assert.notEqual(encodeName(one).toLowerCase().normalize(), encodeName(other).toLowerCase().normalize());
    });
  }

  for (const name of [
    'con',
    'CON',
    'nul',
    'com1',
    'lpt9',
    'aux.json',
    '..',
    '.',
    'a/../../b',
    'C:\\x',
    'x. ',
  ]) {
    it(`makes ${JSON.stringify(name)} harmless and gives it back`, () => {
      const encoded = encodeName(name);
      assert.doesNotMatch(encoded, /[/\\:. ]|^(?:con|prn|aux|nul|com\d|lpt\d)$/);
      assert.equal(decodeName(encoded), name);
    });
  }

  for (const [name, why] of [
    ['', 'is empty'],
    ['x'.repeat(201), 'is too long'],
    ['a\ud800b', 'holds half a character'],
  ] as const) {
    it(`refuses a name that ${why}`, () => {
      assert.throws(
        () => encodeName(name),
        (error: Error) =>
          error.message.includes(why) && 'code' in error && error.code === 'TM_SETTING_INVALID',
      );
    });
  }

  for (const foreign of ['Readme', 'a b', '%4B', '%', '%ff', '', '+', 'nul']) {
    it(`takes "${foreign}" for a file of somebody else's`, () => {
      assert.equal(decodeName(foreign), undefined);
    });
  }
});
