/**
 * `:start_time` and `:end_time` in the user's own SQL. A parameter is only what stands in plain SQL: not in a
 * string, a quoted name, a comment or a dollar-quoted body, and not the second colon of a `::cast`.
 */

/** How an engine writes texts, names and comments. */
export const LEXES = ['postgres', 'mysql', 'mssql', 'sqlite'] as const;
export type SqlLexis = (typeof LEXES)[number];

const COMMENT = String.raw`--[^\n]*`;
/** Its end is looked for where comments nest. */
const NESTED_COMMENT = String.raw`/\*`;
const FLAT_COMMENT = String.raw`/\*[\s\S]*?(?:\*/|$)`;
const TEXT = String.raw`'(?:[^']|'')*(?:'|$)`;
const QUOTED = String.raw`"(?:[^"]|"")*(?:"|$)`;
const BACKTICKS = '`(?:[^`]|``)*(?:`|$)';
const PARAMETER = String.raw`:[A-Za-z_]\w*`;

const TOKENS: Readonly<Record<SqlLexis, RegExp>> = {
  postgres: anyOf(
    String.raw`--[^\r\n]*`,
    NESTED_COMMENT,
    String.raw`\b[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)`,
    TEXT,
    QUOTED,
    // A name may hold dollars too, but not begin with one.
    String.raw`(?<![\w$\u0080-\uffff])\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$`,
    String.raw`::`,
    PARAMETER,
  ),
  mysql: anyOf(
    // Two minus signs are no comment without a blank behind them.
    String.raw`--(?=[\s\0-\x1f]|$)[^\n]*`,
    String.raw`#[^\n]*`,
    FLAT_COMMENT,
    String.raw`'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)`,
    String.raw`"(?:[^"\\]|\\[\s\S]|"")*(?:"|$)`,
    BACKTICKS,
    PARAMETER,
  ),
  mssql: anyOf(
    COMMENT,
    NESTED_COMMENT,
    TEXT,
    QUOTED,
    String.raw`\[(?:[^\]]|\]\])*(?:\]|$)`,
    // A method of a type, such as geography::Parse.
    String.raw`::`,
    PARAMETER,
  ),
  sqlite: anyOf(COMMENT, FLAT_COMMENT, TEXT, QUOTED, BACKTICKS, String.raw`\[[^\]]*(?:\]|$)`, PARAMETER),
};

interface Parameter {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** The names of the parameters in `sql`, each once, in order of appearance. */
export function parameterNames(sql: string, lexis: SqlLexis): string[] {
  return [...new Set(findParameters(sql, TOKENS[lexis]).map(({ name }) => name))];
}

/** `sql` in pieces between its parameters: `texts` is one longer than `names`. */
export function splitParameters(sql: string, lexis: SqlLexis): { texts: string[]; names: string[] } {
  const texts: string[] = [];
  const names: string[] = [];
  let from = 0;
  for (const { name, start, end } of findParameters(sql, TOKENS[lexis])) {
    texts.push(sql.slice(from, start));
    names.push(name);
    from = end;
  }
  return { texts: [...texts, sql.slice(from)], names };
}

function anyOf(...tokens: readonly string[]): RegExp {
  return new RegExp(tokens.join('|'), 'g');
}

function findParameters(sql: string, tokens: RegExp): Parameter[] {
  const found: Parameter[] = [];
  tokens.lastIndex = 0;
  for (let match = tokens.exec(sql); match; match = tokens.exec(sql)) {
    const [token] = match;
    if (token === '/*') tokens.lastIndex = commentEnd(sql, match.index);
    else if (token.startsWith('$')) tokens.lastIndex = dollarQuoteEnd(sql, token, tokens.lastIndex);
    else if (token.startsWith(':') && token !== '::') {
      found.push({ name: token.slice(1), start: match.index, end: tokens.lastIndex });
    }
  }
  return found;
}

/** Comments nest in PostgreSQL and SQL Server. */
function commentEnd(sql: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(sql); mark; mark = marks.exec(sql)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return sql.length;
}

function dollarQuoteEnd(sql: string, tag: string, from: number): number {
  const end = sql.indexOf(tag, from);
  return end < 0 ? sql.length : end + tag.length;
}
