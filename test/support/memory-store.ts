/** State in memory, as text, for tests of what uses a store: a write may be made to fail. */
import { TmError } from '../../lib/errors';
import {
  changed,
  type Change,
  type JsonObject,
  type StateKind,
  type StateStore,
} from '../../lib/state/store';

export class MemoryStore implements StateStore {
  readonly #records = new Map<string, string>();
  onWarning: ((message: string) => void) | undefined;
  failing = false;
  writes = 0;

  read(kind: StateKind, name: string): Promise<JsonObject | undefined> {
    const text = this.#records.get(`${kind} ${name}`);
    return Promise.resolve(text === undefined ? undefined : (JSON.parse(text) as JsonObject));
  }
  write(kind: StateKind, name: string, record: JsonObject): Promise<void> {
    if (this.failing) return Promise.reject(new TmError('TM_STATE_WRITE', 'the disk is full'));
    this.writes++;
    this.#records.set(`${kind} ${name}`, JSON.stringify(record));
    return Promise.resolve();
  }
  async update(kind: StateKind, name: string, change: Change): Promise<void> {
    const next = changed(await this.read(kind, name), change);
    if (next) await this.write(kind, name, next);
  }
  remove(kind: StateKind, name: string): Promise<void> {
    this.#records.delete(`${kind} ${name}`);
    return Promise.resolve();
  }
  list(kind: StateKind): Promise<string[]> {
    const names = [...this.#records.keys()].filter((key) => key.startsWith(`${kind} `));
    return Promise.resolve(names.map((key) => key.slice(kind.length + 1)));
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
