/** A *Test* button: sends what is in the form, deployed or not, to the runtime, and shows its answer in words. */
import { showAnswer, showTrying } from './answer';
import { ask } from './ask';
import { valueOf, type Dialog } from './form';

/** What the runtime's test routes answer. */
interface TestAnswer {
  readonly ok: boolean;
  readonly text: string;
}

/** @param names of all settings and secrets; a stored secret is sent as what stands for it */
export function answerTest(
  dialog: Dialog,
  what: 'database' | 'endpoint' | 'broker',
  names: readonly string[],
): void {
  const button = $(`#tm-config-test-${what}`);
  const answer = $(`#tm-config-answer-${what}`);
  button.on('click', () => {
    const form = Object.fromEntries(names.map((name) => [name, chosen(valueOf(dialog, name))]));
    button.prop('disabled', true).addClass('disabled');
    showTrying(answer);
    ask<TestAnswer>(`test-${what}`, { ...form, id: dialog.node.id })
      .then(({ ok, text }) => {
        showAnswer(answer, ok, text);
      })
      .catch((error: unknown) => {
        showAnswer(answer, false, error instanceof Error ? error.message : String(error));
      })
      .finally(() => {
        button.prop('disabled', false).removeClass('disabled');
      });
  });
}

/** Node-RED's lists of config nodes say *none* in their own way. */
function chosen(value: string): string {
  return value === '_ADD_' ? '' : value;
}
