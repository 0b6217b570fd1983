/**
 * Who holds a lock or a lease: told apart from every other process there is or was, and known to have ended
 * only where that can be proven. A process number alone proves nothing: another machine or container has the
 * same numbers, and this one uses them again.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';

export interface ProcessIdentity {
  /** For people. */
  readonly host: string;
  readonly process: number;
  /** Within it process numbers mean the same: one boot and one container of one machine. */
  readonly realm: string;
  /** Tells the process from a later one under its number; empty where the system does not say. */
  readonly started: string;
}

let own: ProcessIdentity | undefined;

export function thisProcess(): ProcessIdentity {
  own ??= {
    host: hostname(),
    process: process.pid,
    realm: realmOfThisProcess(),
    started: linuxStart(process.pid)?.started ?? '',
  };
  return own;
}

export function sameProcess(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.realm === b.realm && a.process === b.process && a.started === b.started;
}

/** Whether it has ended beyond doubt. False: it runs, or nobody here can know. */
export function isGone(identity: ProcessIdentity): boolean {
  if (identity.realm !== thisProcess().realm) return false;
  try {
    process.kill(identity.process, 0);
  } catch (error) {
    // Anything else, such as EPERM, is of one that runs, be it another under the same number.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return true;
  }
  const found = linuxStart(identity.process);
  if (!found) return false;
  return found.started !== identity.started || found.ended;
}

/** `process 4711 on plant-7` */
export function describeProcess({ host, process: number }: ProcessIdentity): string {
  return `process ${number} on ${host}`;
}

/** An identity as it was stored; undefined for anything else. */
export function parseProcess(stored: unknown): ProcessIdentity | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const fields: Partial<Record<keyof ProcessIdentity, unknown>> = stored;
  const { host, process: number, realm, started } = fields;
  if (typeof host !== 'string' || typeof number !== 'number') return undefined;
  if (typeof realm !== 'string' || typeof started !== 'string') return undefined;
  return { host, process: number, realm, started };
}

/**
 * Linux names its boot and its container (a container's name may be used again, but only when all of its
 * processes have ended). Elsewhere a machine is its name and its network cards, which no two machines that
 * reach one store have in common; cards that come and go only make it unknown.
 */
function realmOfThisProcess(): string {
  try {
    if (process.platform === 'linux') {
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
    }
    const cards = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal }) => !internal)
      .map(({ mac }) => mac);
    if (cards.length > 0) {
      const machine = [hostname(), ...new Set(cards.sort())].join(' ');
      return createHash('sha256').update(machine).digest('base64url');
    }
  } catch {
    // Nobody can be proven to have ended, then.
  }
  return randomUUID();
}

/** Clock ticks from boot to start, and whether the process only waits to be reaped. */
function linuxStart(number: number): { started: string; ended: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${number}/stat`, 'latin1');
    // The command, in parentheses, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state = ''] = fields;
    const started = fields[19];
    return started === undefined ? undefined : { started, ended: state === 'Z' || state === 'X' };
  } catch {
    return undefined;
  }
}
