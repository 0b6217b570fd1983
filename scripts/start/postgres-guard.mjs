/**
 * Stands between a start and its PostgreSQL (or a test and its MariaDB): when the start ends, be it in order, by a
 * crash or killed, the server is shut down too, and what should not stay is removed. Its argument says what to run.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

const PATIENCE_MS = 10_000;
const { command, args, account, remove, signals } = JSON.parse(process.argv[2]);

let asked = false;

const server = spawn(command, args, { ...account, cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
server.once('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
server.once('close', (status) => {
  // A server that ended by itself is the start's business, which still lives.
  if (remove && asked) rmSync(remove, { recursive: true, force: true });
  process.exit(status ?? 1);
});

// First clients are cut off and the state is written out; later it may be whatever recovery makes good.
const HOW = signals ?? ['SIGINT', 'SIGQUIT', 'SIGKILL'];
function shutDown() {
  server.kill(HOW.shift());
  if (HOW.length > 0) setTimeout(shutDown, PATIENCE_MS).unref();
}
function end() {
  if (!asked) shutDown();
  asked = true;
}
process.once('disconnect', end);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end);
