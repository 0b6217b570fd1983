/**
 * What the Node-RED flow library's scorecard asks of a package, as far as it can be told offline, and what a
 * palette install asks besides. The ids are those of `node-red-dev validate`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import semver from 'semver';
import { editorDefinitions } from './editor-definitions.mjs';
import { manifest, nodeFiles, root } from './project.mjs';

const OLDEST_NODE = '20.18.1';
const SUPPORTED_NODE_RED = ['4.1.0', '5.0.0'];
const MOST_DEPENDENCIES = 6;
/** Packages that are known to break Node-RED when they end up in one process with it. */
const INCOMPATIBLE = { 'agent-base': '<6.0.0' };

const read = (file) => readFileSync(join(root, file), 'utf8');
const jsonFiles = (folder) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.json'))
        .map((file) => join(folder, file))
    : [];

const problems = [];
function expect(holds, problem) {
  if (!holds) problems.push(problem);
}

function checkManifest() {
  const { name, license, keywords = [], engines = {}, bugs, repository } = manifest;
  expect(license && existsSync(join(root, 'LICENSE')), 'P01 no license, or no LICENSE file');
  for (const link of [bugs?.url, repository?.url].filter(Boolean)) {
    expect(URL.canParse(link.replace(/^git\+/, '')), `P03 ${link} is not a URL`);
  }
  expect(/^@[a-z\d][\w-.]+\/[a-z\d][\w-.]*$/.test(name), `P04 ${name} is not a scoped name`);
  expect(keywords.includes('node-red'), 'P05 the keywords lack node-red');
  for (const version of SUPPORTED_NODE_RED) {
    expect(
      semver.satisfies(version, manifest['node-red'].version ?? ''),
      `P06 Node-RED ${version} is excluded`,
    );
  }
  expect(
    semver.satisfies(OLDEST_NODE, engines.node ?? ''),
    `P07 engines.node excludes Node.js ${OLDEST_NODE}`,
  );
}

function checkDependencies() {
  const own = Object.keys(manifest.dependencies ?? {});
  expect(own.length <= MOST_DEPENDENCIES, `D01 ${own.length} dependencies, at most ${MOST_DEPENDENCIES}`);

  const locked = Object.entries(JSON.parse(read('package-lock.json')).packages).slice(1);
  expect(!locked.some(([, { resolved }]) => resolved), 'package-lock.json records download addresses');
  for (const [path, { dev, version, engines, hasInstallScript }] of locked) {
    if (dev) continue;
    const name = path.replace(/^.*node_modules\//, '');
    const range = INCOMPATIBLE[name];
    expect(
      !range || !semver.satisfies(version, range),
      `D02 ${name} ${version} is incompatible with Node-RED`,
    );
    expect(semver.satisfies(OLDEST_NODE, engines?.node ?? '*'), `${name} excludes Node.js ${OLDEST_NODE}`);
    expect(!hasInstallScript, `${name} runs a script when it is installed`);
  }
}

function checkNode(type, script) {
  const folder = dirname(script);
  const html = script.replace(/\.js$/, '.html');
  const missing = [script, html].filter((file) => !existsSync(join(root, file)));
  expect(missing.length === 0, `${type}: ${missing.join(' and ')} missing: run npm run build`);
  if (missing.length > 0) return;

  const definitions = editorDefinitions(read(html));
  const definition = definitions.get(type);
  expect(
    definition,
    `${html} does not register ${type} with literals (it has: ${[...definitions.keys()].join()})`,
  );
  expect(!definition || definition.inline, `${html}: defaults and credentials of ${type} are not inline`);
  const icon = definition?.icon;
  const ownIcon = icon && !icon.includes('/');
  expect(
    !ownIcon || existsSync(join(root, folder, 'icons', icon)),
    `${type}: no icon ${icon} in ${folder}/icons`,
  );

  checkLocale(type, join(folder, 'locales/en-US'));
}

function checkLocale(type, folder) {
  const help = join(folder, `${type}.html`);
  const labels = join(folder, `${type}.json`);
  expect(
    existsSync(join(root, help)) && read(help).includes(`data-help-name="${type}"`),
    `${type}: no help in ${help}`,
  );
  try {
    expect(Object.keys(JSON.parse(read(labels))).length > 0, `${labels} holds no labels`);
  } catch (error) {
    problems.push(`${type}: ${error.message}`);
  }
}

/** N01 can only be told online; here at least nothing is named twice in the package itself. */
function checkNames() {
  const names = nodeFiles.map(([, script]) => basename(script));
  expect(new Set(names).size === names.length, 'N01 two nodes have files of the same name');
  for (const [type] of nodeFiles) expect(type.startsWith('tm-'), `N01 ${type} is not named tm-…`);
}

function checkExamples() {
  const examples = jsonFiles('examples');
  expect(examples.length > 0, 'N02 no examples');
  const used = new Set(examples.flatMap(checkExample));
  for (const [type] of nodeFiles) expect(used.has(type), `N02 no example uses ${type}`);
}

/** The types of the nodes in an example. */
function checkExample(file) {
  let flow;
  try {
    flow = JSON.parse(read(file));
  } catch (error) {
    problems.push(`N02 ${file}: ${error.message}`);
    return [];
  }
  const ids = new Set(flow.map(({ id }) => id));
  expect(ids.size === flow.length, `${file}: two nodes have the same id`);
  for (const { id, type, wires = [], config, credentials = {} } of flow) {
    for (const target of [...wires.flat(), config].filter(Boolean)) {
      expect(ids.has(target), `${file}: ${type} ${id} refers to ${target}, which is not there`);
    }
    for (const [name, value] of Object.entries(credentials)) {
      expect(/^(\$\{\w+\})?$/.test(value), `${file}: ${type} ${id} carries a ${name}; only \${NAME} may`);
    }
  }
  return flow.map(({ type }) => type);
}

checkManifest();
checkDependencies();
for (const [type, script] of nodeFiles) checkNode(type, script);
checkNames();
checkExamples();

for (const problem of problems) console.error(`scorecard: ${problem}`);
console.log(`scorecard: ${nodeFiles.length} nodes, ${problems.length} problems`);
if (problems.length > 0) process.exitCode = 1;
