/**
 * Makes dist/: the connector and the runtime side of the nodes by tsc, each dialog's script bundled into its
 * node's html, icons and locales beside them.
 */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { binOf, nodeFiles, root, runNode } from './project.mjs';

const dist = join(root, 'dist');

/** The dialog's script, readable as it stands: the flow library parses the literals in registerType(). */
async function bundleEditorScript(entry) {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2020',
    charset: 'utf8',
    legalComments: 'none',
    tsconfig: join(root, 'tsconfig.editor.json'),
    logLevel: 'warning',
  });
  return result.outputFiles[0].text;
}

async function buildNodeFolder(folder) {
  const from = join(root, 'nodes', folder);
  const to = join(dist, 'nodes', folder);
  const html = join(from, `${folder}.html`);
  const editor = join(from, `${folder}.editor.ts`);
  if (!existsSync(html)) return;

  const form = await readFile(html, 'utf8');
  const script = existsSync(editor)
    ? `\n<script type="text/javascript">\n${await bundleEditorScript(editor)}</script>\n`
    : '';
  await mkdir(to, { recursive: true });
  await writeFile(join(to, `${folder}.html`), `${form.trimEnd()}\n${script}`);
  for (const asset of ['icons', 'locales']) {
    if (existsSync(join(from, asset))) await cp(join(from, asset), join(to, asset), { recursive: true });
  }
}

async function nodeFolders() {
  if (!existsSync(join(root, 'nodes'))) return [];
  const entries = await readdir(join(root, 'nodes'), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && entry.name !== 'shared').map((entry) => entry.name);
}

function missingFiles() {
  return nodeFiles
    .flatMap(([, script]) => [script, script.replace(/\.js$/, '.html')])
    .filter((file) => !existsSync(join(root, file)));
}

await rm(dist, { recursive: true, force: true });
const [compiled] = await Promise.all([
  runNode(binOf('typescript', 'tsc'), ['--project', 'tsconfig.build.json']),
  ...(await nodeFolders()).map(buildNodeFolder),
]);

const missing = missingFiles();
if (missing.length > 0)
  console.error(`build: package.json names files that were not built: ${missing.join(', ')}`);
if (!compiled.ok) console.error('build: tsc found errors');
if (!compiled.ok || missing.length > 0) process.exit(1);
