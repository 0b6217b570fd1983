/** What SQLite's schema says of tables. */
import { TmError } from '../errors';
import type { ColumnInfo } from './columns';
import type { Cells } from './engine';
import { sqliteDialect } from './sqlite-dialect';
import type { IndexInfo, TableInfo } from './source';
import { bound, raw, sql, type Sql } from './sql-text';
import { tableName } from './table-name';

/** Runs statements on one file. */
export interface Catalog {
  readonly rows: (statement: Sql) => Promise<readonly Cells[]>;
  readonly describe: (statement: Sql) => Promise<ColumnInfo[]>;
}

export async function sqliteTables({ rows }: Catalog): Promise<string[]> {
  const found = await rows(
    sql`SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY 1`,
  );
  return found.map(([name]) => tableName([name ?? '']));
}

/** @throws TmError TM_QUERY_FAILED where there is no such table */
export async function sqliteTable({ rows, describe }: Catalog, parts: readonly string[]): Promise<TableInfo> {
  const table = text(parts.at(-1) ?? '');
  const schema = text(parts.length > 1 ? (parts[0] ?? '') : 'main');
  const [relation] = await rows(
    sql`SELECT type, wr FROM pragma_table_list(${table}) WHERE schema = ${schema}`,
  );
  if (!relation) {
    throw new TmError(
      'TM_QUERY_FAILED',
      `There is no table ${tableName(parts)} in the file. Check its name.`,
    );
  }
  const quoted = raw(parts.map((part) => sqliteDialect.quote(part)).join('.'));
  const columns = await describe(sql`SELECT * FROM ${quoted} WHERE 1 = 0`);
  const isView = relation[0] === 'view';
  return {
    isView,
    columns,
    indexes: isView ? [] : await indexesOf(rows, table, schema, relation[1] === '1'),
  };
}

async function indexesOf(
  rows: Catalog['rows'],
  table: Sql,
  schema: Sql,
  withoutRowId: boolean,
): Promise<IndexInfo[]> {
  const found = await rows(
    sql`SELECT l.name, i.name, i.coll FROM pragma_index_list(${table}, ${schema}) l, pragma_index_xinfo(l.name, ${schema}) i
         WHERE NOT l.partial AND i.key ORDER BY l.name, i.seqno`,
  );
  const indexes = new Map<string, { columns: string[]; byCodePoints: boolean }>();
  for (const [index = null, column = null, collation = null] of found) {
    if (index === null) continue;
    const known = indexes.get(index);
    if (known) known.columns.push(column ?? '');
    else indexes.set(index, { columns: [column ?? ''], byCodePoints: collation === 'BINARY' });
  }
  // A key of whole numbers is the table itself in order.
  const keys = withoutRowId
    ? []
    : await rows(
        sql`SELECT name FROM pragma_table_info(${table}, ${schema}) WHERE pk = 1 AND upper(type) = 'INTEGER'`,
      );
  const [key] = keys;
  return [
    ...[...indexes].map(([name, { columns, byCodePoints }]) => ({
      name,
      columns,
      ...(byCodePoints ? { byCodePoints } : {}),
    })),
    ...(key && !found.some(([name]) => name?.startsWith('sqlite_autoindex_'))
      ? [{ name: 'PRIMARY KEY', columns: [key[0] ?? ''] }]
      : []),
  ];
}

function text(value: string): Sql {
  return bound({ as: 'text', value });
}
