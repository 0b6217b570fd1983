/** The long form of the test that kills Node-RED at random moments: 200 times. Arguments go to mocha. */
import { join } from 'node:path';
import { root, runNode } from './project.mjs';

const args = ['test/guarantees/kills.test.ts', ...process.argv.slice(2)];
const env = { TEST_KILLS: '200', ...process.env };
const { ok } = await runNode(join(root, 'scripts/test.mjs'), args, { env });
if (!ok) process.exitCode = 1;
