/** The file `.env`. What the environment has already counts more than what the file says. */
import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export interface EnvFile {
  readonly values: Readonly<Record<string, string>>;
  /** Lines that other readers of such files take for something else: better asked than guessed. */
  readonly problems: readonly string[];
}

/** A value without quotes that goes on behind a `#`: a comment to some, and a part of the password to others. */
const AMBIGUOUS = /^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*[^'"`\s#][^\r\n#]*(?<! )#/gm;

/** @throws where the file cannot be read */
export function readEnvFile(path: string): EnvFile | undefined {
  if (!existsSync(path)) return undefined;
  // Notepad begins files with a byte order mark.
  const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  const values = Object.fromEntries(
    Object.entries(parseEnv(text)).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const problems = [...text.matchAll(AMBIGUOUS)].map(
    ([, name = '']) =>
      `${name} holds a "#" and stands in ${path} without quotes, so that its end would be taken for a comment. Put the value in quotes.`,
  );
  return { values, problems };
}

/** Both together; an empty value is none, as in the examples of such files. */
export function merged(
  environment: Readonly<Record<string, string | undefined>>,
  file: EnvFile | undefined,
): Record<string, string> {
  const both = { ...file?.values, ...environment };
  return Object.fromEntries(
    Object.entries(both).flatMap(([name, value]) => {
      const text = value?.trim() ?? '';
      return text === '' ? [] : [[name, text]];
    }),
  );
}
