/**
 * The contract suite of sources under the time zones of three continents: what a database's wall clock says must
 * not depend on the clock of the machine. Arguments are test files; by default the whole suite.
 */
import { join } from 'node:path';
import { root, runNode } from './project.mjs';

const ZONES = ['UTC', 'Asia/Kolkata', 'America/Chicago'];
const given = process.argv.slice(2);
const files = given.length > 0 ? given : ['test/contract/*.test.ts', 'test/unit/zone.test.ts'];

for (const TZ of ZONES) {
  console.log(`\nTZ=${TZ}`);
  const { ok } = await runNode(join(root, 'scripts/test.mjs'), files, { env: { ...process.env, TZ } });
  if (!ok) process.exitCode = 1;
}
