/** Says which version posts: the cloud's engineers see it in their logs. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

let known: string | undefined;

export function userAgent(): string {
  known ??= `${packageName()} node/${process.versions.node}`;
  return known;
}

/** This file runs from lib/ and, compiled, from dist/lib/: the package.json is the nearest above. */
function packageName(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json');
    if (existsSync(file)) {
      const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: string };
      return `turbomechanica-node-red/${version ?? '0'}`;
    }
    if (path.dirname(folder) === folder) return 'turbomechanica-node-red';
  }
}
