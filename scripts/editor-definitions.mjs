/** Reads node definitions out of a node's html as the flow library does: without running anything. */
import ts from 'typescript';

/**
 * The definitions registered in the html by RED.nodes.registerType('literal', {…}), by type. `inline` tells
 * whether what the flow library wants to read stands there as literals.
 */
export function editorDefinitions(html) {
  const definitions = new Map();
  for (const [, script] of html.matchAll(
    /<script[^>]+type=["']text\/javascript["'][^>]*>([^]*?)<\/script>/gi,
  )) {
    const source = ts.createSourceFile('editor.js', script, ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);
    visit(source, (call) => {
      const [type, definition] = call.arguments;
      if (type && ts.isStringLiteral(type) && definition && ts.isObjectLiteralExpression(definition)) {
        definitions.set(type.text, describe(definition));
      }
    });
  }
  return definitions;
}

function visit(node, onRegister) {
  if (ts.isCallExpression(node) && isRegisterType(node.expression)) onRegister(node);
  ts.forEachChild(node, (child) => visit(child, onRegister));
}

function isRegisterType(callee) {
  return ts.isPropertyAccessExpression(callee) && callee.name.text === 'registerType';
}

function describe(definition) {
  const properties = new Map(definition.properties.map(({ name, initializer }) => [name?.text, initializer]));
  const icon = properties.get('icon');
  const objects = [properties.get('defaults'), properties.get('credentials')];
  const literals = ['category', 'color', 'inputs', 'outputs', 'icon'].map((name) => properties.get(name));
  return {
    icon: icon && ts.isStringLiteral(icon) ? icon.text : undefined,
    inline:
      objects.every((value) => value === undefined || ts.isObjectLiteralExpression(value)) &&
      literals.every((value) => value === undefined || ts.isLiteralExpression(value)),
  };
}
