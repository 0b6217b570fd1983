/** A {@link Source} on any engine: plans queries, puts reads in turn, and tells the engine's errors from others. */
import { isDeepStrictEqual } from 'node:util';
import { TmError } from '../errors';
import { withSignals } from '../signals';
import { Turns } from '../turns';
import { quote, type EpochSeconds, type Window } from '../window';
import { CellRows, RowsInHand } from './cells';
import type { ColumnInfo, TimeColumn } from './columns';
import type { Engine } from './engine';
import { namedColumns, planOf, rolesOf, selectedColumns, type ReadingPlan, type Roles } from './plan';
import type { ReadingsQuery } from './query';
import type { ReadOptions, Source, SourceIdentity, TableInfo } from './source';
import type { Sql } from './sql-text';
import { Statements, storedAs, type Edges, type PlannedQuery } from './statements';
import { tableParts } from './table-name';
import { edgeBound, instantOf, nativeBound } from './time-column';
import { ALL_NUMBERS, TimeProbe } from './time-probe';

/** A query whose columns are known. */
interface Planned extends PlannedQuery {
  readonly columns: readonly ColumnInfo[];
  readonly plan: ReadingPlan;
  /** There is no row to tell what the column of time holds: nothing to be read either. */
  readonly empty: boolean;
  /** Of the database before its columns of time were looked into, where they may hold something else later. */
  readonly state: string | undefined;
  /** When its columns of time were looked into, by performance.now(). */
  readonly at: number;
}

/** Any edges will do where no row is read; an instant serves timestamps of all kinds. */
const NO_ROWS: Edges = {
  start: { as: 'instant', value: '1970-01-01T00:00:00Z' },
  end: { as: 'instant', value: '1970-01-01T00:00:01Z' },
};

export class SqlSource implements Source {
  readonly #engine: Engine;
  readonly #statements: Statements;
  readonly #probe: TimeProbe;
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
    this.#probe = new TimeProbe(engine, this.#statements);
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

  async oldest(
    query: ReadingsQuery,
    warn: (message: string) => void = silent,
  ): Promise<EpochSeconds | undefined> {
    const now = Math.ceil(await this.clock());
    return this.#run(async (signal) => {
      const { roles, order, empty } = await this.#plan(query, signal);
      if (empty) return undefined;
      const edges = this.#edges({ start: 0, end: now }, order, roles);
      const stored = storedAs(roles.order, order);
      const of = { which: 'min', edges, signal } as const;
      const least = await this.#probe.extreme(query, roles.order, { ...of, any: true });
      if (least === undefined) return undefined;
      // 0 and -1 stand for no time.
      const earliest = order.kind === 'epoch' ? 1 : EARLIEST;
      const from = edgeBound(earliest, order, this.#timeZone, roles.order);
      const oldest = await this.#probe.extreme(query, roles.order, {
        ...of,
        ...(stored ? { stored } : {}),
        range: { from },
        dated: order.kind === 'text',
      });
      if (oldest !== least) {
        warn(
          `The timestamp column ${JSON.stringify(roles.order.name)} holds ${quote(least)}, which is taken for no time: delivery does not begin with it.`,
        );
      }
      return oldest === undefined ? undefined : Math.floor(instantOf(oldest, order, this.#timeZone));
    });
  }

  read(query: ReadingsQuery, window: Window, options: ReadOptions): Promise<void> {
    return this.#inTurn(options.signal, async (signal) => {
      const known = this.#describedBefore(query);
      if (!known) {
        await this.#stream(await this.#plan(query, signal), window, options, signal);
        return;
      }
      try {
        await this.#stream(known, window, options, signal);
      } catch (error) {
        if (!this.#isOfSql(error)) throw error;
        const planned = await this.#plan(query, signal);
        // Not for its columns: they are as they were.
        if (planned === known) throw error;
        await this.#stream(planned, window, options, signal);
      }
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

  createIndexSql(table: string, column: Pick<ColumnInfo, 'name' | 'kind'>): string | undefined {
    return this.#statements.createIndex(table, column);
  }

  async close(): Promise<void> {
    this.#closing.abort(new TmError('TM_CLOSED', 'The connection is being closed.'));
    await Promise.allSettled([...this.#reads]);
    await this.#engine.close();
  }

  async #stream(planned: Planned, window: Window, options: ReadOptions, signal: AbortSignal): Promise<void> {
    const { plan, roles, order, empty } = planned;
    const sink = options.sink(plan);
    if (empty) return;
    const edges = this.#edges(window, order, roles);
    const from = options.from === undefined ? undefined : nativeBound(options.from, order, roles.order);
    await this.#engine.stream(this.#statements.window(planned, edges, from), {
      columns: selectedColumns(roles),
      sink,
      drain: marked(() => options.drain()),
      signal,
    });
  }

  #isOfSql(error: unknown): boolean {
    const failure = error instanceof Ours ? undefined : this.#engine.error(error);
    return (
      failure instanceof TmError &&
      (failure.code === 'TM_QUERY_FAILED' || failure.code === 'TM_QUERY_COLUMNS')
    );
  }

  /** What the stream itself finds out should it be no longer true, but not which columns there are besides. */
  #describedBefore(query: ReadingsQuery): Planned | undefined {
    const asksForAll = namedColumns(query) === undefined;
    return this.#engine.comparesColumns && !asksForAll ? this.#plans.get(query) : undefined;
  }

  /**
   * What the query's columns are is asked, for a table may be altered; what they mean is kept. Where that
   * may change with the rows, it is kept while nothing is written, for an hour: to find it out may take scans of the
   * table, and rows that were written ahead of their time come of age by the clock alone.
   */
  async #plan(query: ReadingsQuery, signal: AbortSignal): Promise<Planned> {
    const columns = await this.#describe(query, signal);
    const known = this.#plans.get(query);
    const roles = rolesOf(query, columns);
    const changes = this.#probe.changes(roles.order) || this.#probe.changes(roles.timestamp);
    // Before anything is looked at: what is written meanwhile is looked for again next time.
    const state = changes ? await this.#engine.state?.(signal) : undefined;
    if (known && isDeepStrictEqual(columns, known.columns)) {
      const fresh = performance.now() - known.at < LOOKED_AGAIN_AFTER_MS;
      if (!changes || (fresh && state !== undefined && state === known.state)) return known;
    }
    const at = performance.now();
    const order = await this.#probe.time(query, roles.order, signal);
    const timestamp =
      roles.timestamp === roles.order ? order : await this.#probe.postedTime(query, roles.timestamp, signal);
    const times = { order: order ?? { kind: 'naive' }, timestamp: timestamp ?? { kind: 'naive' } } as const;
    const plan = planOf(query, roles, times);
    const planned = {
      query,
      columns,
      roles,
      plan,
      order: times.order,
      empty: order === undefined,
      state,
      at,
    };
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

  #edges({ start, end }: Window, order: TimeColumn, roles: Roles): Edges {
    return {
      start: edgeBound(start, order, this.#timeZone, roles.order),
      end: edgeBound(end, order, this.#timeZone, roles.order),
    };
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

const silent = (): void => undefined;

const LOOKED_AGAIN_AFTER_MS = 3_600_000;

/** 1900-01-01T00:00:00Z. What is older was not measured: years 1 and 1753 are how programs write that they know none. */
const EARLIEST = -2_208_988_800;

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
