/** What an engine is opened with. */
import type { ConnectionOptions } from 'node:tls';
import type { DatabaseAddress } from '../database-url';

export interface EngineSettings {
  readonly address: DatabaseAddress;
  /** IANA zone of times that do not say theirs. */
  readonly timeZone: string;
  readonly statementTimeoutSeconds: number;
  readonly poolSize: number;
  readonly tls?: ConnectionOptions | undefined;
}
