/** Where a button's answer stands: what is being tried, and what came of it. */
import { say } from './catalog';

export function showTrying(answer: JQuery): void {
  answer.attr('class', 'tm-answer').empty();
  answer.append('<i class="fa fa-spinner fa-pulse"></i>', document.createTextNode(` ${say('test.running')}`));
}

export function showAnswer(answer: JQuery, ok: boolean, text: string): void {
  const icon = $('<i>').attr('class', ok ? 'fa fa-check-circle' : 'fa fa-times-circle');
  answer.attr('class', `tm-answer ${ok ? 'tm-success' : 'tm-reason'}`);
  answer.empty().append(icon, document.createTextNode(` ${text}`));
}
