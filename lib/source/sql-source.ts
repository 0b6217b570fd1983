/** A {@link Source} on any engine: plans queries, puts reads in turn, and tells the engine's errors from others. */
import { isDeepStrictEqual } from 'node:util';
import { TmError } from '../errors';
import { withSignals } from '../signals';
import { Turns } from '../turns';
import type { EpochSeconds, Window } from '../window';
import { CellRows, RowsInHand } from './cells';
import { isNumeric, type ColumnInfo, type TimeColumn } from './columns';
import type { Storage } from './dialect';
import type { Engine } from './engine';
import { planOf, rolesOf, selectedColumns, type ReadingPlan, type Roles } from './plan';
import type { ReadingsQuery } from './query';
import type { ReadOptions, Source, SourceIdentity, TableInfo } from './source';
import type { Sql } from './sql-text';
import { Statements, storedAs, type Edges, type PlannedQuery } from './statements';
import { tableParts } from './table-name';
import {
  edgeBound,
  instantOf,
  nativeBound,
  needsNewest,
  numberAsText,
  severalTypes,
  timeColumn,
} from './time-column';

/** A query whose columns are known. */
interface Planned extends PlannedQuery {
  readonly columns: readonly ColumnInfo[];
  readonly plan: ReadingPlan;
  /** There is no row to tell what the column of time holds: nothing to be read either. */
  readonly empty: boolean;
}

/** Any edges will do where no row is read; an instant serves timestamps of all kinds. */
const NO_ROWS: Edges = {
  start: { as: 'instant', value: '1970-01-01T00:00:00Z' },
  end: { as: 'instant', value: '1970-01-01T00:00:01Z' },
};

export class SqlSource implements Source {
  readonly #engine: Engine;
  readonly #statements: Statements;
  readonly #timeZone: string;
  readonly #plans = new WeakMap<ReadingsQuery, Planned>();
  readonly #closing = new AbortController();
  readonly #reads = new Set<Promise<void>>();
  /** As many at a time as leave a connection for the clock. */
  readonly #readTurns: Turns;

  constructor(
    readonly id: string,
    engine: Engine,
    timeZone: string,
  ) {
    this.#engine = engine;
    this.#statements = new Statements(engine.dialect);
    this.#timeZone = timeZone;
    this.#readTurns = new Turns(Math.max(1, engine.poolSize - 1));
  }

  async clock(): Promise<number> {
    const seconds = Number(await this.#cell({ texts: [this.#engine.dialect.clock], bounds: [] }));
    if (Number.isFinite(seconds) && seconds > 0) return seconds;
    throw new TmError('TM_QUERY_FAILED', 'The database does not tell the time.');
  }

  async identify(): Promise<SourceIdentity> {
    const [row] = await this.#run((signal) =>
      this.#engine.rows({ texts: [this.#engine.dialect.identity], bounds: [] }, signal),
    );
    const [product, version, user] = row ?? [];
    return { product: product ?? '', version: version ?? '', user: user ?? '' };
  }

  async oldest(query: ReadingsQuery): Promise<EpochSeconds | undefined> {
    const now = Math.ceil(await this.clock());
    return this.#run(async (signal) => {
      const { roles, order, empty } = await this.#plan(query, signal);
      if (empty) return undefined;
      const edges = this.#edges({ start: 0, end: now }, order, roles);
      const oldest = await this.#extreme(
        'min',
        query,
        roles.order,
        edges,
        signal,
        storedAs(roles.order, order),
      );
      return oldest === null ? undefined : Math.floor(instantOf(oldest, order, this.#timeZone));
    });
  }

  read(query: ReadingsQuery, window: Window, options: ReadOptions): Promise<void> {
    return this.#inTurn(options.signal, async (signal) => {
      const planned = await this.#plan(query, signal);
      const { plan, roles, order, empty } = planned;
      const sink = options.sink(plan);
      if (empty) return;
      const edges = this.#edges(window, order, roles);
      const from = options.from === undefined ? undefined : nativeBound(options.from, order, roles.order);
      const drain = marked(options.drain);
      const columns = selectedColumns(roles);
      await this.#engine.stream(this.#statements.window(planned, edges, from), {
        columns,
        sink,
        drain,
        signal,
      });
    });
  }

  newest(
    query: ReadingsQuery,
    count: number,
    { sink, signal: given }: Pick<ReadOptions, 'sink' | 'signal'>,
  ): Promise<void> {
    return this.#inTurn(given, async (signal) => {
      const planned = await this.#plan(query, signal);
      const { plan, roles, order, empty } = planned;
      const into = sink(plan);
      if (empty) return;
      const edges = this.#edges({ start: 0, end: Math.ceil(await this.clock()) }, order, roles);
      const columns = selectedColumns(roles);
      const rows = new RowsInHand();
      await this.#engine.stream(this.#statements.newest(planned, edges, count), {
        columns,
        sink: rows,
        drain: () => undefined,
        signal,
      });
      rows.lastFirst(new CellRows(into, columns.length));
    });
  }

  async tables(): Promise<readonly string[]> {
    return this.#run((signal) => this.#engine.tables(signal));
  }

  async table(table: string): Promise<TableInfo> {
    return this.#run((signal) => this.#engine.table(tableParts(table), signal));
  }

  createIndexSql(table: string, column: string): string {
    return this.#statements.createIndex(table, column);
  }

  async close(): Promise<void> {
    this.#closing.abort(new TmError('TM_CLOSED', 'The connection is being closed.'));
    await Promise.allSettled([...this.#reads]);
    await this.#engine.close();
  }

  /** What the query's columns are is asked each time, for a table may be altered; what they mean is kept. */
  async #plan(query: ReadingsQuery, signal: AbortSignal): Promise<Planned> {
    const columns = await this.#describe(query, signal);
    const known = this.#plans.get(query);
    if (known && isDeepStrictEqual(columns, known.columns) && !this.#changes(known.roles)) return known;
    const roles = rolesOf(query, columns);
    const order = await this.#time(query, roles.order, signal);
    const timestamp =
      roles.timestamp === roles.order ? order : await this.#postedTime(query, roles.timestamp, signal);
    const times = { order: order ?? { kind: 'naive' }, timestamp: timestamp ?? { kind: 'naive' } } as const;
    const plan = planOf(query, roles, times);
    const planned = { query, columns, roles, plan, order: times.order, empty: order === undefined };
    if (order && timestamp) this.#plans.set(query, planned);
    return planned;
  }

  /** What the user's own SQL compares with its parameters is not known yet: times, or numbers since 1970. */
  async #describe(query: ReadingsQuery, signal: AbortSignal): Promise<ColumnInfo[]> {
    const describe = (edges: Edges): Promise<ColumnInfo[]> =>
      this.#engine.describe(this.#statements.describe(query, edges), signal);
    try {
      return await describe(NO_ROWS);
    } catch (error) {
      const failure = this.#engine.error(error);
      if (query.from !== 'sql' || !(failure instanceof TmError) || failure.code !== 'TM_QUERY_FAILED')
        throw error;
      return await describe(ALL_NUMBERS).catch(() => {
        signal.throwIfAborted();
        throw error;
      });
    }
  }

  /** Whether a column of time may hold something else by now than it held. */
  #changes({ order, timestamp }: Roles): boolean {
    return (
      this.#engine.dialect.storage !== undefined && [order, timestamp].some(({ kind }) => kind === 'mixed')
    );
  }

  /** @returns undefined where there is no row that would tell */
  async #time(
    query: ReadingsQuery,
    column: ColumnInfo,
    signal: AbortSignal,
  ): Promise<TimeColumn | undefined> {
    const { epochUnit } = query;
    if (!needsNewest(column, epochUnit)) return timeColumn(column, epochUnit, undefined);
    if (column.kind === 'mixed' && this.#engine.dialect.storage) {
      const { text, number } = await this.#storedTimes(query, column, signal);
      if (text !== undefined && number !== undefined) throw severalTypes(column, text, number);
      const newest = text ?? number;
      if (newest !== undefined) return timeColumn(column, epochUnit, newest);
    }
    for (const edges of everything(column)) {
      const newest = await this.#extreme('max', query, column, edges, signal);
      if (newest !== null) return timeColumn(column, epochUnit, newest);
    }
    return undefined;
  }

  /** Of a time that is only posted each text may have a form of its own, and each value a type of its own. */
  async #postedTime(
    query: ReadingsQuery,
    column: ColumnInfo,
    signal: AbortSignal,
  ): Promise<TimeColumn | undefined> {
    if (column.kind === 'text') return { kind: 'naive' };
    if (column.kind !== 'mixed' || !this.#engine.dialect.storage) return this.#time(query, column, signal);
    const { number } = await this.#storedTimes(query, column, signal);
    return number === undefined ? { kind: 'naive' } : timeColumn(column, query.epochUnit, number);
  }

  /**
   * The newest time of each type in a column that may hold several. Looked for before each window: rows of the other
   * type are in no window, and would be lost without a word.
   * @throws TmError TM_QUERY_COLUMNS where a text is a number: it is ordered as a text
   */
  async #storedTimes(
    query: ReadingsQuery,
    column: ColumnInfo,
    signal: AbortSignal,
  ): Promise<{ text: string | undefined; number: string | undefined }> {
    const newest = async (stored: keyof Storage, edges: Edges): Promise<string | undefined> =>
      (await this.#extreme('max', query, column, edges, signal, stored)) ?? undefined;
    const digits = await newest('digits', ALL_TEXTS);
    if (digits !== undefined && EPOCH_TEXT.test(digits)) throw numberAsText(column, digits);
    return { text: await newest('times', ALL_TEXTS), number: await newest('numbers', ALL_NUMBERS) };
  }

  #edges({ start, end }: Window, order: TimeColumn, roles: Roles): Edges {
    return {
      start: edgeBound(start, order, this.#timeZone, roles.order),
      end: edgeBound(end, order, this.#timeZone, roles.order),
    };
  }

  async #extreme(
    which: 'min' | 'max',
    query: ReadingsQuery,
    column: ColumnInfo,
    edges: Edges,
    signal: AbortSignal,
    stored?: keyof Storage,
  ): Promise<string | null> {
    const statement = this.#statements.extreme(which, query, column, edges, stored);
    const [row] = await this.#engine.rows(statement, signal);
    return row?.[0] ?? null;
  }

  async #cell(statement: Sql): Promise<string | null | undefined> {
    const [row] = await this.#run((signal) => this.#engine.rows(statement, signal));
    return row?.[0];
  }

  async #inTurn(given: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const reading = withSignals([given, this.#closing.signal], (signal) =>
      this.#readTurns.run(signal, () => this.#run(work, signal)),
    ).finally(() => this.#reads.delete(reading));
    this.#reads.add(reading);
    return reading;
  }

  async #run<Result>(
    work: (signal: AbortSignal) => Promise<Result>,
    signal = this.#closing.signal,
  ): Promise<Result> {
    signal.throwIfAborted();
    try {
      return await work(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof Ours ? error.thrown : this.#engine.error(error);
    }
  }
}

const ALL_NUMBERS: Edges = {
  start: { as: 'number', value: '0' },
  end: { as: 'number', value: '9000000000000000000' },
};
const ALL_TEXTS: Edges = {
  start: { as: 'text', value: '0001-01-01T00:00:00' },
  end: { as: 'text', value: '9999-12-31T23:59:59' },
};

/** Seconds of this century, or parts of them. */
const EPOCH_TEXT = /^1\d{9,18}(\.\d*)?$/;

/** Edges around all that a column of text or numbers may hold; where it may be either, one and then the other. */
function everything(column: ColumnInfo): readonly Edges[] {
  if (isNumeric(column)) return [ALL_NUMBERS];
  return column.kind === 'mixed' ? [ALL_TEXTS, ALL_NUMBERS] : [ALL_TEXTS];
}

/** What `drain` threw: it passes through the engine, and is no error of the database's. */
class Ours extends Error {
  constructor(readonly thrown: unknown) {
    super('The read is given up.');
  }
}

function marked(drain: () => Promise<void> | undefined): () => Promise<void> | undefined {
  const mark = (error: unknown): never => {
    throw new Ours(error);
  };
  return () => {
    try {
      return drain()?.catch(mark);
    } catch (error) {
      return mark(error);
    }
  };
}
