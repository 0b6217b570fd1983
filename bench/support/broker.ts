/** The brokers of the measurements: those at the usual ports of this machine, or others by their variables. */
export type BrokerKind = 'redis' | 'rabbitmq';

export function brokerOf(kind: BrokerKind): string {
  switch (kind) {
    case 'redis':
      return process.env.BENCH_REDIS_URL ?? 'redis://127.0.0.1:6379';
    case 'rabbitmq':
      return process.env.BENCH_RABBITMQ_URL ?? 'amqp://guest:guest@127.0.0.1:5672';
    default:
      throw new Error(`"${String(kind)}" is no broker; it is redis or rabbitmq.`);
  }
}
