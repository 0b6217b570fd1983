/** What PostgreSQL's catalog says of tables, as far as its user may read them. */
import type { Client } from 'pg';
import { TmError } from '../errors';
import { postgresColumn } from './postgres-dialect';
import type { TableInfo } from './source';
import { tableName } from './table-name';

const MOST_TABLES = 1000;

/** The default collation (100) is the database's. Statements ask for "C" (950), which no other serves by name. */
const BY_CODE_POINTS = `(i.indcollation[0] = 950)`;

export async function postgresTables(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
        AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_|_?timescaledb_)'
        AND has_any_column_privilege(c.oid, 'SELECT')
      ORDER BY n.nspname <> 'public', 1, 2 LIMIT ${MOST_TABLES}`,
  );
  return rows.map(({ schema, name }) => tableName([schema, name]));
}

/** @throws TmError TM_QUERY_FAILED where there is no such table, or none that the user may see */
export async function postgresTable(client: Client, parts: readonly string[]): Promise<TableInfo> {
  const { rows: found } = await client.query<{ oid: string; relkind: string }>(
    'SELECT oid::text, relkind FROM pg_class WHERE oid = to_regclass($1)',
    [parts.map((part) => `"${part.replaceAll('"', '""')}"`).join('.')],
  );
  const [relation] = found;
  if (!relation) {
    throw new TmError(
      'TM_QUERY_FAILED',
      `There is no table ${tableName(parts)}, or its user may not see it. Check its name and schema.`,
    );
  }
  const { rows: columns } = await client.query<{ name: string; type: number; typename: string }>(
    `SELECT a.attname AS name, coalesce(nullif(t.typbasetype, 0), a.atttypid)::int8::int AS type,
            format_type(a.atttypid, a.atttypmod) AS typename
       FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
        AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
      ORDER BY a.attnum`,
    [relation.oid],
  );
  // Only what serves any row: valid, whole, and of a kind that has an order.
  const { rows: indexes } = await client.query<{ name: string; columns: string[]; bycodepoints: boolean }>(
    `SELECT c.relname AS name, ${BY_CODE_POINTS} AS bycodepoints,
            array(SELECT coalesce(a.attname, '')
                    FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
                   WHERE k.place <= i.indnkeyatts ORDER BY k.place)::text[] AS columns
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
      WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL AND m.amname IN ('btree', 'brin')
      ORDER BY 1`,
    [relation.oid],
  );
  return {
    isView: relation.relkind === 'v' || relation.relkind === 'f',
    columns: columns.map(({ name, type, typename }) => postgresColumn(name, type, typename)),
    indexes: indexes.map(({ name, columns: of, bycodepoints }) => ({
      name,
      columns: of,
      ...(bycodepoints ? { byCodePoints: true } : {}),
    })),
  };
}
