/** A database's URL to a {@link Source}. An engine loads its driver when it is first used. */
import { addressId, type Engine as EngineName } from '../database-url';
import type { Engine } from './engine';
import type { EngineSettings } from './engine-settings';
import { MssqlEngine } from './mssql';
import { MysqlEngine } from './mysql';
import { PostgresEngine } from './postgres';
import type { Source } from './source';
import { SqlSource } from './sql-source';
import { SqliteEngine } from './sqlite';

const ENGINES: Readonly<Record<EngineName, (settings: EngineSettings) => Engine>> = {
  mysql: (settings) => new MysqlEngine(settings),
  postgresql: (settings) => new PostgresEngine(settings),
  mssql: (settings) => new MssqlEngine(settings),
  sqlite: (settings) => new SqliteEngine(settings),
};

export function openSource(settings: EngineSettings): Source {
  const { address, timeZone } = settings;
  return new SqlSource(addressId(address), ENGINES[address.engine](settings), timeZone);
}
