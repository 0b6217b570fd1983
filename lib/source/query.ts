/** What is read: settings of a tm-fetch, in plain JSON. The same object is planned once. */

/** A table or view in one of its shapes, or the user's own SQL. */
export type ReadingsQuery = LongQuery | WideQuery | SqlQuery;

/** A row is a reading of a sensor, or a reading of several values of it. */
export interface LongQuery extends TableQuery, Selection {
  readonly shape?: 'long';
  readonly sensorColumn: string;
  /** Of several, each is a sensor of its own: `<sensor>.<column>`. */
  readonly valueColumn: string | readonly string[];
}

/** A row is the readings of all sensors at a time, each in a column of its own; NULL is no reading. */
export interface WideQuery extends TableQuery, Selection {
  readonly shape: 'wide';
  /** Empty: all numeric columns. */
  readonly valueColumns: readonly string[];
  /** A sensor is called by this and its column. */
  readonly prefix: string;
}

interface TableQuery {
  readonly from: 'table';
  /** `table` or `schema.table`; parts may be quoted with double quotes. */
  readonly table: string;
  readonly timestampColumn: string;
}

export interface SqlQuery extends Selection {
  readonly from: 'sql';
  /** Holds `:start_time` and `:end_time`; its columns are timestamp, value and sensor or sensor_id. */
  readonly sql: string;
}

/** What of the rows is posted, and how; the same for every shape. */
interface Selection {
  /** Names of sensors, exact or with the wildcards `*` and `?`; empty: all. */
  readonly sensors?: readonly string[];
  /** Names, or wildcards, of sensors that are left out. */
  readonly exclude?: readonly string[];
  /** What sensors are posted as: `[name in the database, name there]`. */
  readonly rename?: readonly (readonly [from: string, to: string])[];
  /** Rows are read where the column holds one of the texts or numbers. */
  readonly quality?: { readonly column: string; readonly accepted: readonly string[] };
  /** Columns that go along with each reading under a name. */
  readonly extras?: readonly { readonly column: string; readonly name: string }[];
  /** Windows, their order and edges are of this time column; readings keep their own timestamp. */
  readonly trackBy?: string;
  /** Of number columns of time; found out from the newest where it is not said. */
  readonly epochUnit?: EpochUnit;
}

export type EpochUnit = 's' | 'ms' | 'us' | 'ns';
