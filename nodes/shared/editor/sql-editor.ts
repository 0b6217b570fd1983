/** Node-RED's code editor for SQL, over the hidden field that Node-RED reads and validates. */
const LEAST_HEIGHT = 150;

export class SqlEditor {
  readonly #editor: AceAjax.Editor;
  readonly #element: JQuery;

  /** @param id of the element that the editor fills */
  constructor(id: string, input: JQuery) {
    this.#element = $(`#${id}`);
    this.#editor = RED.editor.createEditor({ id, mode: 'ace/mode/sql', value: String(input.val() ?? '') });
    this.#editor.getSession().on('change', () => {
      input.val(this.#editor.getValue()).trigger('change');
    });
  }

  mark(valid: boolean): void {
    this.#element.toggleClass('input-error', !valid);
    this.#element.css('border-color', valid ? '' : 'var(--red-ui-form-input-border-error-color)');
  }

  /** Takes the height that the dialog has and its other rows leave free. */
  fill(dialog: JQuery): void {
    if (this.#element.is(':hidden')) return;
    const rows = dialog.find('.tm-form');
    const others = (rows.outerHeight(true) ?? 0) - (this.#element.outerHeight() ?? 0);
    this.#element.css('height', Math.max(LEAST_HEIGHT, (dialog.height() ?? 0) - others));
    this.#editor.resize();
  }

  destroy(): void {
    this.#editor.destroy();
  }
}
