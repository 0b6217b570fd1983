/** The README's settings are those of the forms: by the same name, with the same default. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';

const PROJECT = resolve(__dirname, '../..');
const TYPES = ['tm-config', 'tm-bookmark', 'tm-fetch', 'tm-post', 'tm-queue', 'tm-request'];
/** Every node has these. */
const OF_ALL = ['name', 'config'];
const read = (...path: string[]): string => readFileSync(join(PROJECT, ...path), 'utf8');

/** A form's labels, by setting. */
function labelsOf(type: string): [setting: string, label: string][] {
  const catalog = JSON.parse(read('nodes', type, 'locales/en-US', `${type}.json`)) as {
    label: Record<string, string>;
  };
  return Object.entries(catalog.label).filter(([setting]) => !OF_ALL.includes(setting));
}

/** A form's defaults that are numbers, by setting. */
function numbersOf(type: string): Map<string, number> {
  const file = `${type}.editor.ts`;
  const source = ts.createSourceFile(file, read('nodes', type, file), ts.ScriptTarget.Latest, true);
  const numbers = new Map<string, number>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isNumericLiteral(node.initializer)) {
      const setting = node.parent.parent;
      if (node.name.getText() === 'value' && ts.isPropertyAssignment(setting)) {
        numbers.set(setting.name.getText(), Number(node.initializer.text));
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return numbers;
}

describe('The README', () => {
  const readme = read('README.md');

  for (const type of TYPES) {
    describe(`on ${type}`, () => {
      const [, section = ''] = readme.split(`\n### ${type}\n`);
      const text = (section.split(/\n##/)[0] ?? '').toLowerCase();
      const rows = text
        .split('\n')
        .filter((line) => line.startsWith('|'))
        .map((line) => line.split('|').map((cell) => cell.trim()));

      it('names every setting of the form as the form does', () => {
        const labels = labelsOf(type);
        assert(labels.length > 0);
        const missing = labels
          .map(([, label]) => label)
          .filter((label) => !text.includes(label.toLowerCase()));
        assert.deepEqual(missing, []);
      });

      it("gives the form's own defaults", () => {
        const labels = new Map(labelsOf(type));
        const numbers = numbersOf(type);
        for (const [setting, number] of numbers) {
          const label = (labels.get(setting) ?? setting).toLowerCase();
          const row = rows.find(([, names = '']) => names.split(', ').includes(label));
          const given = [...(row?.[2] ?? '').matchAll(/\d[\d,]*/g)].map(([digits]) => digits);
          assert(
            given.includes(number.toLocaleString('en-US')),
            `${label}: ${number}, not ${String(row?.[2])}`,
          );
        }
      });
    });
  }

  it('points to files that exist, and to tests by titles that they have', () => {
    const quoted = [...readme.matchAll(/`((?:test|examples)\/[\w/.-]+)`(?:, "([^"]+)")?/g)];
    assert(quoted.length >= 5);
    for (const [, path = '', title] of quoted) {
      if (path.endsWith('/')) continue;
      const content = read(path);
      if (title !== undefined) assert(content.includes(title), `${path} has no "${title}"`);
    }
    for (const [, path = ''] of readme.matchAll(/\]\((docs\/[^)#]+\.\w+)\)/g)) assert(read(path).length > 0);
  });
});

describe('docs/guarantees.md', () => {
  const text = read('docs', 'guarantees.md');

  it('names every test of test/guarantees/, and only tests that exist', () => {
    const named = [...text.matchAll(/`(test\/[\w/.-]+\.test\.ts)`/g)].map(([, path = '']) => path);
    for (const path of named) assert(existsSync(join(PROJECT, path)), path);
    const missing = readdirSync(join(PROJECT, 'test/guarantees'))
      .map((file) => `test/guarantees/${file}`)
      .filter((path) => !named.includes(path));
    assert.deepEqual(missing, []);
  });
});
