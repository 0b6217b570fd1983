/** MySQL's and MariaDB's types as their protocol tells them (MySQL Internals, "Column Definition"). */
import type { FieldPacket } from 'mysql2';
import type { ColumnInfo, ColumnKind } from './columns';

interface MysqlType {
  readonly name: string;
  readonly kind: ColumnKind;
}

const TYPES: Readonly<Record<number, MysqlType>> = {
  0: { name: 'decimal', kind: 'decimal' },
  // Of integers an expression may be wider than the column in it.
  1: { name: 'tinyint', kind: 'integer' },
  2: { name: 'smallint', kind: 'integer' },
  3: { name: 'int', kind: 'integer' },
  4: { name: 'float', kind: 'number' },
  5: { name: 'double', kind: 'number' },
  7: { name: 'timestamp', kind: 'instant' },
  8: { name: 'bigint', kind: 'integer' },
  9: { name: 'mediumint', kind: 'integer' },
  // A date is its midnight.
  10: { name: 'date', kind: 'naive' },
  11: { name: 'time', kind: 'text' },
  12: { name: 'datetime', kind: 'naive' },
  13: { name: 'year', kind: 'integer' },
  16: { name: 'bit', kind: 'integer' },
  245: { name: 'json', kind: 'text' },
  246: { name: 'decimal', kind: 'decimal' },
};
const FLOAT = 4;
const JSON_TYPE = 245;
const FIRST_OF_TEXTS = 247;
/** The character set of what has none. */
const BINARY = 63;
/** Digits behind the point: as many as there are. */
const NOT_FIXED = 31;

/** What mysql2 says of a column beyond what its types declare. */
interface Field extends FieldPacket {
  readonly columnType?: number;
  readonly characterSet?: number;
}

export function mysqlColumn(field: FieldPacket): ColumnInfo {
  const { name, decimals, columnType = 0, characterSet }: Field = field;
  const type = TYPES[columnType];
  if (columnType === FLOAT && decimals !== NOT_FIXED) return { name, type: 'fixed float', kind: 'number' };
  if (type) return { name, type: type.name, kind: type.kind };
  const bytes = columnType >= FIRST_OF_TEXTS && columnType !== JSON_TYPE && characterSet === BINARY;
  return { name, type: bytes ? 'binary' : 'text', kind: 'text' };
}

/** Whether it is a float with all of its digits, which is selected as a double. */
export function isFloat32({ type }: ColumnInfo): boolean {
  return type === 'float';
}
