/**
 * Writes docs/value-types.md: what each column type of each engine is posted as, from what the contract suite saw.
 * Engines that are not there this time keep what was written of them before.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binOf, root, runNode } from './project.mjs';

const DOCUMENT = join(root, 'docs/value-types.md');
const HEAD = `# What is posted of each column type

Written by \`npm run value-types\` from a run of the contract suite (test/contract): each line was read from a real
database, unless its section says otherwise. Timestamps are in the default format, ISO 8601 in UTC.
`;

const cell = (text) => `\`${text.replaceAll('|', '\\|').replaceAll('\n', '\\n')}\``;

function section(engine, lines) {
  const values = lines.filter((line) => 'values' in line);
  const times = lines.filter((line) => 'time' in line);
  return [
    `## ${engine}`,
    '',
    '| value column | in SQL | posted |',
    '| --- | --- | --- |',
    ...values.flatMap(({ values: type, seen }) =>
      seen.map(
        ([literal, json], index) =>
          `| ${index === 0 ? type || 'no type' : ''} | ${cell(literal)} | ${cell(json)} |`,
      ),
    ),
    '',
    '| timestamp column | stored | posted |',
    '| --- | --- | --- |',
    ...times.map(({ time, seen: [stored, posted] }) => `| ${time} | ${cell(stored)} | ${cell(posted)} |`),
    '',
  ].join('\n');
}

/** Sections of the document as it is, by their engine. */
async function writtenBefore() {
  if (!existsSync(DOCUMENT)) return new Map();
  const [, ...sections] = (await readFile(DOCUMENT, 'utf8')).split(/^(?=## )/m);
  return new Map(sections.map((text) => [/^## (.*)$/m.exec(text)[1], text]));
}

const folder = await mkdtemp(join(tmpdir(), 'tm-value-types-'));
try {
  const file = join(folder, 'seen.jsonl');
  await writeFile(file, '');
  const args = ['test/contract/*.test.ts', '--grep', 'trap 10: values of|traps 1, 5 and 6'];
  const { ok } = await runNode(join(root, 'scripts/test.mjs'), args, {
    env: { ...process.env, VALUE_TYPES_FILE: file },
  });
  if (!ok) throw new Error('The contract suite failed: nothing is written.');
  const lines = (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const sections = await writtenBefore();
  for (const engine of new Set(lines.map((line) => line.engine))) {
    sections.set(
      engine,
      section(
        engine,
        lines.filter((line) => line.engine === engine),
      ),
    );
  }
  const inOrder = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text.trimEnd());
  await writeFile(DOCUMENT, `${[HEAD.trimEnd(), ...inOrder].join('\n\n')}\n`);
  await runNode(binOf('prettier'), ['--write', '--log-level', 'warn', DOCUMENT]);
} finally {
  await rm(folder, { recursive: true, force: true });
}
