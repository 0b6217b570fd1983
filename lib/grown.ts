/** Room for more: as they are where they have it, else twice as large at least, with what they held. */

type Numbers = Int32Array<ArrayBuffer>;

export function grownBytes(bytes: Buffer, length: number): Buffer {
  if (length <= bytes.length) return bytes;
  const larger = Buffer.allocUnsafeSlow(Math.max(bytes.length * 2, length));
  bytes.copy(larger);
  return larger;
}

export function grownNumbers(numbers: Numbers, length: number): Numbers {
  if (length <= numbers.length) return numbers;
  const larger = new Int32Array(Math.max(numbers.length * 2, length));
  larger.set(numbers);
  return larger;
}
