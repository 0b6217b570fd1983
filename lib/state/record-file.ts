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
import { RecordTurns } from './record-turns';
import type { JsonObject, StateKind } from './store';

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
  /** Whether the current file may take the previous one's place; unknown until it has been read. */
  #currentIsGood: boolean | undefined;

  constructor(
    private readonly kind: StateKind,
    private readonly name: string,
    readonly path: string,
    private readonly store: RecordFileStore,
  ) {
    this.#turns = new RecordTurns((text) => (text === undefined ? this.#remove() : this.#put(text)));
  }

  read(): Promise<JsonObject | undefined> {
    return this.#turns.take(() => this.#read());
  }

  write(record: JsonObject): Promise<void> {
    return this.#turns.write(seal(this.kind, this.name, record));
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
    this.#currentIsGood = current.state === 'good';
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

  async #put(text: string): Promise<void> {
    const temporary = `${this.path}.${randomBytes(6).toString('hex')}${TEMPORARY}`;
    try {
      await this.store.prepare();
      this.#currentIsGood ??= (await this.#readOne(this.path)).state === 'good';
      await writeDurably(this.store.files, temporary, text);
      if (this.#currentIsGood) {
        await this.store.files.rename(this.path, this.path + PREVIOUS);
      }
      await this.store.files.rename(temporary, this.path);
      this.#currentIsGood = true;
      await syncDirectory(this.store.files, dirname(this.path));
    } catch (error) {
      this.#currentIsGood = undefined;
      await this.store.files.unlink(temporary).catch(() => undefined);
      throw writeError(this.path, error);
    }
  }

  /** The predecessor first: a power cut in between must not bring it back. */
  async #remove(): Promise<void> {
    this.#currentIsGood = undefined;
    try {
      await this.store.prepare();
      await unlinkIfThere(this.store.files, this.path + PREVIOUS);
      await unlinkIfThere(this.store.files, this.path);
      await syncDirectory(this.store.files, dirname(this.path));
    } catch (error) {
      throw writeError(this.path, error);
    }
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
