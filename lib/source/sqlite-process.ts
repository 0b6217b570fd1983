/**
 * A process that reads one SQLite file. SQLite works in the process that asks it, without a pause: a sort of a large
 * table would hold up every flow, and nothing could end it. This one may be ended at any time; it only reads.
 */
import { statSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { TmError, reasonOf } from '../errors';
import { loadFirstDriver } from './driver';
import { CellChunkWriter } from './cell-chunk';
import type { Cell } from './cells';
import type { SqliteAnswer, SqliteColumn, SqliteRequest, SqliteValue } from './sqlite-messages';

/** How many characters of rows are sent at a time, at least. */
const CHUNK_LENGTH = 64 * 1024;
/** For a writer to be done. */
const BUSY_TIMEOUT_MS = 5_000;

/** What of better-sqlite3 and of libsql, which is made after it, is used. */
interface Database {
  prepare(sql: string): Statement;
  exec(sql: string): unknown;
}
interface Statement {
  raw(): this;
  safeIntegers(): this;
  columns(): readonly SqliteColumn[];
  iterate(...values: readonly SqliteValue[]): IterableIterator<unknown>;
}

/** Which file was opened, whatever has its name by now. */
interface Opened {
  readonly path: string;
  readonly device: bigint;
  readonly inode: bigint;
}

let opened: Opened | undefined;
let database: Database | undefined;
/** The rows of the statement that is under way. */
let rows: Iterator<unknown> | undefined;
const writer = new CellChunkWriter();

/** @throws TmError TM_DATABASE_UNREACHABLE; the file system's error */
function fileAt(path: string): Opened {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found) return { path, device: found.dev, inode: found.ino };
  throw new TmError(
    'TM_DATABASE_UNREACHABLE',
    `There is no file ${path}. Check the path in the database URL: sqlite:///plant.db is relative to where Node-RED was started, sqlite:////data/plant.db is not.`,
  );
}

/**
 * A file that is restored or rotated takes the name of the one that is open, which goes on being read as if nothing
 * had happened: windows would come out empty, and what is in the new file would never be asked for.
 * @throws TmError TM_DATABASE_UNREACHABLE; this process is of no more use then
 */
function assertSameFile(): void {
  if (!opened) return;
  const { device, inode } = fileAt(opened.path);
  if (device === opened.device && inode === opened.inode) return;
  throw new TmError(
    'TM_DATABASE_UNREACHABLE',
    `The file ${opened.path} was replaced by another while it was open. It is opened anew.`,
  );
}

async function open(file: string): Promise<void> {
  opened = fileAt(file);
  database = await loadFirstDriver<Database>({
    'better-sqlite3': async () => {
      const { default: Driver } = await import('better-sqlite3');
      return new Driver(file, { readonly: true, fileMustExist: true }) as Database;
    },
    // Of its own options none opens a file only to read it.
    libsql: async () => {
      const { default: Driver } = await import('libsql');
      return new Driver(`${pathToFileURL(file).href}?mode=ro`) as Database;
    },
  });
  database.exec('PRAGMA query_only = ON');
  finish(database.prepare(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`).iterate());
}

/**
 * A statement is made from what SQLite knows of the schema, which it looks at again only when a statement runs: one
 * that does is run first, and until the end of the transaction nobody can alter a table.
 */
function begin(): void {
  database?.exec('BEGIN');
  finish(database?.prepare('SELECT 1 FROM sqlite_master LIMIT 1').iterate());
}

/** No lock is left behind, which would keep writers out. */
function end(): void {
  rows?.return?.();
  rows = undefined;
  database?.exec('ROLLBACK');
}

function finish(result: IterableIterator<unknown> | undefined): void {
  for (let next = result?.next(); next && !next.done;) next = result?.next();
}

function prepared(sql: string): { statement: Statement; columns: readonly SqliteColumn[] } {
  if (!database) throw new Error('No file is open.');
  const statement = database.prepare(sql).raw().safeIntegers();
  return { statement, columns: statement.columns().map(({ name, type }) => ({ name, type })) };
}

function chunk(): SqliteAnswer {
  while (writer.length < CHUNK_LENGTH) {
    const next = rows?.next();
    if (!next || next.done) {
      end();
      assertSameFile();
      return { rows: writer.take(), last: true };
    }
    writer.add(next.value as readonly Cell[]);
  }
  return { rows: writer.take(), last: false };
}

async function answer(request: SqliteRequest): Promise<SqliteAnswer[]> {
  if ('open' in request) {
    await open(request.open);
    return [{ opened: true }];
  }
  if ('describe' in request) {
    begin();
    const { columns } = prepared(request.describe);
    end();
    return [{ columns }];
  }
  if ('run' in request) {
    begin();
    const { statement, columns } = prepared(request.run);
    rows = statement.iterate(...request.values);
    return [{ columns }, chunk()];
  }
  return [chunk()];
}

function failure(error: unknown): SqliteAnswer {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return { failed: { message: reasonOf(error), code } };
}

process.on('message', (request: SqliteRequest) => {
  answer(request).then(
    (answers) => {
      for (const part of answers) process.send?.(part);
    },
    (error: unknown) => {
      writer.take();
      try {
        end();
      } catch {
        // There was no transaction yet.
      }
      process.send?.(failure(error));
    },
  );
});
process.on('disconnect', () => process.exit());
