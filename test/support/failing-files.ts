/** File systems that fail as real ones do, for the edge that lib/state writes through. */
import type { FileHandle } from 'node:fs/promises';
import { nodeFiles, type Files } from '../../lib/state/files';

export function systemError(code: string, text: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${text}`), { code });
}

/** Calls `before` ahead of every step, handles' steps included; what it throws is what the step throws. */
export function watchedFiles(before: (step: string, path: string) => Promise<void> | void): Files {
  const watch =
    <Args extends unknown[], Result>(step: string, run: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      await before(step, String(args[0]));
      return run(...args);
    };
  const open = async (...args: Parameters<Files['open']>): Promise<FileHandle> => {
    const path = String(args[0]);
    await before('open', path);
    const handle = await nodeFiles.open(...args);
    return new Proxy(handle, {
      get(target, property) {
        const member: unknown = Reflect.get(target, property);
        if (typeof member !== 'function') return member;
        return async (...given: unknown[]): Promise<unknown> => {
          try {
            await before(String(property), path);
          } catch (error) {
            // The process is gone, and with it its handles; here they are closed by hand.
            if (property === 'writeFile') await target.writeFile(String(given[0]).slice(0, 40));
            await target.close();
            throw error;
          }
          return await (Reflect.apply(member, target, given) as Promise<unknown>);
        };
      },
    });
  };
  return {
    open,
    mkdir: watch('mkdir', nodeFiles.mkdir) as Files['mkdir'],
    readdir: watch('readdir', nodeFiles.readdir) as Files['readdir'],
    readFile: watch('readFile', nodeFiles.readFile) as Files['readFile'],
    rename: watch('rename', nodeFiles.rename),
    rm: watch('rm', nodeFiles.rm),
    rmdir: watch('rmdir', nodeFiles.rmdir),
    stat: watch('stat', nodeFiles.stat) as Files['stat'],
    unlink: watch('unlink', nodeFiles.unlink),
  };
}

/** A process killed at its n-th step: that step and every later one do not happen. */
export function killedAt(n: number): { files: Files; survived: () => boolean } {
  let steps = 0;
  const files = watchedFiles(() => {
    if (++steps >= n) throw new Error('killed');
  });
  return { files, survived: () => steps < n };
}
