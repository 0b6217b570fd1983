import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { MODES, VARIABLES } from '../../deploy/variables';
import { testDirectory } from '../support/directory';

const PROJECT = resolve(__dirname, '../..');
const read = (file: string): string => readFileSync(join(PROJECT, file), 'utf8');

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(read('package.json')) as Manifest;
const COMMAND = 'turbomechanica-connector';
const known = [...Object.keys(VARIABLES), 'DATA_DIRECTORY'];

describe('The files of deploy/', () => {
  const directory = testDirectory();

  it('a Dockerfile that runs the command of the package, not as root, with every optional driver', () => {
    assert.deepEqual(Object.keys(manifest.bin), [COMMAND]);
    const dockerfile = read('deploy/Dockerfile').replaceAll(/\\\n\s*/g, ' ');
    const [, ...stages] = dockerfile.split(/^FROM /m);
    const last = stages.at(-1) ?? '';
    const instruction = (name: string): string => new RegExp(`^${name} (.+)$`, 'm').exec(last)?.[1] ?? '';
    assert.deepEqual(JSON.parse(instruction('ENTRYPOINT')), [COMMAND]);
    const [mode] = JSON.parse(instruction('CMD')) as string[];
    assert(MODES.some((each) => each === mode));
    assert.match(instruction('HEALTHCHECK'), new RegExp(`CMD \\["${COMMAND}", "health"\\]$`));
    assert.equal(instruction('USER'), 'node-red');
    const set = Object.fromEntries(
      instruction('ENV')
        .split(/\s+/)
        .map((pair) => pair.split('=') as [string, string]),
    );
    for (const name of Object.keys(set)) assert(known.includes(name), name);
    assert.equal(set.DATA_DIRECTORY, instruction('VOLUME'));
    assert.equal(set.PORT, instruction('EXPOSE'));
    // better-sqlite3 is compiled where it is installed; libsql stands in for it.
    const peers = Object.entries(manifest.peerDependencies).filter(([name]) => name !== 'better-sqlite3');
    const installed = [...last.matchAll(/"([a-z][\w-]*)@([^"]+)"/g)].map(([, name, range]) => [name, range]);
    assert.deepEqual(installed.sort(), peers.sort());
  });

  it('neither a package nor an image with the secrets that an administrator has written beside them', async function () {
    this.timeout(60_000);
    const overrides = ['deploy/compose.override.yml', 'deploy/compose.override.yaml'];
    const secrets = ['deploy/.env', 'deploy/.env.old', ...overrides];
    await cp(join(PROJECT, 'package.json'), join(directory.path, 'package.json'));
    await cp(join(PROJECT, 'deploy'), join(directory.path, 'deploy'), { recursive: true });
    for (const file of secrets) await writeFile(join(directory.path, file), 'API_KEY=a-secret\n');
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const { stdout } = await promisify(execFile)('npm', args, {
      cwd: directory.path,
      shell: process.platform === 'win32',
    });
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const packed = files.map(({ path }) => path);
    assert(packed.includes('deploy/compose.yml'));
    for (const file of secrets) assert(!packed.includes(file), file);
    // Of an ignore file the last line that fits decides.
    const rules = read('deploy/Dockerfile.dockerignore').trim().split('\n');
    for (const rule of ['deploy/.env*', 'deploy/compose.override.*'])
      assert(rules.indexOf(rule) > rules.indexOf('!deploy'), rule);
  });

  it('a compose file whose profiles are the modes, with state on volumes', () => {
    interface Service {
      readonly profiles: readonly string[];
      readonly command: readonly string[];
      readonly environment?: Readonly<Record<string, string>>;
      readonly volumes?: readonly string[];
      readonly build?: object;
    }
    const compose = parse(read('deploy/compose.yml'), { merge: true }) as {
      services: Readonly<Record<string, Service>>;
    };
    const services = Object.entries(compose.services);
    const profiles = new Set(services.flatMap(([, service]) => service.profiles));
    assert.deepEqual([...profiles].sort(), ['request', 'scale', 'schedule']);
    const own = services.filter(([, { build }]) => build !== undefined);
    assert.equal(own.length, 3);
    for (const [name, { command, environment = {}, volumes = [] }] of own) {
      assert(
        MODES.some((mode) => command.length === 1 && mode === command[0]),
        name,
      );
      for (const variable of Object.keys(environment)) assert(known.includes(variable), variable);
      assert(
        volumes.some((volume) => volume.endsWith('/data')),
        name,
      );
      assert.equal(environment.DATA_DIRECTORY, '/data');
    }
  });

  it('an example of .env with every variable that a mode needs, and none that is unknown', () => {
    const names = [...read('deploy/env.example').matchAll(/^(\w+)=/gm)].map(([, name = '']) => name);
    for (const name of names) assert(known.includes(name), name);
    const needed = Object.keys(VARIABLES).filter((name) => VARIABLES[name]?.needed?.('both', {}));
    assert(needed.length >= 6);
    for (const name of needed) assert(names.includes(name), name);
  });

  it('every variable in the documentation, and no other', () => {
    const rows = [...read('docs/headless.md').matchAll(/^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) /gm)];
    const documented = rows.flatMap(([, names = '']) => names.replaceAll('`', '').split(', '));
    const proxy = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'];
    assert.deepEqual(documented.sort(), [...known, ...proxy].sort());
  });

  it('services that start the command with options it knows, and do not repeat a wrong configuration', () => {
    const start = read('deploy/start.ts');
    const unit = read('deploy/systemd/turbomechanica-connector.service');
    const [, program = '', mode = '', options = ''] = /^ExecStart=(\S+) (\w+) (.+)$/m.exec(unit) ?? [];
    assert(program.endsWith(`/node_modules/.bin/${COMMAND}`));
    assert(MODES.some((each) => each === mode));
    const script = read('deploy/windows/install.ps1');
    assert(script.includes(manifest.bin[COMMAND]?.replaceAll('/', '\\') ?? '?'));
    const used = [...`${options} ${script}`.matchAll(/(?<= |')--(env-file|data|check)\b/g)].map(
      ([, name]) => name,
    );
    assert.deepEqual([...new Set(used)].sort(), ['check', 'data', 'env-file']);
    for (const name of used) assert(start.includes(`--${name}`), name);
    const exitCode = /EXIT_CONFIG = (\d+);/.exec(start)?.[1] ?? '?';
    assert.match(unit, new RegExp(`^RestartPreventExitStatus=${exitCode}$`, 'm'));
    assert.match(unit, /^Restart=always$/m);
  });

  it('workflows that are YAML and try each of them', () => {
    for (const [file, uses] of [
      ['docker.yml', '--profile request --profile schedule up --build'],
      ['windows.yml', 'deploy\\windows\\install.ps1 -Action Uninstall'],
    ] as const) {
      const text = read(`.github/workflows/${file}`);
      const { jobs } = parse(text) as { jobs: object };
      assert(Object.keys(jobs).length > 0);
      assert(text.includes(uses), file);
    }
  });
});
