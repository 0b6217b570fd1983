/** Whether a broker lets this machine in, and what it is: for the *Test* button. Nothing is left behind in it. */
import type * as IORedis from 'ioredis';
import type * as RabbitMQ from 'rabbitmq-client';
import { reasonOf, TmError } from '../errors';
import { loadPackage } from '../optional-package';
import { orAborted } from '../signals';
import { withoutSecrets, type BrokerAddress } from './broker-url';
import { needOf } from './open';
import { withDefaultUser } from './rabbit-queue';

/** In a few words: `Redis 7.0.15`; `warning` where windows would not be safe there. */
export interface BrokerIdentity {
  readonly product: string;
  readonly warning?: string;
}

const NAME = 'turbomechanica test';
/** Redis and RabbitMQ say it differently, and each in more than one way. */
const REFUSED = /WRONGPASS|NOAUTH|invalid (?:username|password)|ACCESS_REFUSED.*login/i;

/** @throws TmError TM_BROKER_UNREACHABLE, TM_SETTING_INVALID where its package is not installed */
export async function identifyBroker(address: BrokerAddress, signal: AbortSignal): Promise<BrokerIdentity> {
  const need = needOf(address.engine);
  switch (address.engine) {
    case 'redis': {
      const ioredis = await loadPackage('ioredis', need, () => import('ioredis'));
      return identifyRedis(ioredis, address, signal).catch(rethrow(address));
    }
    case 'rabbitmq': {
      const rabbit = await loadPackage('rabbitmq-client', need, () => import('rabbitmq-client'));
      return identifyRabbit(rabbit, address, signal).catch(rethrow(address));
    }
  }
}

async function identifyRedis(
  { Redis }: Pick<typeof IORedis, 'Redis'>,
  { url }: BrokerAddress,
  signal: AbortSignal,
): Promise<BrokerIdentity> {
  signal.throwIfAborted();
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectionName: NAME });
  const failed = new Promise<never>((_resolve, reject) => {
    // What is wrong; commands only say that the connection is closed.
    client.on('error', reject);
  });
  const asked = async (): Promise<BrokerIdentity> => {
    await client.connect();
    const told = await client.info();
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:(.*)$`, 'm').exec(told)?.[1]?.trim();
    const policy = field('maxmemory_policy');
    return {
      product: `Redis ${field('redis_version') ?? ''}`.trim(),
      ...(policy !== undefined &&
        policy !== 'noeviction' && {
          warning: `its maxmemory-policy is ${policy}, which lets it drop windows: set noeviction`,
        }),
    };
  };
  try {
    return await orAborted(Promise.race([failed, asked()]), signal);
  } finally {
    client.disconnect();
  }
}

async function identifyRabbit(
  { Connection }: Pick<typeof RabbitMQ, 'Connection'>,
  { url }: BrokerAddress,
  signal: AbortSignal,
): Promise<BrokerIdentity> {
  signal.throwIfAborted();
  const connection = new Connection({ url: withDefaultUser(url), connectionName: NAME });
  const connected = new Promise<void>((resolve, reject) => {
    connection.on('connection', resolve);
    connection.on('error', reject);
  });
  try {
    await orAborted(connected, signal);
    return { product: 'RabbitMQ' };
  } finally {
    connection.unsafeDestroy();
  }
}

function rethrow(address: BrokerAddress): (thrown: unknown) => never {
  return (cause) => {
    // A code that there is not is said by rabbitmq-client all the same.
    const reason = withoutSecrets(reasonOf(cause), address).replace(/^undefined: /, '');
    const what = REFUSED.test(reason) ? 'the user or the password was refused' : 'not connected';
    throw new TmError('TM_BROKER_UNREACHABLE', `${address.place}: ${what}: ${reason}`);
  };
}
