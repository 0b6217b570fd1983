/** The plan of a table of three columns in the order timestamp, sensor, value. */
import type { ValueKind } from '../../lib/source/columns';
import type { ReadingPlan } from '../../lib/source/plan';
import { SensorNames } from '../../lib/source/sensors';

export function longPlan(kind: ValueKind): ReadingPlan {
  const timestamp = { field: 0, time: { kind: 'instant' } } as const;
  return {
    timestamp,
    order: timestamp,
    sensor: { field: 1, padded: false },
    values: [{ field: 2, kind, padded: false, name: '' }],
    extras: [],
    quality: undefined,
    names: new SensorNames({}),
  };
}
