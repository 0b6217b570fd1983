/**
 * One record in two files: the current one, and the one before it as `.previous`. A power cut at any moment
 * leaves at least one of them whole, and never leaves the record that was reported as written only in a torn
 * one: it is written beside them, synchronised, and only then takes the place of the current one.
 */
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { reasonOf, TmError } from '../errors';
import { seal, unseal } from './envelope';
import { codeOf, readIfThere, syncDirectory, unlinkIfThere, writeDurably, type Files } from './files';
import { locked, type StillHeld } from './file-lock';
import { RecordTurns } from './record-turns';
import { changed, revisionOf, type Change, type JsonObject, type StateKind } from './store';

export const TEMPORARY = '.tmp';
export const PREVIOUS = '.previous';

type Reading =
  { state: 'good'; record: JsonObject } | { state: 'missing' } | { state: 'damaged'; reason: string };

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: free some space',
  EDQUOT: 'The disk quota is used up: free some space',
  EACCES: 'Let the account that runs Node-RED write there',
  EPERM: 'Let the account that runs Node-RED write there',
  EROFS: 'The file system is read-only: choose another state directory',
};

/** What the files of one store have in common. */
export interface RecordFileStore {
  readonly files: Files;
  /** Makes the directories. */
  prepare(): Promise<void>;
  warn(message: string): void;
}

export class RecordFile {
  readonly #turns: RecordTurns<string | undefined>;

  constructor(
    private readonly kind: StateKind,
    private readonly name: string,
    readonly path: string,
    private readonly store: RecordFileStore,
  ) {
    this.#turns = new RecordTurns((text) =>
      this.#alone(async (stillHeld) => {
        if (text === undefined) await this.#remove();
        else await this.#put(text, await this.#readOne(this.path), stillHeld);
      }),
    );
  }

  read(): Promise<JsonObject | undefined> {
    return this.#turns.take(() => this.#read());
  }

  write(record: JsonObject): Promise<void> {
    return this.#turns.write(seal(this.kind, this.name, record));
  }

  update(change: Change): Promise<void> {
    return this.#turns.take(() =>
      this.#alone(async (stillHeld) => {
        const current = await this.#readOne(this.path);
        const next = changed(await this.#recordOf(current), change);
        if (next) await this.#put(seal(this.kind, this.name, next), current, stillHeld);
      }),
    );
  }

  remove(): Promise<void> {
    return this.#turns.write(undefined);
  }

  get idle(): boolean {
    return this.#turns.idle;
  }

  settled(): Promise<void> {
    return this.#turns.settled();
  }

  async #read(): Promise<JsonObject | undefined> {
    const current = await this.#readOne(this.path);
    if (current.state === 'good') {
      if (revisionOf(current.record) > 0) await this.#compare(current.record);
      return current.record;
    }
    const previous = await this.#readOne(this.path + PREVIOUS);
    if (previous.state === 'missing' && current.state === 'missing') return undefined;
    // Between the two renames of another process's write, nothing is wrong.
    return this.#alone(() => this.#readNow()).catch((error: unknown) => {
      // Where nothing can be written, nobody is writing.
      if (error instanceof TmError && error.code === 'TM_STATE_WRITE') return this.#readNow();
      throw error;
    });
  }

  /** Nothing but an older file put in its place makes a record older than its predecessor. */
  async #compare(current: JsonObject): Promise<void> {
    const previous = await this.#readOne(this.path + PREVIOUS).catch(() => undefined);
    if (previous?.state !== 'good' || revisionOf(current) >= revisionOf(previous.record)) return;
    // Another process may have written twice since.
    const again = await this.#readOne(this.path).catch(() => undefined);
    if (again?.state !== 'good' || revisionOf(again.record) !== revisionOf(current)) return;
    this.store.warn(
      `The state file ${this.path} is older than its predecessor ${this.path + PREVIOUS}: it seems to have been restored from a backup. It is used all the same: what was delivered since may be sent again.`,
    );
  }

  /** While no other process writes. */
  async #readNow(): Promise<JsonObject | undefined> {
    return this.#recordOf(await this.#readOne(this.path));
  }

  /** While no other process writes. */
  async #recordOf(current: Reading): Promise<JsonObject | undefined> {
    if (current.state === 'good') return current.record;
    const previous = await this.#readOne(this.path + PREVIOUS);
    const why = current.state === 'missing' ? 'it is missing' : current.reason;
    if (previous.state === 'good') {
      this.store.warn(
        `The state file ${this.path} cannot be used: ${why}. The previous good one is used instead.`,
      );
      return previous.record;
    }
    if (current.state === 'missing' && previous.state === 'missing') return undefined;
    const also = previous.state === 'damaged' ? `, nor its predecessor: ${previous.reason}` : '';
    throw new TmError(
      'TM_STATE_UNREADABLE',
      `The state file ${this.path} cannot be used: ${why}${also}. Restore it from a backup, or delete it and ` +
        `${this.path + PREVIOUS} to start afresh.`,
    );
  }

  async #readOne(path: string): Promise<Reading> {
    let text: string | undefined;
    try {
      text = await readIfThere(this.store.files, path);
    } catch (error) {
      // A bad sector is damage like any other. Anything else (no permission, too many open files) may pass, and
      // taking the predecessor meanwhile would turn the clock back for nothing.
      if (codeOf(error) === 'EIO') return { state: 'damaged', reason: reasonOf(error) };
      throw new TmError('TM_STATE_UNREADABLE', `The state file ${path} cannot be read: ${reasonOf(error)}.`, {
        cause: error,
      });
    }
    if (text === undefined) return { state: 'missing' };
    try {
      return { state: 'good', record: unseal(this.kind, this.name, text) };
    } catch (error) {
      return { state: 'damaged', reason: reasonOf(error) };
    }
  }

  /** Does `work` while no other process reads or writes these files to change them. */
  async #alone<Result>(work: (stillHeld: StillHeld) => Promise<Result>): Promise<Result> {
    try {
      await this.store.prepare();
      return await locked(this.store.files, this.path, work);
    } catch (error) {
      throw error instanceof TmError ? error : writeError(this.path, error);
    }
  }

  async #put(text: string, current: Reading, stillHeld: StillHeld): Promise<void> {
    const { files } = this.store;
    const temporary = `${this.path}.${randomBytes(6).toString('hex')}${TEMPORARY}`;
    try {
      await writeDurably(files, temporary, text);
      await stillHeld();
      if (current.state === 'good') await files.rename(this.path, this.path + PREVIOUS);
      await files.rename(temporary, this.path);
      await syncDirectory(files, dirname(this.path));
    } catch (error) {
      await files.unlink(temporary).catch(() => undefined);
      throw error;
    }
  }

  /** The predecessor first: a power cut in between must not bring it back. */
  async #remove(): Promise<void> {
    await unlinkIfThere(this.store.files, this.path + PREVIOUS);
    await unlinkIfThere(this.store.files, this.path);
    await syncDirectory(this.store.files, dirname(this.path));
  }
}

export function writeError(path: string, thrown: unknown): TmError {
  if (thrown instanceof TmError && thrown.code === 'TM_STATE_WRITE') return thrown;
  const remedy = REMEDIES[codeOf(thrown)] ?? 'Check the state directory';
  return new TmError(
    'TM_STATE_WRITE',
    `State could not be written to ${path}: ${reasonOf(thrown).replace(/\.$/, '')}. ${remedy}; until then nothing moves on.`,
    { cause: thrown },
  );
}
