/**
 * Whatever an endpoint answers, in whatever order, and however often delivery is given up and begun anew: once it
 * recovers, what it accepted and what it refuses for good are together the batch, nothing missing.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TmError } from '../../lib/errors';
import type { Batch } from '../../lib/endpoint/split';
import type { Delivery, Endpoint } from '../../lib/endpoint/endpoint';
import type { Exchange, Reply } from '../../scripts/start/cloud';
import { batchOf, InstantClock, never, Opened, SOURCE, type SomeReading } from '../support/endpoint';

const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = 150;

/** Faults that pass: nothing that they say is about the readings. */
const fault: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({ status: fc.constantFrom(408, 425, 429, 500, 502, 503, 504) }),
  fc.record({ status: fc.constantFrom(401, 402, 403, 404, 405, 407, 410, 415, 302) }),
  fc.record({
    status: fc.constantFrom(429, 503),
    headers: fc.record({
      'retry-after': fc.constantFrom('1', '999999', '-1', 'soon', 'Fri, 31 Dec 2100 23:59:59 GMT'),
    }),
  }),
  fc.record({ end: fc.constantFrom('destroy' as const, 'cut' as const), accept: fc.boolean() }),
  // Taken, and yet answered with a failure: the outcome is not what the answer says.
  fc.record({ status: fc.constantFrom(500, 503, 504), accept: fc.constant(true) }),
);

const scenario = fc.record({
  /** Answers in order; undefined: what the endpoint thinks of the post itself. */
  answers: fc.array(fc.option(fault, { nil: undefined }), { maxLength: 40 }),
  readings: fc.array(
    fc.record({
      sensor: fc.constantFrom('K101.VIB', 'K102.VIB', '__proto__', 'Ölstand "A"'),
      at: fc.nat(59),
      value: fc.oneof(fc.double({ noNaN: true }), fc.constantFrom('Bad', null)),
    }),
    { minLength: 1, maxLength: 60 },
  ),
  /** Numbers of readings that are refused for good, by place. */
  bad: fc.uniqueArray(fc.nat(59), { maxLength: 3 }),
  largestBodyBytes: fc.constantFrom(undefined, 300, 1000),
  attempts: fc.integer({ min: 1, max: 4 }),
  batches: fc.integer({ min: 1, max: 3 }),
  /** Whether a delivery that was given up goes on in the same process. */
  restarts: fc.boolean(),
});

const textOf = (sensor: string, timestamp: unknown, value: unknown): string =>
  JSON.stringify([sensor, timestamp, value]);

function readingsOf(body: Buffer): string[] {
  const { data } = JSON.parse(body.toString()) as {
    data: Record<string, { timestamp: string; value: unknown }[]>;
  };
  return Object.entries(data).flatMap(([sensor, list]) =>
    list.map(({ timestamp, value }) => textOf(sensor, timestamp, value)),
  );
}

/** Until it comes to its end, as whoever gave the window out would. */
async function deliverAtLast(open: () => Endpoint, batch: Batch, attempts: number): Promise<Delivery> {
  for (;;) {
    try {
      return await open().deliver(batch, {
        source: SOURCE,
        attempts,
        signal: never,
        sentAgainBy: 'the window',
      });
    } catch (error) {
      assert(error instanceof TmError && /^TM_ENDPOINT_(HOLD|UNAVAILABLE)$/.test(error.code), String(error));
    }
  }
}

describe('Whatever an endpoint answers', function () {
  this.timeout(180_000);
  const opened = new Opened();
  afterEach(() => opened.close());

  it(`what it accepts and what it refuses are the batch, repeats are byte-identical (seed ${SEED})`, async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ answers, readings, bad, largestBodyBytes, attempts, ...rest }) => {
        // Each reading once: a sensor has one value at a time.
        const own = [...new Map(readings.map((each) => [`${each.sensor} ${each.at}`, each])).values()];
        const batches = Array.from({ length: rest.batches }, (_, minute) =>
          batchOf(
            own.map(({ at, ...reading }): SomeReading => ({ ...reading, at: at + 60 * minute })),
            60 * minute,
            60 * minute + 60,
          ),
        );
        const all = batches.flatMap(({ body }) => readingsOf(body));
        const refusable = new Set(bad.flatMap((place) => all[place] ?? []));
        let mended = false;
        const itself = ({ posted, body }: Exchange): Reply | undefined => {
          if (largestBodyBytes !== undefined && body.length > largestBodyBytes) return { status: 413 };
          const isBad =
            !mended &&
            posted?.readings.some((each) => refusable.has(textOf(each.sensor, each.timestamp, each.value)));
          return isBad ? { status: 422, body: 'not this one' } : undefined;
        };
        const cloud = await opened.cloud({
          respond: (exchange) => {
            const reply = answers[exchange.index];
            const own = itself(exchange);
            // An endpoint that would refuse a body has not taken it either.
            return reply && own ? { ...reply, accept: false } : (reply ?? own);
          },
        });
        const surroundings = { clock: new InstantClock() };
        let endpoint = opened.endpoint(cloud.url, {}, surroundings);
        let begun = false;
        const open = (): Endpoint => {
          if (begun && rest.restarts) endpoint = opened.endpoint(cloud.url, {}, surroundings);
          begun = true;
          return endpoint;
        };
        const deliveries = await Promise.all(batches.map((batch) => deliverAtLast(open, batch, attempts)));
        const refused = deliveries.flatMap((delivery) =>
          delivery.refused.flatMap(({ body }) => readingsOf(body)),
        );
        const accepted = cloud.readings().map((each) => textOf(each.sensor, each.timestamp, each.value));
        assert.deepEqual(refused.sort(), [...refusable].sort(), 'refused are exactly those that it refuses');
        assert.deepEqual(
          [...accepted, ...refused].sort(),
          [...all].sort(),
          'accepted and refused are all there is, and what was repeated came under its old key',
        );
        // A window that is held is delivered again and again: until it is mended, and then in full.
        for (const [index, batch] of batches.entries()) {
          const held = await deliverAtLast(open, batch, attempts);
          assert.equal(held.readings, deliveries[index]?.readings);
          assert.deepEqual(held.refused, deliveries[index]?.refused);
        }
        mended = true;
        for (const batch of batches) {
          const { readings: delivered, refused: none } = await deliverAtLast(open, batch, attempts);
          assert.deepEqual([delivered, none], [batch.readings, []]);
        }
        const arrived = cloud.readings().map((each) => textOf(each.sensor, each.timestamp, each.value));
        assert.deepEqual([...new Set(arrived)].sort(), [...all].sort(), 'mended, everything arrives');
        assert.equal(cloud.received().conflicts, 0, 'a key came with two bodies');
        for (const { bodies } of cloud.keys().values()) assert.equal(bodies.size, 1);
        await opened.close();
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
});
