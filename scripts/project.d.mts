/** What the tests use of project.mjs. */
export function runNpm(
  args: readonly string[],
  options: { readonly capture: true },
): Promise<{ readonly ok: boolean; readonly stdout: string; readonly output: string }>;
