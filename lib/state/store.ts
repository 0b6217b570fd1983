/** Where bookmarks, tasks and what else must outlive a restart live: what every store does for the connector. */
export type StateKind = 'bookmark' | 'task' | 'rejected' | 'alarm';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Without side effects beyond what it can do twice. */
export type Change = (stored: JsonObject | undefined) => JsonObject | undefined;

/** As `update` counts its changes. */
export function revisionOf(record: JsonObject | undefined): number {
  const revision = record?.revision;
  return typeof revision === 'number' ? revision : 0;
}

/** The record that `change` makes, counted; undefined where it leaves the stored one. */
export function changed(stored: JsonObject | undefined, change: Change): JsonObject | undefined {
  const next = change(stored);
  return next && { ...next, revision: revisionOf(stored) + 1 };
}

export interface StateStore {
  /**
   * The last record written; undefined where there is none.
   * @throws TmError TM_STATE_UNREADABLE where there is one, but neither it nor its predecessor can be read:
   *   that is never taken for none, or a bookmark would start afresh and skip what it had still to deliver
   */
  read(kind: StateKind, name: string): Promise<JsonObject | undefined>;
  /**
   * Resolves when this record, or one written later under the same name, is durable. Writes to one name keep
   * their order, and a reader finds either the old record or the new one, whole.
   * @throws TmError TM_STATE_WRITE; what was stored before is untouched
   */
  write(kind: StateKind, name: string, record: JsonObject): Promise<void>;
  /**
   * Reads, changes and writes as one step: whatever process changes this record meanwhile does so before or
   * after. How often a record was changed so is counted in its `revision`.
   * @param change given the record as it is stored now; returns what to store, or undefined to leave it as it
   *   is. It may be called again, on what another process has stored meanwhile
   * @throws what `change` throws; TmError TM_STATE_UNREADABLE, TM_STATE_WRITE. Nothing has changed then
   */
  update(kind: StateKind, name: string, change: Change): Promise<void>;
  /** @throws TmError TM_STATE_WRITE */
  remove(kind: StateKind, name: string): Promise<void>;
  /** @throws TmError TM_STATE_UNREADABLE */
  list(kind: StateKind): Promise<string[]>;
  /** Resolves when every write so far is over. */
  close(): Promise<void>;
  /** Told what the store got over by itself but an administrator should know. */
  onWarning?: ((message: string) => void) | undefined;
}
