/** Numbers of single precision as the shortest text that reads back as the same one. */

/** @param text of a double that a float32 was widened to: 0.10000000149011612 is 0.1 */
export function float32Text(text: string): string {
  // With so few digits there is nothing to shorten.
  if (text.length <= 7) return text;
  const wide = Number(text);
  // Nothing that a float32 was widened to: a column may have been altered meanwhile.
  if (Math.fround(wide) !== wide) return text;
  for (let digits = 6; digits < 9; digits++) {
    const shorter = Number(wide.toPrecision(digits));
    if (Math.fround(shorter) === wide) return String(shorter);
  }
  return String(Number(wide.toPrecision(9)));
}
