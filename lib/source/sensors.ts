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

/**
 * `K1*` as LIKE has it, with `!` as escape. `?` is at least one character there: databases may count several for
 * what is one here.
 */
export function likePattern(pattern: string): string {
  return pattern
    .replace(/[%_![\]]/g, '!$&')
    .replaceAll('*', '%')
    .replaceAll('?', '_%');
}

/** Between a sensor and the column of one of its several values. */
const SEPARATOR = '.';

/** What is behind a sensor's name where it has several values, for each of them; else nothing. */
export function suffixesOf(valueColumns: readonly string[]): readonly string[] {
  return valueColumns.length > 1 ? valueColumns.map((column) => `${SEPARATOR}${column}`) : [''];
}

export class SensorNames {
  readonly #suffixes: readonly string[];
  readonly #wanted: NameSet | undefined;
  readonly #excluded: NameSet;
  readonly #renamed: ReadonlyMap<string, string>;
  /** Whose each new name is: a sensor that is called so in the database would be merged with it. */
  readonly #given = new Map<string, string>();

  /**
   * @param suffixes of {@link suffixesOf}
   * @throws TmError TM_SETTING_INVALID where two sensors get one name
   */
  constructor(
    { sensors = [], exclude = [], rename = [] }: SensorSelection,
    suffixes: readonly string[] = [''],
  ) {
    this.#suffixes = suffixes;
    this.#wanted = sensors.length === 0 ? undefined : new NameSet(sensors);
    this.#excluded = new NameSet(exclude);
    this.#renamed = new Map(rename);
    for (const [sensor, suffix] of rename.flatMap(([tag]) => this.#meant(tag))) {
      const full = `${sensor}${suffix}`;
      const name = this.#wants(sensor, suffix) ? this.#renamedTo(sensor, suffix) : undefined;
      if (name === undefined || name === full) continue;
      const other = this.#given.get(name) ?? full;
      if (other !== full) refuseSameName(name, other, full);
      this.#given.set(name, full);
    }
  }

  /**
   * What readings are posted as; undefined where they are not wanted.
   * @param sensor its name in the database
   * @param suffix what tells apart the values of one sensor; lists may name the sensor with it or without
   * @throws TmError TM_SETTING_INVALID where its name was given to another
   */
  posted(sensor: string, suffix = ''): string | undefined {
    if (!this.#wants(sensor, suffix)) return undefined;
    const full = `${sensor}${suffix}`;
    const name = this.#renamedTo(sensor, suffix);
    if (name !== undefined) return name;
    // Even where the other has no reading in this window: in the next one it may.
    const other = this.#given.get(full);
    if (other !== undefined) refuseSameName(full, other, full);
    return full;
  }

  /** @throws TmError TM_SETTING_INVALID where one of the names was given to another sensor */
  check(names: readonly string[]): void {
    for (const name of names) {
      if (WILDCARD.test(name)) continue;
      for (const [sensor, suffix] of this.#meant(name)) this.posted(sensor, suffix);
    }
  }

  #wants(sensor: string, suffix: string): boolean {
    const full = `${sensor}${suffix}`;
    if (this.#wanted && !this.#wanted.has(full) && !this.#wanted.has(sensor)) return false;
    return !this.#excluded.has(full) && !this.#excluded.has(sensor);
  }

  #renamedTo(sensor: string, suffix: string): string | undefined {
    const renamed = this.#renamed.get(sensor);
    return (
      this.#renamed.get(`${sensor}${suffix}`) ?? (renamed === undefined ? renamed : `${renamed}${suffix}`)
    );
  }

  /** What a name in a list may stand for: one value of a sensor, or all of them. */
  #meant(name: string): (readonly [sensor: string, suffix: string])[] {
    const one = this.#suffixes.find((suffix) => suffix !== '' && name.endsWith(suffix));
    return one === undefined
      ? this.#suffixes.map((suffix) => [name, suffix] as const)
      : [[name.slice(0, name.length - one.length), one]];
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
    .replace(/[\\^$.+()[\]{}|/]/g, String.raw`\$&`)
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'su');
}
