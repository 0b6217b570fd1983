/** The settings of a tm-fetch: what is read, and how it is handed on. Checked and completed as in lib/settings. */
import { TmError } from './errors';
import { lines, names, pairs } from './lists';
import { invalid, SettingsReader, type RawSettings } from './settings';
import { LEXES, parameterNames } from './source/sql-parameters';
import type { ReadingsQuery } from './source/query';
import { SensorNames, suffixesOf } from './source/sensors';
import { quote } from './window';

export interface FetchSettings {
  readonly query: ReadingsQuery;
  readonly readingsPerBatch: number;
  readonly output: 'body' | 'object';
  readonly nullValues: 'null' | 'skip';
}

export function fetchSettings(raw: RawSettings): FetchSettings {
  const read = new SettingsReader(raw);
  return {
    query: readingsQuery(read),
    readingsPerBatch: read.number('readingsPerBatch', 10_000, { least: 1, most: 1_000_000, whole: true }),
    output: read.choice('output', ['body', 'object']),
    nullValues: read.choice('nullValues', ['null', 'skip']),
  };
}

function readingsQuery(read: SettingsReader): ReadingsQuery {
  const query = queryOf(read);
  const columns = query.from === 'table' && query.shape === 'wide' ? query.valueColumns : [];
  const values = query.from === 'table' && query.shape !== 'wide' ? [query.valueColumn].flat() : [];
  const names = new SensorNames(query, suffixesOf(values));
  // What is named can be looked at now; what else there is shows when it is read.
  names.check(query.sensors ?? []);
  if ('prefix' in query) names.check(columns.map((column) => `${query.prefix}${column}`));
  return query;
}

function queryOf(read: SettingsReader): ReadingsQuery {
  if (read.choice('from', ['table', 'sql']) === 'sql')
    return { from: 'sql', sql: ownSql(read), ...shared(read) };
  const table = {
    from: 'table',
    table: read.required('table', 'the name of the table, such as public.sensor_data'),
    timestampColumn: read.text('timestampColumn', 'timestamp'),
  } as const;
  // Of the user's own SQL these are for the SQL to say.
  const selection = {
    sensors: lines(read.text('sensors')),
    exclude: lines(read.text('exclude')),
    ...quality(read),
    ...shared(read),
  };
  if (read.choice('shape', ['long', 'wide']) === 'wide') {
    return {
      ...table,
      shape: 'wide',
      valueColumns: names(read.text('wideColumns')),
      prefix: read.text('sensorPrefix'),
      ...selection,
    };
  }
  const values = names(read.text('valueColumn', 'value'));
  const [value = 'value', another] = values;
  return {
    ...table,
    sensorColumn: read.text('sensorColumn', 'sensor_id'),
    valueColumn: another === undefined ? value : values,
    ...selection,
  };
}

function ownSql(read: SettingsReader): string {
  const sql = read.required('sql', 'a SELECT with :start_time and :end_time');
  // The database may not be known yet: what is a parameter to any of them will do here.
  const parameters = LEXES.flatMap((lexis) => parameterNames(sql, lexis));
  for (const name of ['start_time', 'end_time']) {
    if (!parameters.includes(name)) {
      throw new TmError(
        'TM_SETTING_INVALID',
        `sql has no :${name}; without it each window would read everything.`,
      );
    }
  }
  return sql;
}

type Selection = Pick<ReadingsQuery, 'rename' | 'extras' | 'trackBy' | 'epochUnit' | 'quality'>;

function shared(read: SettingsReader): Selection {
  const trackBy = read.text('trackBy');
  const epochUnit = read.choice('epochUnit', ['auto', 's', 'ms', 'us', 'ns']);
  return {
    rename: renames(read),
    extras: extraColumns(read),
    ...(trackBy === '' ? {} : { trackBy }),
    ...(epochUnit === 'auto' ? {} : { epochUnit }),
  };
}

function quality(read: SettingsReader): Selection {
  const column = read.text('qualityColumn');
  if (column === '') return {};
  return { quality: { column, accepted: names(read.text('qualityAccepted', '192')) } };
}

function renames(read: SettingsReader): (readonly [string, string])[] {
  const renamed = new Map<string, string>();
  const given = new Map<string, string>();
  for (const [tag, name, rest] of pairs(read.text('rename'))) {
    if (tag === '' || name === undefined || name === '' || rest.length > 0) {
      throw invalid(
        'rename',
        [tag, name, ...rest].join(','),
        'a tag, a comma, and its new name on each line',
      );
    }
    const other = given.get(name);
    if (other !== undefined || renamed.has(tag)) {
      const why =
        other !== undefined && other !== tag
          ? `gives ${quote(other)} and ${quote(tag)} the same name, ${quote(name)}`
          : `has ${quote(tag)} twice`;
      throw new TmError('TM_SETTING_INVALID', `rename ${why}. Each sensor needs a name of its own.`);
    }
    renamed.set(tag, name);
    given.set(name, tag);
  }
  return [...renamed];
}

/** Names that a reading has already. */
const READING = ['timestamp', 'value'];

function extraColumns(read: SettingsReader): { column: string; name: string }[] {
  const extras = pairs(read.text('extraColumns')).map(([column, name, rest]) => {
    if (column === '' || name === '' || rest.length > 0) {
      throw invalid(
        'extraColumns',
        [column, name, ...rest].join(','),
        'a column on each line, or a column, a comma, and its name in readings',
      );
    }
    return { column, name: name ?? column };
  });
  const taken = new Set(READING);
  for (const { name } of extras) {
    if (taken.has(name)) {
      throw new TmError(
        'TM_SETTING_INVALID',
        `extraColumns has the name ${quote(name)} twice in a reading. Put another behind the column: ${name},other`,
      );
    }
    taken.add(name);
  }
  return extras;
}
