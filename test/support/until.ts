import { setTimeout } from 'node:timers/promises';

let test = 0;
afterEach(() => {
  test++;
});

/** Resolves when `condition` holds, looked at again and again; given up with the test, whose timeout bounds it. */
export async function until(condition: () => unknown): Promise<void> {
  const begunIn = test;
  while (!(await condition())) {
    if (test !== begunIn) throw new Error('The test ended before this came true.');
    await setTimeout(1);
  }
}

/** As a caller should: asks again when it is told to wait for that. */
export async function patientFetch(url: string): Promise<Response> {
  for (;;) {
    const response = await fetch(url);
    if (response.status !== 429) return response;
    await setTimeout(Number(response.headers.get('retry-after')) * 1000);
  }
}
