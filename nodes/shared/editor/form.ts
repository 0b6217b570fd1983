/** The open dialog: which fields it has, what stands in them now, and what Node-RED leaves to each node there. */
import type { EditedNode } from './red';
import { guardSecrets } from './secret-field';
import { offerVariables } from './variable';

/** What a dialog's fields are called: a config node's dialog lies over that of the node that uses it. */
const PREFIXES = ['node-input', 'node-config-input'] as const;
export type Prefix = (typeof PREFIXES)[number];

/** A node whose settings are shown in fields named after them. */
export interface Dialog {
  readonly prefix: Prefix;
  readonly node: EditedNode;
  readonly form: JQuery;
}

/** Says which node a form belongs to. */
const OWNER = 'tm-node';

/**
 * To be called first by oneditprepare: fills in settings that an older flow lacks, and prepares fields that need
 * more than Node-RED does.
 * @param defaults as registered
 */
export function openDialog(
  node: EditedNode,
  prefix: Prefix,
  defaults: Readonly<Record<string, { value: unknown }>>,
): Dialog {
  const form = $(`.tm-form:has([id^="${prefix}-"])`).last();
  const dialog = { prefix, node, form };
  form.data(OWNER, node.id);
  for (const [name, { value }] of Object.entries(defaults)) {
    if (node[name] === undefined && value !== '') field(dialog, name).val(String(value));
  }
  offerVariables(form, node);
  guardSecrets(form);
  return dialog;
}

export function field({ prefix }: Dialog, name: string): JQuery {
  return $(`#${prefix}-${name}`);
}

/** What the field holds now; empty where there is none. */
export function valueOf(dialog: Dialog, name: string): string {
  return String(field(dialog, name).val() ?? '');
}

/** A setting of a node: as typed while the node's dialog is open, else as kept in the flow. */
export function settingOf(node: EditedNode, name: string): unknown {
  for (const prefix of PREFIXES) {
    const input = $(`#${prefix}-${name}`);
    if (input.closest('.tm-form').data(OWNER) === node.id) return input.val();
  }
  return node[name];
}

/** Shows rows of a class `tm-when-<name>-<value>` for that value alone, and follows its changes. */
export function showRowsBy(dialog: Dialog, name: string): void {
  const rows = dialog.form.find(`[class*="tm-when-${name}-"]`);
  const update = (): void => {
    const value = valueOf(dialog, name);
    // What an environment variable will say is not known here: any row may be needed.
    if (value.startsWith('${')) rows.show();
    else rows.hide().filter(`.tm-when-${name}-${value}`).show();
  };
  field(dialog, name).on('change', () => {
    update();
    RED.tray.resize();
  });
  update();
}

/** Numbers stay numbers in the flow file. To be called by oneditsave: Node-RED reads the form after it. */
export function saveNumbers(node: EditedNode, prefix: Prefix, names: readonly string[]): void {
  const numbers: Record<string, number> = {};
  for (const name of names) {
    const text = String($(`#${prefix}-${name}`).val() ?? '').trim();
    if (text !== '' && Number.isFinite(Number(text))) numbers[name] = Number(text);
  }
  Object.assign(node, numbers);
}
