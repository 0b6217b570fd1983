/** What SQL Server's catalog says of tables, as far as its user may read them. */
import { TmError } from '../errors';
import type { ColumnInfo } from './columns';
import type { Cells } from './engine';
import { mssqlDialect } from './mssql-dialect';
import type { TableInfo } from './source';
import { bound, join, raw, sql, type Sql } from './sql-text';
import { tableName } from './table-name';

const MOST_TABLES = 1000;

type Rows = (statement: Sql) => Promise<Cells[]>;

/** Those of other users' are not in the catalog's views to begin with. */
export async function mssqlTables(rows: Rows): Promise<string[]> {
  const found = await rows(
    raw(`SELECT TOP (${MOST_TABLES}) s.name, o.name
  FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id
 WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0
   AND HAS_PERMS_BY_NAME(QUOTENAME(s.name) + '.' + QUOTENAME(o.name), 'OBJECT', 'SELECT') = 1
 ORDER BY CASE WHEN s.name = 'dbo' THEN 0 ELSE 1 END, s.name, o.name`),
  );
  return found.map((row) => tableName(row.map((cell) => cell ?? '')));
}

/** @throws TmError TM_QUERY_FAILED where there is no such table, or none that the user may see */
export async function mssqlTable(
  parts: readonly string[],
  { rows, describe }: { rows: Rows; describe: (statement: Sql) => Promise<ColumnInfo[]> },
): Promise<TableInfo> {
  const quoted = parts.map((part) => mssqlDialect.quote(part)).join('.');
  const table = bound({ as: 'text', value: quoted });
  // A table of another database has its catalog there.
  const catalog = raw(parts.length > 2 ? `${mssqlDialect.quote(parts[0] ?? '')}.sys` : 'sys');
  const [kind] = await rows(sql`SELECT type FROM ${catalog}.objects WHERE object_id = OBJECT_ID(${table})`);
  if (!kind) {
    throw new TmError(
      'TM_QUERY_FAILED',
      `There is no table ${tableName(parts)}, or its user may not see it. Check its name and schema.`,
    );
  }
  const names = await rows(sql`SELECT name FROM ${catalog}.columns WHERE object_id = OBJECT_ID(${table})
   AND HAS_PERMS_BY_NAME(${table}, 'OBJECT', 'SELECT', QUOTENAME(name), 'COLUMN') = 1 ORDER BY column_id`);
  const columns = names.map(([name]) => raw(mssqlDialect.quote(name ?? '')));
  return {
    // A synonym has its columns and indexes elsewhere, as a view has.
    isView: kind[0]?.trim() !== 'U',
    columns:
      columns.length === 0
        ? []
        : await describe(sql`SELECT ${join(columns, ', ')} FROM ${raw(quoted)} WHERE 1 = 0`),
    indexes: indexesOf(
      // Only what serves any row and has an order: heaps, XML, spatial, columnstore and hash indexes have none.
      await rows(sql`SELECT i.name, c.name FROM ${catalog}.indexes i
  JOIN ${catalog}.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id
  JOIN ${catalog}.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id
 WHERE i.object_id = OBJECT_ID(${table}) AND i.type IN (1, 2) AND i.is_disabled = 0 AND i.has_filter = 0
   AND k.key_ordinal > 0 ORDER BY i.name, k.key_ordinal`),
    ),
  };
}

function indexesOf(rows: readonly Cells[]): { name: string; columns: string[] }[] {
  const indexes = new Map<string, string[]>();
  for (const [index, column] of rows) {
    const name = index ?? '';
    indexes.set(name, [...(indexes.get(name) ?? []), column ?? '']);
  }
  return [...indexes].map(([name, columns]) => ({ name, columns }));
}
