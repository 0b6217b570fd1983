/** Apart from the tests' machines: the measurements remove theirs too. */
import * as ioredis from 'ioredis';
import * as rabbit from 'rabbitmq-client';
import type { BrokerKind } from './brokers';

export async function removeQueue(kind: BrokerKind, url: string, name: string): Promise<void> {
  if (kind === 'redis') {
    const redis = new ioredis.Redis(url);
    const keys = await redis.keys(`tm:${name}:*`);
    if (keys.length > 0) await redis.del(...keys);
    await redis.quit();
    return;
  }
  const connection = new rabbit.Connection(url);
  for (const suffix of ['', ...[1, 5, 15, 60].map((seconds) => `.again-in-${seconds}s`)]) {
    await connection.queueDelete({ queue: `${name}${suffix}` });
  }
  await connection.close();
}
