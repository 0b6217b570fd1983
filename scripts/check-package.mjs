/**
 * The package as a user gets it: packed, installed as the palette does into an empty user directory, and
 * loaded by Node-RED. Leaves nothing behind.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import semver from 'semver';
import { startNodeRed } from './node-red-process.mjs';
import { manifest, nodeFiles, nodeRedFolder, root, runNpm } from './project.mjs';

const OLDEST_NODE = '20.18.1';
const BELONGS_IN_THE_PACKAGE = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  /^deploy\/.+\.(json|md|ps1|service|xml|ya?ml)$/,
  /^deploy\/(Dockerfile|env\.example)$/,
  /^dist\/(deploy|lib)\/.+\.js$/,
  /^dist\/nodes\/.+\.(js|html|json|svg|png)$/,
  /^examples\/[^/]+\.json$/,
];
const LOOKS_SECRET = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /:\/\/[^\s/:@"'`<>$]+:(?!password@|\*+@)[^\s/:@"'`<>${]+@[\w.-]+/,
  /\bBearer [A-Za-z0-9+/_-]{16,}/,
];

async function pack(folder) {
  const unbuilt = nodeFiles.map(([, script]) => script).filter((script) => !existsSync(join(root, script)));
  if (unbuilt.length > 0) throw new Error(`${unbuilt.join(', ')} missing: run npm run build`);
  const packed = await runNpm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    capture: true,
  });
  if (!packed.ok) throw new Error(`npm pack failed\n${packed.output}`);
  const [{ filename, files, size }] = JSON.parse(packed.stdout);
  return { tarball: join(folder, filename), paths: files.map(({ path }) => path), size };
}

async function checkContents(paths) {
  const strangers = paths.filter((path) => !BELONGS_IN_THE_PACKAGE.some((pattern) => pattern.test(path)));
  if (strangers.length > 0)
    throw new Error(`the tarball holds what does not belong there: ${strangers.join(', ')}`);
  for (const path of paths) {
    const text = await readFile(join(root, path), 'utf8');
    const secret = LOOKS_SECRET.map((pattern) => pattern.exec(text)).find(Boolean);
    if (secret) throw new Error(`${path} holds what looks like a secret, at character ${secret.index}`);
  }
}

async function install(tarball, userDirectory) {
  await writeFile(
    join(userDirectory, 'package.json'),
    JSON.stringify({ name: 'user-directory', private: true }),
  );
  const installed = await runNpm(
    [
      'install',
      '--prefix',
      userDirectory,
      '--engine-strict',
      '--omit=dev',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      tarball,
    ],
    { cwd: userDirectory, capture: true },
  );
  if (!installed.ok) throw new Error(`npm install of the tarball failed\n${installed.output}`);

  const lock = JSON.parse(await readFile(join(userDirectory, 'node_modules/.package-lock.json'), 'utf8'));
  const packages = Object.entries(lock.packages).map(([path, found]) => ({ ...found, path }));
  // npm takes the newest versions that accept the Node.js it runs on: on a newer one these may be others.
  const onOldest = semver.major(process.version) === semver.major(OLDEST_NODE);
  const oldest = onOldest ? OLDEST_NODE : process.version;
  const refused = packages.filter(({ engines }) => !semver.satisfies(oldest, engines?.node ?? '*'));
  const scripted = packages.filter(({ hasInstallScript }) => hasInstallScript);
  const listed = (found) => found.map(({ path, version }) => `${path} ${version}`).join(', ');
  if (refused.length > 0) throw new Error(`not installable on Node.js ${oldest}: ${listed(refused)}`);
  if (scripted.length > 0) throw new Error(`runs a script when installed: ${listed(scripted)}`);
  return packages.length;
}

/** Asks Node-RED's own admin API what became of the package's node sets. */
async function checkLoading(userDirectory) {
  const nodeRed = await startNodeRed(nodeRedFolder(), userDirectory);
  try {
    const response = await fetch(new URL('nodes', nodeRed.url), { headers: { accept: 'application/json' } });
    const sets = (await response.json()).filter(({ module }) => module === manifest.name);
    for (const [type] of nodeFiles) {
      const set = sets.find(({ types }) => types.includes(type));
      if (!set) throw new Error(`Node-RED did not find ${type}\n${nodeRed.log()}`);
      if (set.err || !set.enabled) throw new Error(`${type} is not loaded\n${nodeRed.log()}`);
    }
    return sets.length;
  } finally {
    await nodeRed.stop();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'tm-package-'));
const userDirectory = await mkdtemp(join(tmpdir(), 'tm-user-directory-'));
try {
  const { tarball, paths, size } = await pack(folder);
  await checkContents(paths);
  const installed = await install(tarball, userDirectory);
  const loaded = await checkLoading(userDirectory);
  const { version } = JSON.parse(await readFile(join(nodeRedFolder(), 'package.json'), 'utf8'));
  console.log(
    `package: ${paths.length} files, ${Math.ceil(size / 1024)} KB; installed with ${installed - 1} dependencies; ` +
      `${loaded} nodes loaded by Node-RED ${version} on Node.js ${process.version}`,
  );
} catch (error) {
  console.error(`package: ${error.message}`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
  await rm(userDirectory, { recursive: true, force: true });
}
