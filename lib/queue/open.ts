/** The broker that a URL names. */
import { createRequire } from 'node:module';
import { isMissing, loadPackage, notInstalled } from '../optional-package';
import type { BrokerAddress, BrokerEngine } from './broker-url';
import type { QueueListener, QueueSettings, WindowQueue } from './queue';
import { RabbitQueue } from './rabbit-queue';
import { RedisQueue } from './redis-queue';

const PACKAGES: Readonly<Record<BrokerEngine, readonly string[]>> = {
  redis: ['bullmq', 'ioredis'],
  rabbitmq: ['rabbitmq-client'],
};
const requireFromHere = createRequire(__filename);

/** Known at deploy, before any of them is loaded. @throws TmError TM_SETTING_INVALID that says what to install */
export function checkBrokerPackages({ engine }: BrokerAddress, resolve = requireFromHere.resolve): void {
  const missing = PACKAGES[engine].filter((name) => {
    try {
      resolve(name);
      return false;
    } catch (error) {
      return isMissing(name, error);
    }
  });
  if (missing.length > 0) throw notInstalled(missing, needOf(engine));
}

/** Resolves before there is a connection: whether there is one, the listener is told. */
export async function openQueue(
  address: BrokerAddress,
  settings: QueueSettings,
  listener: QueueListener,
): Promise<WindowQueue> {
  const { engine } = address;
  const need = needOf(engine);
  switch (engine) {
    case 'redis': {
      const bullmq = await loadPackage('bullmq', need, () => import('bullmq'));
      const ioredis = await loadPackage('ioredis', need, () => import('ioredis'));
      return new RedisQueue({ bullmq, ioredis }, address, settings, listener);
    }
    case 'rabbitmq': {
      const client = await loadPackage('rabbitmq-client', need, () => import('rabbitmq-client'));
      return new RabbitQueue(client, address, settings, listener);
    }
  }
}

export function needOf(engine: BrokerEngine): string {
  return `brokerUrl needs ${PACKAGES[engine].join(' and ')}`;
}
