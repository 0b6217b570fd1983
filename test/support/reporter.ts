/**
 * Mocha's spec reporter, which also writes the counts to the descriptor TEST_COUNTS_FD for scripts/test.mjs.
 * A run that would hang after its last test is ended, and counts as failed: a test left something open.
 */
import { writeSync } from 'node:fs';
import Mocha from 'mocha';

const GRACE_SECONDS = 20;

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes: passed, failures: failed, pending: skipped } = this.stats;
      writeCounts({ passed, failed, skipped });
      // The timer alone keeps nothing alive: it fires only where something else does.
      setTimeout(() => {
        console.error(`${GRACE_SECONDS} s after the last test the process is kept alive by ${whatIsOpen()}.`);
        writeCounts({ passed, failed: failed + 1, skipped });
        process.exit();
      }, GRACE_SECONDS * 1000).unref();
    });
  }
}

/** The last line counts. */
function writeCounts(counts: { passed: number; failed: number; skipped: number }): void {
  const descriptor = process.env.TEST_COUNTS_FD;
  if (descriptor) writeSync(Number(descriptor), `${JSON.stringify(counts)}\n`);
}

function whatIsOpen(): string {
  const resources = process.getActiveResourcesInfo();
  const kinds = [...new Set(resources)];
  return kinds.map((kind) => `${kind} ×${resources.filter((other) => other === kind).length}`).join(', ');
}
