/**
 * Runs the tests and ends with what failed and the line `N passed, N failed, N skipped`. Arguments go to mocha; without a
 * file among them all tests run, in two processes side by side: they wait more than they compute. No test at all
 * is a failure too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { binOf, root } from './project.mjs';

const args = process.argv.slice(2);
const namesFiles = args.some((arg) => arg.endsWith('.ts') || arg.startsWith('test/'));
const ALL = 'test/**/*.test.ts';
/** What tests faults and engines, and everything else, whatever folders there are: each takes half of the time. */
const HALF = 'test/{contract,guarantees,unit}/**/*.test.ts';
const groups = namesFiles ? [[]] : [[HALF], [ALL, '--ignore', HALF]];

// The reporter counts through a pipe of its own: what the tests print cannot be taken for the result.
const COUNTS_FD = 3;

/** @returns what mocha counted, and whether it is to be believed. Output is shown at the end where it is kept. */
async function runMocha(files, keepOutput) {
  const mochaArgs = [
    ...['--reporter', 'test/support/reporter.ts'],
    ...(process.env.CI ? ['--forbid-only'] : []),
    ...args,
    ...files,
  ];
  const output = keepOutput ? 'pipe' : 'inherit';
  const mocha = spawn(process.execPath, [binOf('mocha'), ...mochaArgs], {
    cwd: root,
    env: { ...process.env, TEST_COUNTS_FD: String(COUNTS_FD) },
    stdio: ['inherit', output, output, 'pipe'],
  });
  const kept = [];
  for (const stream of [mocha.stdout, mocha.stderr]) stream?.on('data', (chunk) => kept.push(chunk));
  const [[status, signal], report] = await Promise.all([once(mocha, 'close'), text(mocha.stdio[COUNTS_FD])]);
  const lastCounts = report.trim().split('\n').pop();
  const ended = `ended with ${signal ?? `status ${status}`}`;
  const counts = lastCounts
    ? JSON.parse(lastCounts)
    : { passed: 0, failed: 1, skipped: 0, failures: [`mocha ${ended} before its tests did.`] };
  if (status !== 0 && counts.failed === 0) counts.failures.push(`No test failed, but mocha ${ended}.`);
  const show = () => process.stdout.write(Buffer.concat(kept));
  return { ...counts, ok: status === 0 && counts.failed === 0, show };
}

const results = await Promise.all(groups.map((files, index) => runMocha(files, index > 0)));
for (const { show } of results) show();

const sumOf = (name) => results.reduce((sum, counts) => sum + counts[name], 0);
const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(sumOf);
// Said once more: of a long log, the end is what is read.
for (const failure of results.flatMap(({ failures }) => failures)) console.log(`Failed: ${failure}\n`);
if (passed + failed === 0) console.log('Failed: no test ran.');
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = results.every(({ ok }) => ok) && passed + failed > 0 ? 0 : 1;
