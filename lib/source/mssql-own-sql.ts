/**
 * The user's own SQL as a table to select from. SQL Server has no read-only transaction, and takes several commands
 * in one statement: what keeps the SQL from writing is that it can be nothing but the one SELECT between the
 * parentheses that it is put in.
 */
import { TmError } from '../errors';

export interface OwnSql {
  /** `WITH …` as it stands before the statement that uses it; empty where there is none. */
  readonly commonTables: string;
  readonly select: string;
}

interface Token {
  readonly text: string;
  readonly start: number;
}

/** What is opened and closed, words, names in quotes, and commas; the rest is skipped. */
const TOKENS =
  /--[^\n]*|\/\*|\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\[(?:[^\]]|\]\])*\]|[A-Za-z_@#$][\w@#$]*|[(),;'"[]/g;

/** By {@link letterOf}: WITH, names with or without columns, each AS and its parentheses; and the SELECT. */
const COMMON_TABLES = /^W(?:X\(|N\(?A\()(?:,N\(?A\()*(?=S)/;

/**
 * @param sql one SELECT, with or without common table expressions
 * @throws TmError TM_QUERY_FAILED where it is anything else, or more
 */
export function ownSqlParts(sql: string): OwnSql {
  // Whether a carriage return ends a comment is for nobody to guess.
  const text = sql.replace(/\r\n?/g, '\n');
  const tokens = outermost(text);
  const letters = tokens.map(letterOf).join('');
  const from = COMMON_TABLES.exec(letters)?.[0].length ?? 0;
  if (!/[S(]/.test(letters.charAt(from))) {
    throw refused('it does not begin with SELECT, or with WITH and a SELECT behind it');
  }
  const start = from === 0 ? 0 : (tokens[from]?.start ?? 0);
  const words = new Set(tokens.slice(from).map((token) => token.text.toUpperCase()));
  // A derived table has no order of its own, unless it says how many rows it takes.
  const ordered = words.has('ORDER') && !words.has('TOP') && !words.has('OFFSET');
  return {
    commonTables: text.slice(0, start),
    select: `${text.slice(start)}${ordered ? '\nOFFSET 0 ROWS' : ''}`,
  };
}

function letterOf({ text }: Token): string {
  const letters: Readonly<Record<string, string>> = { WITH: 'W', AS: 'A', SELECT: 'S', XMLNAMESPACES: 'X' };
  return /^[(,]/.test(text) ? text : (letters[text.toUpperCase()] ?? 'N');
}

/** What stands outside of any parentheses, strings and comments. */
function outermost(sql: string): Token[] {
  const found: Token[] = [];
  let depth = 0;
  TOKENS.lastIndex = 0;
  for (let match = TOKENS.exec(sql); match; match = TOKENS.exec(sql)) {
    const [text] = match;
    if (text === '/*') TOKENS.lastIndex = commentEnd(sql, match.index);
    else if (text === ';') throw refused('it holds a semicolon');
    else if (text === '*/' || /^['"[]$/.test(text)) throw refused(`its ${text} has no other end`);
    else if (text === ')') depth--;
    else if (!text.startsWith('--') && !text.startsWith("'")) {
      if (depth === 0) found.push({ text, start: match.index });
      if (text === '(') depth++;
    }
    if (depth < 0) break;
  }
  if (depth !== 0) throw refused('its parentheses are not in pairs');
  return found;
}

/** Comments nest. */
function commentEnd(sql: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(sql); mark; mark = marks.exec(sql)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  throw refused('a comment in it has no end');
}

function refused(why: string): TmError {
  return new TmError(
    'TM_QUERY_FAILED',
    `The SQL must be one SELECT, so that nothing can be written with it: ${why}. Correct it in tm-fetch.`,
  );
}
