import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';

interface ExampleNode {
  readonly id: string;
  readonly type: string;
  readonly z?: string;
  readonly x?: number;
  readonly y?: number;
  readonly config?: string;
  readonly action?: string;
  readonly bookmark?: string;
  readonly wires?: readonly (readonly string[])[];
  readonly nodes?: readonly string[];
  readonly console?: boolean;
  readonly credentials?: Readonly<Record<string, string>>;
}

const FOLDER = resolve(__dirname, '../../examples');
const NODES = resolve(__dirname, '../../nodes');
const OWN_TYPES = ['tm-config', 'tm-bookmark', 'tm-fetch', 'tm-post', 'tm-queue', 'tm-request'];
/** What Node-RED itself keeps of every node. */
const KEPT_OF_ALL = ['id', 'type', 'z', 'g', 'x', 'y', 'wires', 'credentials'];
const examples = readdirSync(FOLDER).map((file) => ({
  file,
  nodes: JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as ExampleNode[],
}));

/** The settings that a node's form has, as its dialog registers them. */
function settingsOf(type: string): string[] {
  const file = join(NODES, type, `${type}.editor.ts`);
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const settings: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'defaults') {
      assert(ts.isObjectLiteralExpression(node.initializer));
      settings.push(...node.initializer.properties.map(({ name }) => name?.getText() ?? ''));
    } else ts.forEachChild(node, visit);
  };
  visit(source);
  assert(settings.length > 0, `no defaults in ${file}`);
  return settings;
}

describe('The examples', () => {
  it('are the seven that the README names', () => {
    assert.deepEqual(
      examples.map(({ file }) => file),
      [
        'both-modes.json',
        'custom-sql.json',
        'own-source.json',
        'request-mode.json',
        'scale-out.json',
        'schedule-mode.json',
        'transform.json',
      ],
    );
  });

  it('can all be imported side by side: no id is used twice', () => {
    const ids = examples.flatMap(({ nodes }) => nodes.map(({ id }) => id));
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.match(id, /^[0-9a-f]{16}$/);
  });

  it('keep a bookmark each: two would give the same windows out', () => {
    const bookmarks = examples.flatMap(({ nodes }) =>
      nodes.flatMap(({ action, bookmark }) => (action === 'next' ? [bookmark] : [])),
    );
    assert.equal(bookmarks.length, 5);
    assert.equal(new Set(bookmarks).size, bookmarks.length);
  });

  for (const { file, nodes } of examples) {
    describe(file, () => {
      const byId = new Map(nodes.map((node) => [node.id, node]));
      const types = nodes.map(({ type }) => type);

      it('leads every wire, group and config to a node of its own', () => {
        for (const { id, wires = [], nodes: members = [], config } of nodes) {
          for (const target of [...wires.flat(), ...members, ...(config === undefined ? [] : [config])]) {
            assert(byId.has(target), `${id} leads to ${target}`);
          }
        }
      });

      it("has exactly the settings of the nodes' forms", () => {
        const own = nodes.filter(({ type }) => OWN_TYPES.includes(type));
        assert(own.length >= 2);
        for (const node of own) {
          const settings = Object.keys(node).filter((key) => !KEPT_OF_ALL.includes(key));
          assert.deepEqual(settings.sort(), settingsOf(node.type).sort(), node.type);
        }
      });

      it('explains itself on the canvas and shows what fails', () => {
        for (const type of ['comment', 'catch', 'status', 'debug']) assert(types.includes(type), type);
      });

      it('writes what fails to the log too, for where nobody has the editor open', () => {
        for (const { wires = [] } of nodes.filter(({ type }) => type === 'catch')) {
          const logs = wires.flat().some((id) => byId.get(id)?.type === 'debug' && byId.get(id)?.console);
          assert(logs, 'a Catch node keeps errors out of the log');
        }
      });

      it('lies on the grid without one node on another', () => {
        const places = nodes.flatMap(({ x, y, type }) =>
          type === 'group' || x === undefined ? [] : [`${x},${y}`],
        );
        assert.equal(new Set(places).size, places.length);
      });

      it('holds names of environment variables and no secret', () => {
        for (const { credentials = {} } of nodes) {
          for (const value of Object.values(credentials)) assert.match(value, /^\$\{[A-Z_]+\}$/);
        }
      });
    });
  }
});
