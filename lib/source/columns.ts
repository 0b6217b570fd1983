/** How a source hands its rows on: their column types once, then each row as ranges of bytes. */

/** How the values of a column are written as JSON. */
export type ValueKind = 'number' | 'integer' | 'decimal' | 'boolean' | 'text';

/** Whether timestamps carry an offset, or are wall-clock readings of the source's zone. */
export type TimestampKind = 'instant' | 'naive';

export interface ReadingColumns {
  readonly timestamp: TimestampKind;
  readonly value: ValueKind;
}

/** Takes the rows of a source; fields are byte ranges of `source`, a start of -1 is NULL. */
export interface ReadingSink {
  add(
    source: Buffer,
    timestampStart: number,
    timestampEnd: number,
    sensorStart: number,
    sensorEnd: number,
    valueStart: number,
    valueEnd: number,
  ): void;
}
