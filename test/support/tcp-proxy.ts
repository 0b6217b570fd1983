/** Stands between a client and a server and breaks what passes: cut at a byte, stopped, or refused at all. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpProxy {
  /** Connections so far. */
  connections = 0;
  /** Bytes that have come from the server. */
  received = 0;
  /** Connections that were cut because of {@link cutAfter}. */
  cuts = 0;
  /** How many bytes more the server may send to each connection from then on, before it is cut. */
  cutAfter: (() => number) | undefined;
  readonly #to: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #stopped = false;
  #server: Server | undefined;
  #port = 0;

  private constructor(to: { host: string; port: number }) {
    this.#to = to;
  }

  /** @param url of the server */
  static async start(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy({ host: hostname, port: Number(port || '5432') });
    await proxy.#listen();
    return proxy;
  }

  /** The server's URL with the proxy in its place. */
  through(url: string): string {
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String(this.#port);
    return through.href;
  }

  /** Connections stay open and nothing passes any more, nor in new ones. */
  stopForwarding(): void {
    this.#stopped = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** As a server that is away: connections are cut and new ones refused. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    this.#cutAll();
    await closed;
  }

  /** Back to where it forwards. */
  async restore(): Promise<void> {
    this.#stopped = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
    if (!this.#server) await this.#listen();
  }

  get open(): number {
    return this.#pairs.size;
  }

  close(): Promise<void> {
    return this.refuse();
  }

  async #listen(): Promise<void> {
    const server = createServer((client) => {
      this.#forward(client);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  #cutAll(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  #forward(client: Socket): void {
    this.connections++;
    const server = connect(this.#to.port, this.#to.host);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    let left = this.cutAfter?.() ?? Infinity;
    for (const [from, to] of [pair, [server, client] as const]) {
      from.on('error', () => from.destroy());
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#stopped) from.pause();
      from.on('data', (bytes: Buffer) => {
        let passed = bytes;
        if (from === server) {
          this.received += bytes.length;
          passed = bytes.subarray(0, left);
          left -= passed.length;
        }
        if (!to.write(passed)) {
          from.pause();
          to.once('drain', () => {
            if (!this.#stopped) from.resume();
          });
        }
        if (left > 0) return;
        this.cuts++;
        // What was let through arrives; then the connection is gone.
        to.destroySoon();
        from.destroy();
      });
    }
  }
}
