/**
 * The editor's global `RED`, as far as the dialogs use it. Its published types know nothing of validators that give
 * a reason, of credentials that are validated, and of what a node has besides its settings.
 */
import type { EditorRED } from 'node-red';

declare global {
  const RED: DialogRED;
  /** Node-RED's own extension of jQuery: puts texts into elements with `data-i18n`. */
  interface JQuery {
    i18n(): this;
    /** Node-RED's own list of suggestions below an input. */
    autoComplete(options: {
      minLength?: number;
      search(typed: string, done: (found: readonly { value: string; label: string }[]) => void): void;
    }): this;
  }
}

/** A node in the editor, whatever its type; settings are missing where a flow was written for an older version. */
export type EditedNode = Readonly<{ id: string; type: string; _: Translate }> &
  Readonly<Record<string, unknown>>;

/** Looks into the label catalog of the node's type; gives the key back where there is no text for it. */
type Translate = (key: string, values?: Record<string, string | number>) => string;

/**
 * True, or the reason why not. Node-RED takes a text for a reason only from a function that declares two
 * parameters.
 */
export type Validator = (this: EditedNode, value: unknown, options: { label?: string }) => true | string;

interface PropertyDef<Value> {
  value: Value;
  required?: boolean;
  /** Of the config node that the property points to. */
  type?: string;
  validate?: Validator;
}

interface CredentialDef {
  type: 'text' | 'password';
  validate?: Validator;
}

type DialogNode<Properties extends object> = Properties & {
  readonly id: string;
  readonly type: string;
  readonly _: Translate;
  readonly _def: {
    defaults: Readonly<Record<string, PropertyDef<unknown>>>;
    credentials?: Readonly<Record<string, CredentialDef>>;
  };
};

/** A node type's definition; each method is called with the node as `this`. */
interface DialogDef<Properties extends object, Node = DialogNode<Properties>> {
  category: string;
  color: string;
  icon: string;
  defaults: { [Name in keyof Properties]: PropertyDef<Properties[Name]> };
  credentials?: Record<string, CredentialDef>;
  inputs?: 0 | 1;
  outputs?: number;
  align?: 'left' | 'right';
  paletteLabel?: string;
  label(this: Node): string;
  labelStyle(this: Node): string;
  inputLabels?(this: Node): string;
  outputLabels?(this: Node, index: number): string;
  oneditprepare(this: Node): void;
  oneditsave?(this: Node): void;
  oneditcancel?(this: Node): void;
  oneditresize?(this: Node, size: { width: number; height: number }): void;
}

export interface DialogTabs {
  addTab(tab: { id: string; label: string }): void;
  activateTab(id: string): void;
  resize(): void;
}

interface DialogRED extends Omit<EditorRED, 'nodes' | 'tabs' | '_'> {
  _: Translate;
  nodes: {
    registerType<Properties extends object>(type: string, definition: DialogDef<Properties>): void;
    node(id: string): EditedNode | null;
  };
  tabs: {
    create(options: { id: string; onchange(tab: { id: string }): void }): DialogTabs;
  };
}
