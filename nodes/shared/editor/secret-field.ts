/** Fields of secrets: what is typed can be looked at; what is stored never comes back from the server. */
import { say } from './catalog';

/** What Node-RED puts into the field of a secret that is stored. */
const STORED = '__PWRD__';

export function isStored(value: unknown): boolean {
  return value === STORED;
}

export function guardSecrets(form: JQuery): void {
  form.find('input[type="password"]').each((_index, element) => {
    const input = $(element);
    const icon = $('<i class="fa fa-eye"></i>');
    const button = $('<button type="button" class="red-ui-button tm-reveal"></button>')
      .append(icon)
      .insertAfter(input);
    const update = (): void => {
      const hidden = input.attr('type') === 'password';
      const stored = isStored(input.val());
      icon.attr('class', hidden ? 'fa fa-eye' : 'fa fa-eye-slash');
      button.prop('disabled', stored).toggleClass('disabled', stored);
      button.attr('title', say(stored ? 'secret.stored' : hidden ? 'secret.show' : 'secret.hide'));
    };
    button.on('click', () => {
      input.attr('type', input.attr('type') === 'password' ? 'text' : 'password');
      update();
    });
    // Typing replaces a stored secret; it is not added to what stands for it.
    input.on('focus', () => {
      if (isStored(input.val())) input.trigger('select');
    });
    input.on('change input', update);
    update();
  });
}
