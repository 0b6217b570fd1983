/** Names of tables as they are typed: `table` or `schema.table`; a part with a dot in it is quoted. */
import { TmError } from '../errors';

/** Parts in double quotes, square brackets or backticks, or plain. */
const PARTS = /"(?:[^"]|"")+"|\[(?:[^\]]|\]\])+\]|`(?:[^`]|``)+`|[^".[\]`]+/g;
const CLOSING: Readonly<Record<string, string>> = { '"': '"', '[': ']', '`': '`' };

/** @returns its parts without quotes. @throws TmError TM_SETTING_INVALID */
export function tableParts(table: string): string[] {
  const parts = table.trim().match(PARTS);
  if (parts?.join('.') !== table.trim() || parts.length > 3) {
    throw new TmError(
      'TM_SETTING_INVALID',
      `table ${JSON.stringify(table)} is not a table's name. Give table or schema.table; quote a part that holds a dot: "my.schema".table`,
    );
  }
  return parts.map((part) => {
    const closing = CLOSING[part.charAt(0)];
    return closing === undefined ? part.trim() : part.slice(1, -1).replaceAll(closing + closing, closing);
  });
}

/** The name of a table as {@link tableParts} takes it apart again. */
export function tableName(parts: readonly string[]): string {
  return parts
    .map((part) => (/^[^".[\]`\s]+$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`))
    .join('.');
}
