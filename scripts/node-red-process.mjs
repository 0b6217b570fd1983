/** A Node-RED of its own process, on a free port and a user directory of the caller's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

const START_SECONDS = 60;
const STOP_SECONDS = 20;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function writeSettings(userDirectory, port) {
  const settings = {
    uiHost: '127.0.0.1',
    uiPort: port,
    flowFile: 'flows.json',
    credentialSecret: false,
    telemetry: { enabled: false, updateNotification: false },
  };
  await writeFile(join(userDirectory, 'settings.js'), `module.exports = ${JSON.stringify(settings)};\n`);
}

/**
 * Starts the Node-RED in `folder` (its package) with an empty flow and resolves once its flows run.
 * `stop()` ends it, by force if it must.
 */
export async function startNodeRed(folder, userDirectory) {
  const port = await freePort();
  await writeSettings(userDirectory, port);
  await writeFile(join(userDirectory, 'flows.json'), '[]');

  const child = spawn(process.execPath, [join(folder, 'red.js'), '--userDir', userDirectory], {
    cwd: userDirectory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const closed = once(child, 'close');

  const stop = async () => {
    child.kill();
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS * 1000);
    await closed;
    clearTimeout(force);
  };

  const started = new Promise((resolve, reject) => {
    const tooLong = setTimeout(
      () => reject(new Error(`not started in ${START_SECONDS} s`)),
      START_SECONDS * 1000,
    );
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        log += text;
        if (log.includes('Started flows')) resolve();
      });
    }
    void closed.then(() => reject(new Error('ended before its flows ran')));
    void closed.finally(() => clearTimeout(tooLong));
  });
  try {
    await started;
  } catch (error) {
    await stop();
    throw new Error(`Node-RED: ${error.message}\n${log}`, { cause: error });
  }
  return { url: `http://127.0.0.1:${port}/`, log: () => log, stop };
}
