/** State in files: one for each bookmark, each task and so on, in a directory that an administrator can read and back up. */
import { dirname, join } from 'node:path';
import { reasonOf, TmError } from '../errors';
import { decodeName, encodeName } from './file-name';
import { codeOf, nodeFiles, syncDirectory, type Files } from './files';
import { PREVIOUS, RecordFile, TEMPORARY, writeError, type RecordFileStore } from './record-file';
import type { Change, JsonObject, StateKind, StateStore } from './store';

const FOLDERS: Readonly<Record<StateKind, string>> = {
  bookmark: 'bookmarks',
  task: 'tasks',
  rejected: 'rejected',
  alarm: 'alarms',
};
const EXTENSION = '.json';
/** Another process may be in the middle of writing a younger one. */
const ABANDONED_AFTER_SECONDS = 60;

export class FileStore implements StateStore {
  onWarning: ((message: string) => void) | undefined;

  readonly #records = new Map<string, RecordFile>();
  readonly #shared: RecordFileStore;
  #prepared: Promise<void> | undefined;

  /** Nothing is created before the first write. */
  constructor(
    readonly directory: string,
    private readonly files: Files = nodeFiles,
  ) {
    this.#shared = {
      files,
      prepare: () => this.#prepare(),
      warn: (message) => this.onWarning?.(message),
    };
  }

  async read(kind: StateKind, name: string): Promise<JsonObject | undefined> {
    return this.#record(kind, name).read();
  }

  async write(kind: StateKind, name: string, record: JsonObject): Promise<void> {
    await this.#written(this.#record(kind, name).write(record));
  }

  async update(kind: StateKind, name: string, change: Change): Promise<void> {
    await this.#written(this.#record(kind, name).update(change));
  }

  async remove(kind: StateKind, name: string): Promise<void> {
    const record = this.#record(kind, name);
    await record.remove();
    if (record.idle) this.#records.delete(record.path);
  }

  async list(kind: StateKind): Promise<string[]> {
    const names = new Set<string>();
    for (const file of await this.#filesIn(this.#folder(kind))) {
      // A power cut between the two renames of a write leaves only the predecessor.
      const base = file.endsWith(PREVIOUS) ? file.slice(0, -PREVIOUS.length) : file;
      const name = base.endsWith(EXTENSION) ? decodeName(base.slice(0, -EXTENSION.length)) : undefined;
      if (name !== undefined) names.add(name);
    }
    return [...names];
  }

  async close(): Promise<void> {
    await Promise.all([...this.#records.values()].map((record) => record.settled()));
  }

  async #written(written: Promise<void>): Promise<void> {
    try {
      await written;
    } catch (error) {
      // Should a directory have been taken away, the next write makes it again.
      this.#prepared = undefined;
      throw error;
    }
  }

  #folder(kind: StateKind): string {
    return join(this.directory, FOLDERS[kind]);
  }

  #record(kind: StateKind, name: string): RecordFile {
    const path = join(this.#folder(kind), encodeName(name) + EXTENSION);
    let record = this.#records.get(path);
    if (!record) {
      record = new RecordFile(kind, name, path, this.#shared);
      this.#records.set(path, record);
    }
    return record;
  }

  /** Makes the directories, durably, and clears away what a killed process left half written. */
  #prepare(): Promise<void> {
    this.#prepared ??= this.#makeFolders().catch((error: unknown) => {
      this.#prepared = undefined;
      throw writeError(this.directory, error);
    });
    return this.#prepared;
  }

  async #makeFolders(): Promise<void> {
    for (const folder of Object.values(FOLDERS)) {
      const path = join(this.directory, folder);
      const created = await this.files.mkdir(path, { recursive: true });
      if (created !== undefined) await syncDirectory(this.files, dirname(created));
      for (const file of await this.#filesIn(path)) {
        if (file.endsWith(TEMPORARY)) await this.#clearAbandoned(join(path, file));
      }
    }
  }

  async #clearAbandoned(path: string): Promise<void> {
    try {
      const { mtimeMs } = await this.files.stat(path);
      if (Date.now() - mtimeMs > ABANDONED_AFTER_SECONDS * 1000)
        await this.files.rm(path, { recursive: true });
    } catch {
      // It costs nothing but a little space, and the next start tries again.
    }
  }

  async #filesIn(folder: string): Promise<string[]> {
    try {
      return await this.files.readdir(folder);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw new TmError(
        'TM_STATE_UNREADABLE',
        `The state directory ${folder} cannot be read: ${reasonOf(error)}.`,
        { cause: error },
      );
    }
  }
}
