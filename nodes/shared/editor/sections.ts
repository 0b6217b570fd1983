/** Parts of a dialog that most users never need: folded away, unless something in them was set. */
import { valueOf, type Dialog } from './form';

/** @param defaults as registered: what differs from them is to be seen at once */
export function openSections(dialog: Dialog, defaults: Readonly<Record<string, { value: unknown }>>): void {
  dialog.form.find('.tm-section').each((_index, section) => {
    const isSet = (name: string): boolean => {
      const initial = defaults[name]?.value;
      const field = $(section).find(`#${dialog.prefix}-${name}`);
      return field.length > 0 && valueOf(dialog, name) !== (typeof initial === 'string' ? initial : '');
    };
    $(section).prop('open', Object.keys(defaults).some(isSet));
    $(section).on('toggle', () => RED.tray.resize());
  });
}
