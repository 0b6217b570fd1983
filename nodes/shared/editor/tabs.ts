/** A dialog's panels as tabs; a tab says when something on it is wrong, for it may be the one that is not shown. */
import type { Dialog } from './form';

/** Each `.tm-panel` becomes a tab, labelled by the catalog's `tab.<id>`. */
export function showPanelsAsTabs({ form, node }: Dialog, id: string): void {
  const panels = form.find('.tm-panel');
  const tabs = RED.tabs.create({
    id,
    onchange: (tab) => {
      panels.hide().filter(`#${tab.id}`).show();
    },
  });
  panels.each((_index, panel) => {
    tabs.addTab({ id: panel.id, label: node._(`tab.${panel.id.replace(`${id}-`, '')}`) });
  });
  const mark = (): void => {
    panels.each((_index, panel) => {
      const label = $(`#${id} a[href="#${panel.id}"]`);
      label.find('.tm-tab-wrong').remove();
      if ($(panel).find('.input-error').length > 0) {
        label.append(' <i class="fa fa-exclamation-triangle tm-tab-wrong"></i>');
      }
    });
  };
  // After Node-RED's own handlers, which stand on the fields, and once after the dialog is complete.
  form.on('change keyup paste', mark);
  setTimeout(() => {
    tabs.resize();
    mark();
  }, 0);
}
