/**
 * What every engine's source does, whatever the database: one suite, unchanged, against each of them. Titles name
 * the trap that a test is about.
 */
import { failures } from './failures';
import type { EngineFixture } from './fixture';
import { Harness } from './harness';
import { names } from './names';
import { ownSql } from './own-sql';
import { sensors } from './sensors';
import { shapes } from './shapes';
import { values } from './values';
import { windows } from './windows';
import { zones } from './zones';

/** To be called inside the describe whose hooks open and close the fixture's database. */
export function sourceContract(fixture: EngineFixture): void {
  const harness = new Harness(fixture);
  afterEach(() => harness.closeAll());
  const subjects: Readonly<Record<string, (harness: Harness) => void>> = {
    'windows of time': windows,
    'wall clocks': zones,
    values,
    sensors,
    'shapes of tables': shapes,
    'SQL of the user': ownSql,
    'what goes wrong': failures,
    'names and the catalog': names,
  };
  for (const [subject, tests] of Object.entries(subjects)) {
    describe(subject, () => {
      tests(harness);
    });
  }
}
