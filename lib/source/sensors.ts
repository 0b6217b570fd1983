/** Which sensors are posted, and as what: names are compared exactly, whatever the database's collation does. */
import { TmError } from '../errors';

export interface SensorSelection {
  readonly sensors?: readonly string[];
  readonly exclude?: readonly string[];
  readonly rename?: readonly (readonly [from: string, to: string])[];
}

const WILDCARD = /[*?]/;

/** Names to be found in a table at once, and patterns; undefined: any name may be wanted. */
export function wantedNames(
  { sensors = [] }: SensorSelection,
  mostPatterns: number,
): { names: string[]; patterns: string[] } | undefined {
  const patterns = sensors.filter((name) => WILDCARD.test(name));
  if (sensors.length === 0 || patterns.length > mostPatterns) return undefined;
  return { names: sensors.filter((name) => !WILDCARD.test(name)), patterns };
}

/** `K1*` as LIKE has it, with `!` as escape. */
export function likePattern(pattern: string): string {
  return pattern
    .replace(/[%_![\]]/g, '!$&')
    .replaceAll('*', '%')
    .replaceAll('?', '_');
}

export class SensorNames {
  readonly #wanted: NameSet | undefined;
  readonly #excluded: NameSet;
  readonly #renamed: ReadonlyMap<string, string>;

  constructor({ sensors = [], exclude = [], rename = [] }: SensorSelection) {
    this.#wanted = sensors.length === 0 ? undefined : new NameSet(sensors);
    this.#excluded = new NameSet(exclude);
    this.#renamed = new Map(rename);
  }

  /**
   * What readings are posted as; undefined where they are not wanted.
   * @param sensor its name in the database
   * @param suffix what tells apart the values of one sensor; lists may name the sensor with it or without
   */
  posted(sensor: string, suffix = ''): string | undefined {
    const full = `${sensor}${suffix}`;
    if (this.#wanted && !this.#wanted.has(full) && !this.#wanted.has(sensor)) return undefined;
    if (this.#excluded.has(full) || this.#excluded.has(sensor)) return undefined;
    const renamed = this.#renamed.get(sensor);
    return this.#renamed.get(full) ?? (renamed === undefined ? full : `${renamed}${suffix}`);
  }
}

/** @throws TmError that two sensors would be one for whoever receives them */
export function refuseSameName(name: string, one: string, other: string): never {
  throw new TmError(
    'TM_SETTING_INVALID',
    `The sensors ${JSON.stringify(one)} and ${JSON.stringify(other)} would both be posted as ${JSON.stringify(name)}. Give one of them another name in rename, or leave it out.`,
  );
}

/** Names and wildcards: `*` is any text, `?` any one character. */
class NameSet {
  readonly #names: ReadonlySet<string>;
  readonly #patterns: readonly RegExp[];

  constructor(list: readonly string[]) {
    this.#names = new Set(list.filter((name) => !WILDCARD.test(name)));
    this.#patterns = list.filter((name) => WILDCARD.test(name)).map(asPattern);
  }

  has(name: string): boolean {
    return this.#names.has(name) || this.#patterns.some((pattern) => pattern.test(name));
  }
}

function asPattern(wildcards: string): RegExp {
  const source = wildcards
    .replace(/[\\^$.+()[\]{}|/-]/g, String.raw`\$&`)
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'su');
}
