/** `turbomechanica-connector health`: asks the connector on this machine whether readings get through. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { DEFAULT_PORT, type Environment } from './variables';

const ANSWER_WITHIN_MS = 8_000;

/** @returns what it answers, and whether it is well; no secret is needed for that */
export function askHealth(environment: Environment): Promise<{ up: boolean; said: string }> {
  const { PORT = String(DEFAULT_PORT), LISTEN_ADDRESS = '0.0.0.0', TLS_CERT_FILE } = environment;
  const host = ['0.0.0.0', '::', ''].includes(LISTEN_ADDRESS) ? '127.0.0.1' : LISTEN_ADDRESS;
  const options = { host, port: Number(PORT), path: '/tm/health', timeout: ANSWER_WITHIN_MS };
  return new Promise((resolve) => {
    const down = (said: string): void => {
      resolve({ up: false, said });
    };
    const request =
      TLS_CERT_FILE === undefined
        ? httpRequest(options)
        : // It is this very machine; the name in the certificate is that of the outside.
          httpsRequest({ ...options, rejectUnauthorized: false });
    request.on('response', (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        resolve({ up: response.statusCode === 200, said: Buffer.concat(parts).toString() });
      });
      response.on('error', (error) => {
        down(error.message);
      });
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`)));
    request.on('error', (error) => {
      down(`The connector on ${host}:${PORT} does not answer: ${error.message}`);
    });
    request.end();
  });
}
