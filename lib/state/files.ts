/** The edge to the file system: what is used of it, and what it takes for a file to outlive a power cut. */
import * as nodeFiles from 'node:fs/promises';

export type Files = Pick<
  typeof nodeFiles,
  'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'rmdir' | 'stat' | 'unlink'
>;

export { nodeFiles };

export function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

export async function writeDurably(files: Files, path: string, text: string): Promise<void> {
  const handle = await files.open(path, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** It may be gone or torn after a power cut. */
export async function writeFile(files: Files, path: string, text: string): Promise<void> {
  const handle = await files.open(path, 'w');
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

/** A rename or unlink outlives a power cut only when its directory is synchronised too. */
export async function syncDirectory(files: Files, path: string): Promise<void> {
  try {
    const handle = await files.open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // Windows opens no directories, some network file systems synchronise none; both order renames themselves.
    if (!['EPERM', 'EINVAL', 'EISDIR', 'ENOTSUP'].includes(codeOf(error))) throw error;
  }
}

export async function unlinkIfThere(files: Files, path: string): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** The text of a file; undefined where there is no such file. */
export async function readIfThere(files: Files, path: string): Promise<string | undefined> {
  try {
    return await files.readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
