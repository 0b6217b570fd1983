/** A real HTTP proxy: it forwards what is asked for by its whole URL, and tunnels what is asked for by CONNECT. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface ProxyOptions {
  readonly username?: string;
  readonly password?: string;
  /** Answer to every CONNECT instead of a tunnel. */
  readonly tunnelStatus?: number;
}

export class TestProxy {
  /** What went through: `POST http://…` or `CONNECT host:port`. */
  readonly seen: string[] = [];
  /** Bytes that went through tunnels, to look for what must not be readable. */
  readonly tunnelled: Buffer[] = [];
  readonly #options: ProxyOptions;
  readonly #sockets = new Set<Duplex>();
  readonly #server = createServer((request, response) => this.#forward(request, response));

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#server.on('connect', (request, socket, head) => this.#tunnel(request, socket, head));
  }

  static async start(options: ProxyOptions = {}): Promise<TestProxy> {
    const proxy = new TestProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #mayPass({ headers }: IncomingMessage): boolean {
    const { username, password = '' } = this.#options;
    if (username === undefined) return true;
    return (
      headers['proxy-authorization'] === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    );
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    this.seen.push(`${request.method ?? ''} ${request.url ?? ''}`);
    if (!this.#mayPass(request)) {
      response.writeHead(407, { 'proxy-authenticate': 'Basic' }).end('who are you?');
      return;
    }
    const { 'proxy-authorization': _forTheProxy, ...headers } = request.headers;
    const onward = httpRequest(request.url ?? '', { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  }

  #tunnel(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.seen.push(`CONNECT ${request.url ?? ''}`);
    this.#keep(socket);
    const status = this.#mayPass(request) ? (this.#options.tunnelStatus ?? 200) : 407;
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const onward: Socket = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n');
      onward.write(head);
      socket.on('data', (bytes: Buffer) => this.tunnelled.push(bytes));
      socket.pipe(onward).pipe(socket);
    });
    this.#keep(onward);
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
