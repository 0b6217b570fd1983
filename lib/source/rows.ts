/** Where an engine puts its rows, whatever protocol they came over: fields are ranges of bytes, nothing is copied. */
export interface RowSink {
  /**
   * Takes one row; what the columns mean is a plan made once per query.
   * @param bytes text of the fields in UTF-8; only valid during the call
   * @param starts where each field begins in `bytes`; -1 is NULL
   * @param ends where each field ends; both arrays are reused for the next row
   */
  row(bytes: Buffer, starts: Int32Array, ends: Int32Array): void;
}
