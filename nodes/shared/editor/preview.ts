/**
 * The *Preview* of a tm-fetch: the newest readings as they would be posted, as a table and a small plot, what the
 * table's columns look like, and whether an index serves its windows. And, while typing, the names of tables and
 * columns.
 */
import type { Preview, PreviewReading, TablePreview } from '../../../lib/preview';
import { showAnswer, showTrying } from './answer';
import { ask } from './ask';
import { configForm } from './config-choice';
import { field, valueOf, type Dialog } from './form';
import { plot } from './plot';

type Answer =
  | { readonly ok: true; readonly result: Preview & { readonly problem?: string } }
  | { readonly ok: false; readonly text: string };

const MOST_SUGGESTED = 50;
/** Settings that name one column. */
const COLUMNS = ['sensorColumn', 'timestampColumn', 'valueColumn', 'qualityColumn', 'trackBy'] as const;
/** What the columns of a table may be proposed for. */
const PROPOSED = ['shape', 'timestampColumn', 'sensorColumn', 'valueColumn'] as const;

export function offerPreview(dialog: Dialog, names: readonly string[]): void {
  const button = $('#tm-fetch-preview');
  const answer = $('#tm-fetch-answer');
  const shown = $('#tm-fetch-readings');
  const request = (readings: boolean, instead: { readonly table?: string } = {}): Promise<Answer> => {
    const typed = Object.fromEntries(names.map((name) => [name, valueOf(dialog, name)]));
    const config = configForm(valueOf(dialog, 'config'));
    return ask('preview', { readings, config, fetch: { ...typed, ...instead, id: dialog.node.id } });
  };
  suggestNames(dialog, (table) => request(false, { table }));
  button.on('click', () => {
    button.prop('disabled', true).addClass('disabled');
    showTrying(answer);
    shown.empty();
    request(true)
      .then((preview) => {
        if (!preview.ok) showAnswer(answer, false, preview.text);
        else show(dialog, answer, shown, preview.result);
      })
      .catch((error: unknown) => {
        showAnswer(answer, false, error instanceof Error ? error.message : String(error));
      })
      .finally(() => {
        button.prop('disabled', false).removeClass('disabled');
      });
  });
}

function show(
  dialog: Dialog,
  answer: JQuery,
  shown: JQuery,
  { table, readings = [], problem }: Preview & { readonly problem?: string },
): void {
  const say = (key: string, values: Record<string, string | number> = {}): string =>
    dialog.node._(`preview.${key}`, values);
  const [newest] = readings;
  if (problem !== undefined) showAnswer(answer, false, problem);
  else if (newest) showAnswer(answer, true, say('newest', { count: readings.length, at: newest.timestamp }));
  else showAnswer(answer, true, say('empty'));
  if (table) {
    proposal(dialog, table, say)?.appendTo(shown);
    if (table.warning !== undefined) note(table.warning, 'fa-exclamation-triangle').appendTo(shown);
    else if (table.index !== undefined) note(say('index', { index: table.index }), 'fa-bolt').appendTo(shown);
  }
  if (readings.length === 0) return;
  shown.append(plot(readings, say));
  shown.append(tableOf(readings, say));
}

/** What the columns look like, where the form says otherwise, and a button that puts it there. */
function proposal(
  dialog: Dialog,
  { mapping, columns }: TablePreview,
  say: (key: string, values?: Record<string, string>) => string,
): JQuery | undefined {
  const values: Partial<Record<(typeof PROPOSED)[number], string>> = mapping;
  const known = new Set(columns.map(({ name }) => name));
  const wrong = PROPOSED.filter((name) => {
    const proposed = values[name];
    if (proposed === undefined || valueOf(dialog, name) === proposed) return false;
    // A column that is there was chosen on purpose.
    return name === 'shape' || !known.has(valueOf(dialog, name));
  });
  const columnsWrong = wrong.some((name) => name !== 'shape');
  if (!columnsWrong) return undefined;
  const described = wrong.map((name) => say(`proposed.${name}`, { column: values[name] ?? '' })).join(', ');
  const use = $('<button type="button" class="red-ui-button red-ui-button-small tm-use">').text(say('use'));
  use.on('click', () => {
    for (const name of wrong)
      field(dialog, name)
        .val(values[name] ?? '')
        .trigger('change');
    $('#tm-fetch-preview').trigger('click');
  });
  return note(say('looksLike', { columns: described }), 'fa-lightbulb-o').append(' ', use);
}

function note(text: string, icon: string): JQuery {
  return $('<div class="tm-note">').append(
    $('<i>').attr('class', `fa ${icon}`),
    document.createTextNode(` ${text}`),
  );
}

function tableOf(readings: readonly PreviewReading[], say: (key: string) => string): JQuery {
  const extras = Object.keys(readings[0] ?? {}).filter(
    (key) => !['sensor', 'timestamp', 'value'].includes(key),
  );
  const head = [say('sensor'), say('timestamp'), say('value'), ...extras];
  const row = (cells: readonly unknown[], tag: 'th' | 'td'): JQuery =>
    $('<tr>').append(
      cells.map((cell) => $(`<${tag}>`).text(typeof cell === 'string' ? cell : JSON.stringify(cell))),
    );
  const body = readings.map((reading) =>
    row([reading.sensor, reading.timestamp, reading.value, ...extras.map((key) => reading[key])], 'td'),
  );
  return $('<div class="tm-readings">').append(
    $('<table>').append($('<thead>').append(row(head, 'th')), $('<tbody>').append(body)),
  );
}

/** Asked for when they are first needed, and again for another configuration or table. */
function suggestNames(dialog: Dialog, look: (table: string) => Promise<Answer>): void {
  const known = new Map<string, Promise<Preview>>();
  const namesOf = (table: string): Promise<Preview> => {
    const key = JSON.stringify([valueOf(dialog, 'config'), table]);
    const found =
      known.get(key) ??
      // What cannot be asked suggests nothing; the Preview says why.
      look(table).then(
        (answer): Preview => (answer.ok ? answer.result : { tables: [] }),
        (): Preview => ({ tables: [] }),
      );
    known.set(key, found);
    return found;
  };
  const suggest = (
    name: string,
    options: () => Promise<readonly { readonly value: string; readonly label: string }[]>,
  ): void => {
    field(dialog, name).autoComplete({
      minLength: 0,
      search(typed, done) {
        const part = typed.toLowerCase();
        void options().then((offered) => {
          done(offered.filter(({ value }) => value.toLowerCase().includes(part)).slice(0, MOST_SUGGESTED));
        });
      },
    });
  };
  suggest('table', async () => {
    const { tables } = await namesOf('');
    return tables.map((table) => ({ value: table, label: table }));
  });
  for (const name of COLUMNS) {
    suggest(name, async () => {
      const { table } = await namesOf(valueOf(dialog, 'table'));
      return (table?.columns ?? []).map((column) => ({
        value: column.name,
        label: `${column.name} (${column.type})`,
      }));
    });
  }
}
