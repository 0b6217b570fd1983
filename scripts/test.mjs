/**
 * Runs the tests and ends with the line `N passed, N failed, N skipped`. Arguments go to mocha; without a
 * file among them all tests run. No test at all is a failure too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { binOf, root } from './project.mjs';

const args = process.argv.slice(2);
const namesFiles = args.some((arg) => arg.endsWith('.ts') || arg.startsWith('test/'));
const mochaArgs = [
  ...['--reporter', 'test/support/reporter.ts'],
  ...(process.env.CI ? ['--forbid-only'] : []),
  ...args,
  ...(namesFiles ? [] : ['test/**/*.test.ts']),
];

// The reporter counts through a pipe of its own: what the tests print cannot be taken for the result.
const COUNTS_FD = 3;
const mocha = spawn(process.execPath, [binOf('mocha'), ...mochaArgs], {
  cwd: root,
  env: { ...process.env, TEST_COUNTS_FD: String(COUNTS_FD) },
  stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
});
const [[status, signal], report] = await Promise.all([once(mocha, 'close'), text(mocha.stdio[COUNTS_FD])]);

const lastCounts = report.trim().split('\n').pop();
if (!lastCounts) console.error('mocha ended before its tests did.');
const { passed, failed, skipped } = lastCounts
  ? JSON.parse(lastCounts)
  : { passed: 0, failed: 1, skipped: 0 };

const ran = passed + failed;
if (ran === 0) console.error('No test ran.');
else if (status !== 0 && failed === 0) {
  console.error(`No test failed, but mocha ended with ${signal ?? `status ${status}`}.`);
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = status === 0 && failed === 0 && ran > 0 ? 0 : 1;
