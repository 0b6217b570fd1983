/** A *Test* button: sends what is in the form, deployed or not, to the runtime, and shows its answer in words. */
import { say } from './catalog';
import { valueOf, type Dialog } from './form';

/** What the runtime's test routes answer. */
interface TestAnswer {
  readonly ok: boolean;
  readonly text: string;
}

/** @param names of all settings and secrets; a stored secret is sent as what stands for it */
export function answerTest(dialog: Dialog, what: 'database' | 'endpoint', names: readonly string[]): void {
  const button = $(`#tm-config-test-${what}`);
  const answer = $(`#tm-config-answer-${what}`);
  const show = (ok: boolean, text: string): void => {
    const icon = $('<i>').attr('class', ok ? 'fa fa-check-circle' : 'fa fa-times-circle');
    answer.attr('class', `tm-answer ${ok ? 'tm-success' : 'tm-reason'}`);
    answer.empty().append(icon, document.createTextNode(` ${text}`));
  };
  button.on('click', () => {
    const form = Object.fromEntries(names.map((name) => [name, chosen(valueOf(dialog, name))]));
    button.prop('disabled', true).addClass('disabled');
    answer.attr('class', 'tm-answer').empty();
    answer.append(
      '<i class="fa fa-spinner fa-pulse"></i>',
      document.createTextNode(` ${say('test.running')}`),
    );
    // A relative address: Node-RED puts its own root and the user's token to it.
    $.ajax({
      url: `turbomechanica/test-${what}`,
      method: 'POST',
      contentType: 'application/json',
      data: JSON.stringify({ ...form, id: dialog.node.id }),
      dataType: 'json',
    })
      .done(({ ok, text }: TestAnswer) => {
        show(ok, text);
      })
      .fail(({ status }) => {
        show(false, describeFailure(status));
      })
      .always(() => {
        button.prop('disabled', false).removeClass('disabled');
      });
  });
}

/** Node-RED's lists of config nodes say *none* in their own way. */
function chosen(value: string): string {
  return value === '_ADD_' ? '' : value;
}

function describeFailure(status: number): string {
  if (status === 0) return say('test.noAnswer');
  if (status === 401 || status === 403) return say('test.notAllowed');
  return say('test.failed', { status });
}
