/**
 * Processes that an earlier start may have left running. A number in a file says little, for it is given to
 * other processes later: one is only taken for ours where its command line says so.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LOOK_EVERY_MS = 50;

export interface RunningProcess {
  readonly pid: number;
  /** Its command line; empty where the system does not tell. */
  readonly command: string;
}

/** The process whose id stands on the first line of a file, where it runs. It may be anybody's by now. */
export async function processIn(pidFile: string): Promise<RunningProcess | undefined> {
  const [line = ''] = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n');
  const pid = Number(line);
  if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid || !isRunning(pid)) return undefined;
  return { pid, command: await commandOf(pid) };
}

/** Ends a process; by force when it takes too long. */
export async function end(pid: number, signal: NodeJS.Signals, withinMs: number): Promise<void> {
  for (const [how, patience] of [
    [signal, withinMs],
    ['SIGKILL', withinMs],
  ] as const) {
    if (!send(pid, how)) return;
    const giveUpAt = performance.now() + patience;
    while (performance.now() < giveUpAt) {
      if (!isRunning(pid)) return;
      await delay(LOOK_EVERY_MS);
    }
  }
  throw new Error(`Process ${pid} was left over by an earlier start and cannot be ended.`);
}

function isRunning(pid: number): boolean {
  return send(pid, 0);
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    // A process that may not be signalled is there all the same.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return text.replaceAll('\0', ' ');
  }
  const [command, ...args] =
    process.platform === 'win32'
      ? [
          'powershell.exe',
          '-NoProfile',
          '-Command',
          `(Get-CimInstance Win32_Process -Filter 'ProcessId=${pid}').CommandLine`,
        ]
      : ['ps', '-ww', '-p', String(pid), '-o', 'command='];
  return run(command, args).then(
    ({ stdout }) => stdout,
    () => '',
  );
}
