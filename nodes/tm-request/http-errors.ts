/**
 * What Node-RED's own HTTP layer refuses before a request reaches the flow (a path or a body that cannot be
 * decoded) it answers, unless it runs with NODE_ENV=production, with a page that shows a stack trace. On the
 * request API's paths it is answered as everything there: JSON that says no more than the status.
 */
import type { NodeAPI } from 'node-red';

type NextHandler = (error: unknown) => void;
type Mountable = NodeAPI['httpNode'] & { readonly parent?: Mountable };

const served = new WeakSet<object>();
const API_PATH = /\/(?:raise-request|tasks)(?:\/|$)/;

/** Once for a server, whatever is deployed how often. */
export function answerHttpErrors(RED: NodeAPI): void {
  // Undefined, or false, where the runtime serves no HTTP, whatever the types say.
  let app = RED.httpNode as Mountable | false | undefined;
  if (typeof app !== 'function') return;
  while (app.parent) app = app.parent;
  if (served.has(app)) return;
  served.add(app);
  app.use((error: unknown, request: { path: string }, response: Response, next: NextHandler) => {
    const status = statusOf(error);
    if (status === undefined || response.headersSent || !API_PATH.test(request.path)) next(error);
    else response.status(status).json({ detail: status === 413 ? 'The body is too large.' : 'Bad Request' });
  });
}

interface Response {
  readonly headersSent: boolean;
  status(status: number): Response;
  json(body: object): void;
}

/** What the caller did wrong; what went wrong here is another matter. */
function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('status' in error)) return undefined;
  const { status } = error;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}
