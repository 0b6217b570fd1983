/** Runs every check, one line for each, with its output where it fails. */
import { manifest, runNpm } from './project.mjs';

const PREFIX = 'check:';
const checks = Object.keys(manifest.scripts).filter((script) => script.startsWith(PREFIX));

async function passes(script) {
  const begun = performance.now();
  const { ok, output } = await runNpm(['run', '--silent', script], { capture: true });
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(
    `${ok ? 'ok    ' : 'FAILED'} ${script.replace(PREFIX, '').padEnd(10)} ${seconds.padStart(5)} s`,
  );
  if (!ok) console.log(output.trimEnd().replace(/^/gm, '       '));
  return ok;
}

let failed = 0;
// The scorecard and the package are of what was built, so that comes first.
for (const script of ['build', ...checks]) {
  if (!(await passes(script))) failed += 1;
}
console.log(failed === 0 ? 'All checks passed.' : `${failed} of ${checks.length + 1} checks failed.`);
if (failed > 0) process.exitCode = 1;
