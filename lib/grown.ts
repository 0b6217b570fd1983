/** Room for more: as they are where they have it, else twice as large at least, with what they held. */

/** What places in it are counted with. */
const MOST = 2 ** 31 - 1;

type Numbers = Int32Array<ArrayBuffer>;

export function grownBytes(bytes: Buffer, length: number): Buffer {
  if (length <= bytes.length) return bytes;
  if (length > MOST) throw new RangeError('More than 2 GB of readings have one timestamp.');
  const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(bytes.length * 2, length), MOST));
  bytes.copy(larger);
  return larger;
}

export function grownNumbers(numbers: Numbers, length: number): Numbers {
  if (length <= numbers.length) return numbers;
  const larger = new Int32Array(Math.max(numbers.length * 2, length));
  larger.set(numbers);
  return larger;
}
