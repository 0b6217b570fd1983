/** Asks the runtime of this package, which may be older than the editor's page, or gone. */
import { say } from './catalog';

/** @param path relative: Node-RED puts its own root and the user's token to it */
export function ask<Answer>(path: string, body: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    $.ajax({
      url: `turbomechanica/${path}`,
      method: 'POST',
      contentType: 'application/json',
      data: JSON.stringify(body),
      dataType: 'json',
    })
      .done(resolve)
      .fail(({ status }) => {
        reject(new Error(describeFailure(status)));
      });
  });
}

function describeFailure(status: number): string {
  if (status === 0) return say('test.noAnswer');
  if (status === 401 || status === 403) return say('test.notAllowed');
  return say('test.failed', { status });
}
