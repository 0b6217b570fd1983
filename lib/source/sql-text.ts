/**
 * SQL with the values bound into it kept apart from its text. Only what was written as {@link raw} on purpose
 * becomes text: a plain string cannot end up in a statement by mistake.
 */
import type { ColumnInfo } from './columns';

/** A value that a statement is given. */
export interface Bound {
  readonly as: 'instant' | 'naive' | 'number' | 'text' | 'names';
  /** `2026-01-31T12:00:00Z`, `2026-01-31 12:00:00`, digits, or a text; for `names` a list of texts. */
  readonly value: string | readonly string[];
  /** What it is compared with; undefined in the user's own SQL, where it takes the type of its place. */
  readonly column?: ColumnInfo | undefined;
}

export interface Sql {
  /** One more than there are bounds. */
  readonly texts: readonly string[];
  readonly bounds: readonly Bound[];
}

export function raw(text: string): Sql {
  return { texts: [text], bounds: [] };
}

export function bound(value: Bound): Sql {
  return { texts: ['', ''], bounds: [value] };
}

/** A template of pieces of SQL. */
export function sql(texts: TemplateStringsArray, ...pieces: readonly Sql[]): Sql {
  return concat(texts.flatMap((text, index) => [raw(text), ...pieces.slice(index, index + 1)]));
}

export function join(pieces: readonly Sql[], separator: string): Sql {
  return concat(pieces.flatMap((piece, index) => (index === 0 ? [piece] : [raw(separator), piece])));
}

/** The statement's text with a placeholder (or a literal) for each bound. */
export function textOf({ texts, bounds }: Sql, placeholder: (bound: Bound, index: number) => string): string {
  return texts
    .map((text, index) => {
      const next = bounds[index];
      return next ? text + placeholder(next, index) : text;
    })
    .join('');
}

function concat(pieces: readonly Sql[]): Sql {
  const texts: string[] = [];
  let open = '';
  for (const piece of pieces) {
    const [first = '', ...rest] = piece.texts;
    open += first;
    for (const text of rest) {
      texts.push(open);
      open = text;
    }
  }
  return { texts: [...texts, open], bounds: pieces.flatMap(({ bounds }) => bounds) };
}
