/** The log as one JSON object a line, for collectors. */

/** What Node-RED hands to a log handler. */
export interface LogEvent {
  readonly level: number;
  readonly timestamp: number;
  readonly msg?: unknown;
  readonly type?: string;
  readonly id?: string;
  readonly name?: string;
}

const LEVELS: Readonly<Record<number, string>> = {
  10: 'fatal',
  20: 'error',
  30: 'warn',
  40: 'info',
  50: 'debug',
  60: 'trace',
};

export function jsonLine({ level, timestamp, msg, type, id, name }: LogEvent): string {
  return JSON.stringify({
    time: new Date(timestamp).toISOString(),
    level: LEVELS[level] ?? String(level),
    ...told(msg),
    ...(type !== undefined && { node: { type, id, name } }),
  });
}

/** A text, an error with its code, or an object that has its own text and fields. */
function told(msg: unknown): object {
  if (msg instanceof Error) {
    const { message, stack } = msg;
    const code = 'code' in msg ? { code: msg.code } : {};
    return { message, ...code, ...(code.code === undefined && { stack }) };
  }
  if (typeof msg === 'object' && msg !== null && 'message' in msg) return { ...msg };
  return { message: typeof msg === 'string' ? msg : JSON.stringify(msg) };
}
