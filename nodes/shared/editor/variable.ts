/** `${NAME}` in a setting: Node-RED puts the environment variable in when the flow starts. */
import { say } from './catalog';
import type { EditedNode } from './red';

export function isVariable(value: unknown): boolean {
  return typeof value === 'string' && /^\$\{[^}]+\}$/.test(value.trim());
}

/**
 * Lets each list of choices take an environment variable too: a last choice with a field for its name. The choice's
 * value is the `${NAME}`, so the list itself stays the setting's field.
 */
export function offerVariables(form: JQuery, node: EditedNode): void {
  form.find('select.tm-choice').each((_index, element) => {
    const select = $(element);
    const kept = node[element.id.replace(/^node-(config-)?input-/, '')];
    const option = $('<option>').val('${}').text(say('variable.choice')).appendTo(select);
    const name = $('<input type="text" class="tm-variable">')
      .attr('placeholder', say('variable.name'))
      .insertAfter(select);
    if (typeof kept === 'string' && isVariable(kept)) {
      name.val(kept.slice(2, -1));
      option.val(kept);
      select.val(kept);
    }
    const update = (): void => {
      name.toggle(select.val() === option.val());
    };
    name.on('change input', () => {
      option.val(`\${${String(name.val()).replace(/[${}\s]/g, '')}}`);
      select.trigger('change');
    });
    select.on('change', update);
    update();
  });
}
