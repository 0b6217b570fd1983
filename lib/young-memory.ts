/**
 * Memory of Buffers lies outside V8's heap and is freed when their objects are collected: with the young ones, which
 * V8 does each time it has made 16 MB of objects. Bodies are 550 KB for an object of 100 bytes. Made one after the
 * other they would count towards the limit of the whole heap long before, which V8 then marks, every 70 ms while a
 * large window moves: a stall of 10 to 20 ms each time, and twice the CPU time.
 */

/** Of a size that V8 makes among the young objects, and not among the large ones. */
const MOST_BYTES = 64 * 1024;
const ELEMENT_BYTES = 8;

/** Where each is put, or it would not be made: what is compiled leaves out what nobody sees. */
const seen: { piece?: unknown } = {};

/** Makes as many bytes of objects that nobody keeps: the collection of a Buffer of that length comes as much sooner. */
export function countAsYoung(bytes: number): void {
  for (let left = bytes; left > 0; left -= MOST_BYTES)
    seen.piece = new Array<undefined>(Math.ceil(Math.min(left, MOST_BYTES) / ELEMENT_BYTES));
  seen.piece = undefined;
}
