/**
 * The statements of every engine, in one place. Values are bound, names quoted by the engine's dialect, and
 * nothing else of a setting or a message becomes part of a text but the user's own SQL.
 */
import type { ColumnInfo, TimeColumn } from './columns';
import type { Dialect, Storage } from './dialect';
import { NO_QUALITY } from '../quality';
import { namedColumns, selectedColumns, type Roles } from './plan';
import { likePattern, wantedNames } from './sensors';
import type { ReadingsQuery } from './query';
import { bound, join, raw, sql, type Bound, type Sql } from './sql-text';
import { splitParameters } from './sql-parameters';
import { tableParts } from './table-name';

/** More patterns than these are cheaper to compare once a sensor than once a row. */
const MOST_PATTERNS = 20;

/** As many as a list of numbers holds in every engine. */
const MOST_QUALITIES = 500;

/** Of an identifier, in every engine. */
const LONGEST_NAME = 60;

/** What `:start_time` and `:end_time` of the user's own SQL stand for. */
export interface Edges {
  readonly start: Bound;
  readonly end: Bound;
}

/** Of what of a column. */
export interface Extreme {
  readonly which: 'min' | 'max';
  /** In a column that may hold several types: which of them. */
  readonly stored?: keyof Storage;
  /** Of all there is, times or not. */
  readonly any?: boolean;
  /** Only texts that begin as a date. */
  readonly dated?: boolean;
  readonly range?: { readonly from?: Bound; readonly before?: Bound };
}

export interface PlannedQuery {
  readonly query: ReadingsQuery;
  readonly roles: Roles;
  readonly order: TimeColumn;
}

export class Statements {
  constructor(readonly dialect: Dialect) {}

  /** No row, only what the columns are. */
  describe(query: ReadingsQuery, edges: Edges): Sql {
    const columns = namedColumns(query)?.map((name) => this.#column(name)) ?? [raw('*')];
    const { before, from } = this.#source(query, edges);
    return sql`${before}SELECT ${join(columns, ', ')} FROM ${from} WHERE 1 = 0`;
  }

  /** The rows between the edges, and at or behind `from`, in order. */
  window({ query, roles, order }: PlannedQuery, edges: Edges, from?: Bound): Sql {
    const column = this.#column(roles.order.name);
    const inOrder = this.#inOrder(roles, order);
    const source = this.#source(query, edges);
    // An edge is the beginning of the texts at its time; a row's own text is compared as rows are ordered.
    const compared = order.kind === 'text' ? this.dialect.binary(column) : column;
    const conditions = [
      sql`${compared} >= ${bound(edges.start)}`,
      ...(from ? [sql`${inOrder} >= ${bound(from)}`] : []),
      sql`${compared} < ${bound(edges.end)}`,
      ...this.#filters(query, roles),
    ];
    return sql`${source.before}SELECT ${this.#fields(roles)} FROM ${source.from} WHERE ${join(conditions, ' AND ')} ORDER BY ${inOrder}`;
  }

  /** The newest rows, the newest first. */
  newest({ query, roles, order }: PlannedQuery, edges: Edges, count: number): Sql {
    const inOrder = this.#inOrder(roles, order);
    const conditions = [
      ...this.#timely(roles.order, storedAs(roles.order, order)),
      ...this.#filters(query, roles),
    ];
    const { before, from } = this.#source(query, edges);
    const newest = this.dialect.limited(
      this.#fields(roles),
      sql`FROM ${from} WHERE ${join(conditions, ' AND ')} ORDER BY ${inOrder} DESC`,
      count,
    );
    return sql`${before}${newest}`;
  }

  /** The least or greatest of a column of time, as text; NULL where there is none. */
  extreme(
    query: ReadingsQuery,
    column: ColumnInfo,
    edges: Edges,
    { which, stored, any = false, dated = false, range = {} }: Extreme,
  ): Sql {
    const { dialect } = this;
    const expression = this.#column(column.name);
    const compared = isText(column) ? dialect.binary(expression) : expression;
    const extreme = dialect.text(sql`${raw(which)}(${compared})`, column, 'timestamp');
    const { before, from } = this.#source(query, edges);
    const conditions = [
      ...(any ? [sql`${expression} IS NOT NULL`] : this.#timely(column, stored)),
      ...(dated ? [dialect.like(expression, column, '____-__-__%')] : []),
      ...(range.from ? [sql`${compared} >= ${bound(range.from)}`] : []),
      ...(range.before ? [sql`${compared} < ${bound(range.before)}`] : []),
    ];
    return sql`${before}SELECT ${extreme} FROM ${from} WHERE ${join(conditions, ' AND ')}`;
  }

  /** @returns undefined where no index serves windows of the column */
  createIndex(table: string, { name, kind }: Pick<ColumnInfo, 'name' | 'kind'>): string | undefined {
    const { dialect } = this;
    const quoted = dialect.quote(name);
    const column = kind === 'text' ? dialect.textIndex?.(quoted) : quoted;
    if (column === undefined) return undefined;
    const index = `${tableParts(table).at(-1) ?? ''}_${name}`.slice(0, LONGEST_NAME);
    return `CREATE INDEX ${dialect.quote(index)} ON ${this.#quoted(table)} (${column})`;
  }

  #fields(roles: Roles): Sql {
    const { dialect } = this;
    const times = roles.order === roles.timestamp ? 1 : 2;
    // By its place: a column may go along under another name too.
    const fields = selectedColumns(roles).map((column, index) => {
      const role = index < times ? 'timestamp' : index === times && roles.sensor ? 'sensor' : 'value';
      return dialect.text(this.#column(column.name), column, role);
    });
    return join(fields, ', ');
  }

  #inOrder(roles: Roles, order: TimeColumn): Sql {
    const column = this.#column(roles.order.name);
    if (order.kind !== 'text') return column;
    const { dialect } = this;
    const { length } = order.offset;
    return dialect.binary(length === 0 ? column : dialect.shortened(column, length));
  }

  #filters(query: ReadingsQuery, { sensor, quality }: Roles): Sql[] {
    const filters: Sql[] = [];
    if (quality && query.quality) {
      filters.push(this.#accepted(quality, query.quality.accepted));
    }
    const wanted = sensor && this.#wanted(query, sensor);
    if (wanted) filters.push(wanted);
    return filters;
  }

  /** Spares the database rows of other qualities; which those are is decided where they are read. */
  #accepted(quality: ColumnInfo, accepted: readonly string[]): Sql {
    const column = this.#column(quality.name);
    const among =
      accepted.length > MOST_QUALITIES || quality.kind === 'boolean'
        ? sql`${column} IS NOT NULL`
        : this.dialect.among(column, quality, accepted);
    return accepted.includes(NO_QUALITY) ? sql`(${among} OR ${column} IS NULL)` : among;
  }

  /** Spares the database rows of sensors that are not wanted; which ones those are is decided where they are read. */
  #wanted(query: ReadingsQuery, sensor: ColumnInfo): Sql | undefined {
    const several = query.from === 'table' && query.shape !== 'wide' && typeof query.valueColumn !== 'string';
    const wanted = several ? undefined : wantedNames(query, MOST_PATTERNS);
    if (!wanted) return undefined;
    const { dialect } = this;
    const column = this.#column(sensor.name);
    const names = wanted.names.length === 0 ? [] : [dialect.among(column, sensor, wanted.names)];
    const patterns = wanted.patterns.map((pattern) => dialect.like(column, sensor, likePattern(pattern)));
    return sql`(${join([...names, ...patterns], ' OR ')})`;
  }

  #timely(column: ColumnInfo, stored?: keyof Storage): Sql[] {
    const expression = this.#column(column.name);
    const { storage } = this.dialect;
    const finite = this.dialect.finite?.(expression, column);
    return [
      sql`${expression} IS NOT NULL`,
      ...(finite ? [finite] : []),
      ...(stored && storage ? [storage[stored](expression)] : []),
    ];
  }

  /** What a statement selects from, and what must stand before the statement. */
  #source(query: ReadingsQuery, edges: Edges): { before: Sql; from: Sql } {
    if (query.from === 'table') {
      return { before: raw(''), from: raw(`${this.#quoted(query.table)} AS readings`) };
    }
    const { dialect } = this;
    const text = query.sql.trim().replace(/;\s*$/, '');
    const { commonTables, select } = dialect.ownSql?.(text) ?? { commonTables: '', select: text };
    const own = withEdges(select, edges, dialect.lexis);
    return {
      before: withEdges(commonTables, edges, dialect.lexis),
      // On a line of its own: the last line may be a comment.
      from: dialect.derived?.(own) ?? sql`(${own}\n) AS readings`,
    };
  }

  #column(name: string): Sql {
    // With its table: names of the result, which ORDER BY would find first, are of texts.
    return raw(`readings.${this.dialect.quote(name)}`);
  }

  #quoted(table: string): string {
    return tableParts(table)
      .map((part) => this.dialect.quote(part))
      .join('.');
  }
}

/** What of a column that may hold several types its times are, where the engine tells them apart. */
export function storedAs({ kind }: ColumnInfo, order: TimeColumn): keyof Storage | undefined {
  if (kind !== 'mixed') return undefined;
  return order.kind === 'epoch' ? 'numbers' : 'times';
}

function isText({ kind }: ColumnInfo): boolean {
  return kind === 'text' || kind === 'mixed';
}

function withEdges(userSql: string, edges: Edges, lexis: Dialect['lexis']): Sql {
  const { texts, names } = splitParameters(userSql, lexis);
  return join(
    texts.flatMap((text, index) => {
      const name = names[index];
      return name === undefined ? [raw(text)] : [raw(text), parameter(name, edges)];
    }),
    '',
  );
}

function parameter(name: string, { start, end }: Edges): Sql {
  if (name === 'start_time') return bound({ ...start, column: undefined });
  if (name === 'end_time') return bound({ ...end, column: undefined });
  return raw(`:${name}`);
}
