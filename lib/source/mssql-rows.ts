/** A statement's rows as the driver streams them, held back while whoever takes them is busy. */
import { setImmediate } from 'node:timers/promises';
import type mssql from 'mssql';
import type { Cell } from './cells';
import { float32Text } from './float32';
import { parameterised, type Parameter } from './mssql-parameters';
import { declaredType, type ResultColumn } from './mssql-types';
import type { Sql } from './sql-text';

/** Takes the rows. What its methods throw ends the read. */
export interface RowsConsumer {
  /** What the columns are; called before any row. */
  columns(columns: readonly ResultColumn[]): void;
  /** @param cells the same array for no other row */
  row(cells: readonly Cell[]): void;
  /** Called after so many rows; while a promise that it gives is pending, no more are read. */
  drain(): Promise<void> | undefined;
}

export interface DriverRequest {
  readonly driver: typeof mssql;
  readonly request: mssql.Request;
}

/** How many are handed on before other work in the process gets its turn: a millisecond's worth or two. */
const ROWS_PER_TURN = 500;

/**
 * Resolves when the server has said that the result is complete. The connection is ready for the next statement
 * whatever the outcome, or closed: what is broken off is cancelled on the server.
 * @param prefix commands before the statement
 * @throws the driver's errors; the signal's reason; what the consumer threw
 */
export function readRows(
  { driver, request }: DriverRequest,
  statement: Sql,
  { signal, consumer, prefix = '' }: { signal: AbortSignal; consumer: RowsConsumer; prefix?: string },
): Promise<void> {
  const { text, parameters } = parameterised(statement);
  for (const parameter of parameters) {
    request.input(parameter.name, driverType(driver, parameter), parameter.value);
  }
  request.stream = true;
  request.arrayRowMode = true;
  return new Promise((resolve, reject) => {
    const failures: Error[] = [];
    const breakOff = (error: unknown): void => {
      failures.push(error instanceof Error ? error : new Error(String(error)));
      request.cancel();
    };
    const abort = (): void => {
      breakOff(signal.reason);
    };
    const guarded = (work: () => void): void => {
      if (failures.length > 0) return;
      try {
        work();
      } catch (error) {
        breakOff(error);
      }
    };
    let isReal: readonly boolean[] = [];
    let rows = 0;
    const giveWay = async (): Promise<void> => {
      request.pause();
      await consumer.drain();
      await setImmediate();
      if (failures.length === 0) request.resume();
    };
    request.on('recordset', (columns: readonly ResultColumn[]) => {
      guarded(() => {
        isReal = columns.map(({ type }) => declaredType(type) === 'real');
        consumer.columns(columns);
      });
    });
    request.on('row', (values: unknown[]) => {
      guarded(() => {
        consumer.row(values.map((value, index) => cell(value, isReal[index] === true)));
        if (++rows % ROWS_PER_TURN === 0) giveWay().catch(breakOff);
      });
    });
    request.on('error', (error: Error) => {
      failures.push(error);
    });
    request.on('done', () => {
      signal.removeEventListener('abort', abort);
      // The first is the cause; what the driver says of a cancelled request comes behind it.
      const [cause] = failures;
      if (cause) reject(cause);
      else resolve();
    });
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    void request.query(prefix + text);
  });
}

function cell(value: unknown, isReal: boolean): Cell {
  if (value instanceof Date) return value.toISOString();
  return isReal && typeof value === 'number' ? float32Text(String(value)) : (value as Cell);
}

function driverType(
  driver: typeof mssql,
  { type, size = 0 }: Parameter,
): mssql.ISqlType | (() => mssql.ISqlType) {
  switch (type) {
    case 'bigint':
      return driver.BigInt;
    case 'float':
      return driver.Float;
    case 'real':
      return driver.Real;
    case 'date':
      return driver.Date;
    case 'smalldatetime':
      return driver.SmallDateTime;
    case 'datetime':
      return driver.DateTime;
    case 'datetime2':
      return driver.DateTime2(size);
    case 'datetimeoffset':
      return driver.DateTimeOffset(size);
    case 'uniqueidentifier':
      return driver.UniqueIdentifier;
    case 'varchar':
      return driver.VarChar(size === Infinity ? driver.MAX : size);
    case 'nvarchar':
      return driver.NVarChar(size === Infinity ? driver.MAX : size);
  }
}
