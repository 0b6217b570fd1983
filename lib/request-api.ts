/**
 * The request API over HTTP, without a server: what a request means, and what it is answered. Its paths,
 * bodies and states are those of the Python connector (FastAPI over Celery), so that its callers need no change.
 */
import { BearerKey } from './bearer-key';
import { asTmError, type TmError } from './errors';
import { RateLimit } from './rate-limit';
import { parseRequestBody } from './request-body';
import type { JsonObject, JsonValue } from './state/store';
import type { Tasks } from './task';
import type { TaskView } from './stored-task';
import { formatTime, type TaskState } from './task-record';
import { formatWindow } from './window';

export interface ApiRequest {
  readonly method: string;
  /** Without the query; anything may stand before the API's own part. */
  readonly path: string;
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As it was parsed, or the text or bytes as they came. */
  readonly body?: unknown;
  /** Where it comes from, as far as that is known. */
  readonly address?: string | undefined;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonValue;
  /** What the caller is told only in general terms: for the log and Catch. */
  readonly problem?: TmError;
}

interface Operation {
  readonly keyed: boolean;
  answer(request: ApiRequest, taskId: string): Promise<ApiAnswer>;
}

/** By method. */
type Resource = Readonly<Record<string, Operation | undefined>>;

/**
 * For the key, and for each address without it. A script may ask for hundreds of ranges at once, and look after
 * them every second; what is beyond that is a mistake, or somebody who tries keys.
 */
const RATE_LIMIT = { burst: 600, perSecond: 10 } as const;
const RETRY_AFTER_SECONDS = { queueFull: 60, state: 30 } as const;

export class RequestApi {
  readonly #tasks: Tasks;
  readonly #timeZone: string;
  readonly #key: BearerKey;
  readonly #rateLimit: RateLimit;
  readonly #resources: Readonly<Record<'raise-request' | 'tasks' | 'task', Resource>>;

  /**
   * @param timeZone of times without an offset
   * @param now milliseconds that only ever grow; for tests
   */
  constructor(tasks: Tasks, key: string, timeZone: string, now?: () => number) {
    this.#tasks = tasks;
    this.#timeZone = timeZone;
    this.#key = new BearerKey(key);
    this.#rateLimit = new RateLimit(RATE_LIMIT, now);
    this.#resources = {
      'raise-request': { POST: { keyed: true, answer: (request) => this.#raise(request) } },
      tasks: { GET: { keyed: true, answer: () => this.#list() } },
      task: {
        // Open, as it always was: the id that the keyed request gave cannot be guessed.
        GET: { keyed: false, answer: (_request, id) => this.#report(id) },
        DELETE: { keyed: true, answer: (_request, id) => this.#cancel(id) },
      },
    };
  }

  /** Never rejects. */
  async handle(request: ApiRequest): Promise<ApiAnswer> {
    try {
      return await this.#route(request);
    } catch (thrown) {
      return this.#failed(asTmError(thrown, 'TM_STATE_UNREADABLE'));
    }
  }

  async #route(request: ApiRequest): Promise<ApiAnswer> {
    const keyRefusal = this.#checkKey(request);
    const caller = keyRefusal === undefined ? 'the key' : `from ${request.address ?? 'somewhere'}`;
    const pauseSeconds = this.#rateLimit.refuse(caller);
    if (pauseSeconds !== undefined) {
      const detail = `Too many requests. Ask again in ${pauseSeconds} s.`;
      return refused(429, detail, { 'Retry-After': String(pauseSeconds) });
    }
    const { resource, taskId } = this.#find(request.path);
    if (!resource) return refused(404, 'Not Found');
    const method = request.method.toUpperCase();
    const operation = resource[method === 'HEAD' ? 'GET' : method];
    if (!operation) return refused(405, 'Method Not Allowed', { Allow: Object.keys(resource).join(', ') });
    if (operation.keyed && keyRefusal !== undefined) return refused(403, keyRefusal);
    return operation.answer(request, taskId);
  }

  /** By the end of the path: what stands before it is the server's. */
  #find(path: string): { resource?: Resource; taskId: string } {
    const parts = path.split('/').filter((part) => part !== '');
    const last = parts.at(-1) ?? '';
    if (last === 'raise-request' || last === 'tasks') return { resource: this.#resources[last], taskId: '' };
    return parts.at(-2) === 'tasks' ? { resource: this.#resources.task, taskId: last } : { taskId: '' };
  }

  #checkKey({ headers }: ApiRequest): string | undefined {
    switch (this.#key.check(headers.authorization)) {
      case 'valid':
        return undefined;
      case 'none':
        return 'Not authenticated: send the header "Authorization: Bearer <key>".';
      case 'wrong':
        return 'The API key is not valid.';
    }
  }

  async #raise(request: ApiRequest): Promise<ApiAnswer> {
    const body = parseRequestBody(request.body, request.headers, this.#timeZone);
    if ('tooLarge' in body) return refused(413, 'The body is too large.');
    if ('detail' in body) return answered(422, { detail: body.detail });
    const { id } = await this.#tasks.submit(body.range);
    return answered(200, { task_id: id, status: 'task submitted' });
  }

  async #list(): Promise<ApiAnswer> {
    const tasks = await this.#tasks.list();
    return answered(
      200,
      tasks.map((task) => ({
        task_id: task.id,
        ...progressOf(task),
        ...formatWindow(task.range),
        created: formatTime(task.created),
      })),
    );
  }

  async #report(id: string): Promise<ApiAnswer> {
    const task = await this.#tasks.get(id);
    if (!task) return unknownTask();
    return answered(200, {
      ...progressOf(task),
      ...(task.state === 'SUCCESS' && { result: resultOf(task) }),
    });
  }

  async #cancel(id: string): Promise<ApiAnswer> {
    const task = await this.#tasks.cancel(id);
    if (!task) return unknownTask();
    if (task.state !== 'REVOKED') return refused(409, `The task has finished already: ${task.state}.`);
    return answered(200, { task_id: id, state: task.state, status: 'task cancelled' });
  }

  /** Paths of state files and words of databases are not the caller's business. */
  #failed(error: TmError): ApiAnswer {
    if (error.code === 'TM_QUEUE_FULL') {
      return refused(429, error.message, { 'Retry-After': String(RETRY_AFTER_SECONDS.queueFull) });
    }
    const detail = 'The tasks cannot be read or stored at present. Try again later.';
    const headers = { 'Retry-After': String(RETRY_AFTER_SECONDS.state) };
    return { ...refused(503, detail, headers), problem: error };
  }
}

function progressOf(task: TaskView): JsonObject {
  return {
    state: task.state,
    current: task.current,
    total: task.total,
    status: STATUS_TEXTS[task.state](task),
  };
}

const STATUS_TEXTS: Readonly<Record<TaskState, (task: TaskView) => string>> = {
  PENDING: () => 'waiting for its turn',
  STARTED: ({ current, total }) => `${current} of ${total} windows delivered`,
  RETRY: ({ retry }) =>
    retry ? `${retry.error.message} Tried again at ${formatTime(retry.at)}.` : 'about to be tried again',
  SUCCESS: ({ total }) => `all ${total} windows delivered`,
  FAILURE: ({ error }) => error ?? 'failed',
  REVOKED: ({ current, total }) => `cancelled; ${current} of ${total} windows had been delivered`,
};

function resultOf(task: TaskView): JsonObject {
  const { readings, batches, bytes, started = 0, finished = 0 } = task;
  return { ...formatWindow(task.range), readings, batches, bytes, duration_ms: finished - started };
}

function unknownTask(): ApiAnswer {
  return refused(404, 'There is no such task. Finished tasks are forgotten after some time.');
}

function refused(status: number, detail: string, headers: Readonly<Record<string, string>> = {}): ApiAnswer {
  const answer = answered(status, { detail });
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

function answered(status: number, body: JsonValue): ApiAnswer {
  return { status, headers: { 'Cache-Control': 'no-store' }, body };
}
