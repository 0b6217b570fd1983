/** A database's URL to a {@link Source}. An engine loads its driver when it is first used. */
import { addressId, type Engine as EngineName } from '../database-url';
import { TmError } from '../errors';
import type { Engine } from './engine';
import type { EngineSettings } from './engine-settings';
import { MysqlEngine } from './mysql';
import { PostgresEngine } from './postgres';
import type { Source } from './source';
import { SqlSource } from './sql-source';
import { SqliteEngine } from './sqlite';

const ENGINES: Readonly<Partial<Record<EngineName, (settings: EngineSettings) => Engine>>> = {
  postgresql: (settings) => new PostgresEngine(settings),
  mysql: (settings) => new MysqlEngine(settings),
  sqlite: (settings) => new SqliteEngine(settings),
};

/** @throws TmError TM_SETTING_INVALID where the database is of a kind that cannot be read */
export function openSource(settings: EngineSettings): Source {
  const { address, timeZone } = settings;
  const open = ENGINES[address.engine];
  if (!open) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `databaseUrl is of ${address.engine}, which this version cannot read yet; it reads ${Object.keys(ENGINES).join(', ')}.`,
    );
  }
  return new SqlSource(addressId(address), open(settings), timeZone);
}
