/** Which way dependencies may point; see the layout in the README. */
const editorSide = '^nodes/(.*\\.editor\\.ts$|shared/editor/)';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Inside lib/ from the whole to the parts; a cycle has no whole.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'all-resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'lib-stands-alone',
      comment: 'lib/ is the connector without Node-RED.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: ['^(nodes|scripts|test|bench)/', 'node_modules/(@types/)?(@node-red/|node-red)'] },
    },
    {
      name: 'errors-is-the-ground',
      severity: 'error',
      from: { path: '^lib/errors\\.ts$' },
      to: { path: '^lib/' },
    },
    {
      name: 'source-endpoint-state-apart',
      comment: 'Where readings come from, where they go and where progress is kept do not know each other.',
      severity: 'error',
      from: { path: '^lib/(source|endpoint|state|queue)/' },
      to: { path: '^lib/(source|endpoint|state|queue)/', pathNot: '^lib/$1/' },
    },
    {
      name: 'nodes-only-on-lib',
      severity: 'error',
      from: { path: '^nodes/' },
      to: { path: '^(scripts|test|bench)/' },
    },
    {
      name: 'editor-apart-from-runtime',
      comment: 'A dialog runs in the browser: of the runtime side of a node it takes types at most.',
      severity: 'error',
      from: { path: editorSide },
      to: { path: '^nodes/tm-', pathNot: editorSide, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'runtime-apart-from-editor',
      severity: 'error',
      from: { path: '^(lib|nodes)/', pathNot: editorSide },
      to: { path: editorSide },
    },
    {
      name: 'installed-with-the-package',
      comment:
        'What lib/ and nodes/ need at run time is a dependency (or an optional peer), not a development one.',
      severity: 'error',
      from: { path: '^(lib|nodes)/', pathNot: editorSide },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only', 'npm-peer'],
      },
    },
    {
      name: 'scripts-only-for-tests',
      severity: 'error',
      from: { pathNot: '^(scripts|test|bench)/' },
      to: { path: '^scripts/' },
    },
    {
      name: 'tests-only-for-tests',
      severity: 'error',
      from: { pathNot: '^(test|bench)/' },
      to: { path: '^test/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
