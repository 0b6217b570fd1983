/** Where bookmarks, tasks and what else must outlive a restart live: what every store does for the connector. */
export type StateKind = 'bookmark' | 'task' | 'rejected' | 'alarm';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
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
  /** @throws TmError TM_STATE_WRITE */
  remove(kind: StateKind, name: string): Promise<void>;
  /** @throws TmError TM_STATE_UNREADABLE */
  list(kind: StateKind): Promise<string[]>;
  /** Resolves when every write so far is over. */
  close(): Promise<void>;
  /** Told what the store got over by itself but an administrator should know. */
  onWarning?: ((message: string) => void) | undefined;
}
