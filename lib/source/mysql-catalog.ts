/** What the information schema of MySQL and MariaDB says of tables, as far as its user may read them. */
import { TmError } from '../errors';
import type { ColumnInfo } from './columns';
import type { Cells } from './engine';
import { mysqlDialect } from './mysql-dialect';
import type { TableInfo } from './source';
import { bound, join, raw, sql, type Sql } from './sql-text';
import { tableName } from './table-name';

const MOST_TABLES = 1000;
const SYSTEM = raw("('information_schema', 'mysql', 'performance_schema', 'sys')");

/** Runs statements on one connection. */
export interface Catalog {
  readonly rows: (statement: Sql) => Promise<readonly Cells[]>;
  readonly describe: (statement: Sql) => Promise<ColumnInfo[]>;
}

export async function mysqlTables({ rows }: Catalog): Promise<string[]> {
  const found = await rows(
    sql`SELECT IF(table_schema = DATABASE(), NULL, table_schema), table_name FROM information_schema.tables
         WHERE table_schema NOT IN ${SYSTEM}
         ORDER BY table_schema <> DATABASE(), table_schema, table_name LIMIT ${raw(String(MOST_TABLES))}`,
  );
  return found.map(([schema = null, name]) => tableName([...(schema === null ? [] : [schema]), name ?? '']));
}

/** @throws TmError TM_QUERY_FAILED where there is no such table, or none that the user may see */
export async function mysqlTable(catalog: Catalog, parts: readonly string[]): Promise<TableInfo> {
  const name = parts.at(-1) ?? '';
  const schema = parts.length > 1 ? text(parts[0] ?? '') : raw('DATABASE()');
  const here = sql`table_schema = ${schema} AND table_name = ${text(name)}`;
  const [relation] = await catalog.rows(
    sql`SELECT table_type, table_schema, table_name FROM information_schema.tables WHERE ${here}`,
  );
  if (!relation || parts.length > 2) {
    throw new TmError(
      'TM_QUERY_FAILED',
      `There is no table ${tableName(parts)}, or its user may not see it. Check its name and database.`,
    );
  }
  const types = await catalog.rows(
    sql`SELECT column_name, column_type FROM information_schema.columns WHERE ${here} ORDER BY ordinal_position`,
  );
  const names = types.map(([column]) => raw(mysqlDialect.quote(column ?? '')));
  const quoted = raw(parts.map((part) => mysqlDialect.quote(part)).join('.'));
  const columns = await catalog.describe(sql`SELECT ${join(names, ', ')} FROM ${quoted} WHERE 1 = 0`);
  // An index of the beginnings of texts has no order of the whole ones.
  const indexed = await catalog.rows(
    sql`SELECT index_name, IF(sub_part IS NULL, column_name, NULL) FROM information_schema.statistics
         WHERE ${here} AND index_type = 'BTREE' ORDER BY index_name, seq_in_index`,
  );
  const indexes = new Map<string, string[]>();
  for (const [index = null, column = null] of indexed) {
    if (index !== null) indexes.set(index, [...(indexes.get(index) ?? []), column ?? '']);
  }
  return {
    isView: relation[0] !== 'BASE TABLE',
    columns: columns.map((column, index) => ({ ...column, type: types[index]?.[1] ?? column.type })),
    indexes: [...indexes].map(([index, of]) => ({ name: index, columns: of })),
  };
}

function text(value: string): Sql {
  return bound({ as: 'text', value });
}
