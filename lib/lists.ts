/** Lists as they are typed or pasted into a form: one thing a line, or separated by commas as CSV has it. */

/** Spaces around lines, empty lines and repetitions do not count. */
export function lines(text: string): string[] {
  return [...new Set(text.split(/\r?\n/).map((line) => line.trim()))].filter((line) => line !== '');
}

/** Lines of two fields as spreadsheets and CSV files have them, with a comma, semicolon or tab between. */
export function pairs(text: string): [first: string, second: string | undefined, rest: string[]][] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [first = '', second, ...rest] = fields(line, line.includes('\t') ? /[\t]/y : /[,;]/y);
      return [first, second, rest];
    });
}

/** Names with commas between; one that holds a comma in double quotes. */
export function names(text: string): string[] {
  return [...new Set(fields(text, /[,\r\n]/y))].filter((name) => name !== '');
}

/** RFC 4180 §2: a field in double quotes may hold the separator, and a double quote doubled. */
function fields(line: string, separator: RegExp): string[] {
  const found: string[] = [];
  const quoted = /\s*"((?:[^"]|"")*)"\s*/y;
  let at = 0;
  for (;;) {
    quoted.lastIndex = at;
    const match = quoted.exec(line);
    const end = match ? quoted.lastIndex : at;
    if (match && (end === line.length || isAt(separator, line, end))) {
      found.push((match[1] ?? '').replaceAll('""', '"'));
      at = end;
    } else {
      let to = at;
      while (to < line.length && !isAt(separator, line, to)) to++;
      found.push(line.slice(at, to).trim());
      at = to;
    }
    if (at >= line.length) return found;
    at++;
  }
}

function isAt(pattern: RegExp, text: string, at: number): boolean {
  pattern.lastIndex = at;
  return pattern.test(text);
}
