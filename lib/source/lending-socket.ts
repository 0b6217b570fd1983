/**
 * A socket that reads into the same memory again and again. What a socket of the runtime reads is a new buffer each
 * time, and those of one large window are enough to make V8 collect its whole heap, every few turns of the event
 * loop, for as long as rows come.
 */
import { Socket, type ConnectOpts, type SocketConstructorOpts } from 'node:net';

/** As much as the runtime reads in one go. For all of them: what is read is taken before anything else is. */
const memory = Buffer.allocUnsafeSlow(64 * 1024);

const lending = new WeakSet<object>();

/** Its `data` listeners get copies, until they are lent the memory itself. */
export function lendingSocket(): Socket {
  // An option of the constructor too, which the published types do not know.
  const options: SocketConstructorOpts & ConnectOpts = {
    onread: {
      buffer: memory,
      callback: (length) => {
        const bytes = memory.subarray(0, length);
        socket.emit('data', lending.has(socket) ? bytes : Buffer.from(bytes));
        return true;
      },
    },
  };
  const socket = new Socket(options);
  return socket;
}

/**
 * From now on a `data` listener has the bytes only until it returns, or for good again. A stream of another kind,
 * such as TLS makes of a socket, goes on giving new buffers.
 */
export function lend(stream: object, lends: boolean): void {
  if (lends) lending.add(stream);
  else lending.delete(stream);
}
