import assert from 'node:assert/strict';
import { float32Text } from '../../lib/source/float32';
import { randomOf } from '../support/random';

describe('A number of single precision', () => {
  it('is the shortest text that reads back as it', () => {
    const cases = [
      [0.1, '0.1'],
      [-2.5, '-2.5'],
      [16777216, '16777216'],
      [123456.789, '123456.79'],
      [3.4e38, '3.4e+38'],
      [0, '0'],
    ] as const;
    for (const [number, text] of cases) assert.equal(float32Text(String(Math.fround(number))), text);
  });

  const seed = Date.now() % 1_000_000;
  it(`reads back as the same one, whatever it is (seed ${seed})`, () => {
    const random = randomOf(seed);
    const bits = new DataView(new ArrayBuffer(4));
    for (let tried = 0; tried < 20_000; tried++) {
      bits.setUint32(0, random() * 2 ** 32);
      const number = bits.getFloat32(0);
      if (!Number.isFinite(number)) continue;
      const text = float32Text(String(number));
      assert.equal(Math.fround(Number(text)), number);
      assert(text.replace(/[-.]|e.*/g, '').replace(/^0+|0+$/g, '').length <= 9, text);
    }
  });
});
