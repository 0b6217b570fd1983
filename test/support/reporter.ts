/**
 * Mocha's spec reporter, which also writes the counts and what failed to the descriptor TEST_COUNTS_FD for
 * scripts/test.mjs.
 * A run that would hang after its last test is ended, and counts as failed: a test left something open.
 */
import { writeSync } from 'node:fs';
import Mocha from 'mocha';

const GRACE_SECONDS = 20;

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const failures: string[] = [];
    runner.on(Mocha.Runner.constants.EVENT_TEST_FAIL, (test: Mocha.Runnable, error: Error) => {
      failures.push(`${test.titlePath().join(' › ')}\n${error.stack ?? error.message}`);
    });
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes: passed, failures: failed, pending: skipped } = this.stats;
      writeCounts({ passed, failed, skipped, failures });
      // The timer alone keeps nothing alive: it fires only where something else does.
      setTimeout(() => {
        const open = `${GRACE_SECONDS} s after the last test the process is kept alive by ${whatIsOpen()}.`;
        console.error(open);
        writeCounts({ passed, failed: failed + 1, skipped, failures: [...failures, open] });
        process.exit();
      }, GRACE_SECONDS * 1000).unref();
    });
  }
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** A title and why, each. */
  readonly failures: readonly string[];
}

/** The last line counts. */
function writeCounts(counts: Counts): void {
  const descriptor = process.env.TEST_COUNTS_FD;
  if (descriptor) writeSync(Number(descriptor), `${JSON.stringify(counts)}\n`);
}

function whatIsOpen(): string {
  const resources = process.getActiveResourcesInfo();
  const kinds = [...new Set(resources)];
  return kinds.map((kind) => `${kind} ×${resources.filter((other) => other === kind).length}`).join(', ');
}
