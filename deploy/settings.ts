/**
 * Node-RED's settings for a connector without an editor, out of the environment that start.ts has checked.
 * https://nodered.org/docs/user-guide/runtime/settings-file
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { jsonLine, type LogEvent } from './json-log';
import { DEFAULT_PORT } from './variables';

const {
  PORT = DEFAULT_PORT,
  LISTEN_ADDRESS = '0.0.0.0',
  LOG_LEVEL = 'info',
  LOG_FORMAT,
  NODE_RED_EDITOR,
  ADMIN_USER = 'admin',
  ADMIN_PASSWORD = '',
  CREDENTIAL_SECRET,
  TLS_CERT_FILE,
  TLS_KEY_FILE,
} = process.env;

const editor = NODE_RED_EDITOR === 'on';
const administrator = { username: ADMIN_USER, permissions: '*' };

/** Compared in a time that does not tell where they differ. */
function same(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

const hours = 12;

export = {
  uiPort: Number(PORT),
  uiHost: LISTEN_ADDRESS,

  // Without the editor its whole API is off, through which anybody could deploy code.
  disableEditor: !editor,
  ...(editor
    ? {
        httpAdminRoot: '/',
        adminAuth: {
          type: 'credentials',
          users: async (name: string) => (name === ADMIN_USER ? administrator : null),
          authenticate: async (name: string, password: string) =>
            ADMIN_PASSWORD !== '' && same(name, ADMIN_USER) && same(password, ADMIN_PASSWORD)
              ? administrator
              : null,
        },
      }
    : { httpAdminRoot: false }),

  // Without the editor there is nothing to encrypt: the flow holds names of variables alone.
  credentialSecret: editor ? CREDENTIAL_SECRET : false,

  // A renewed certificate is taken without a restart.
  ...(TLS_CERT_FILE && TLS_KEY_FILE
    ? {
        https: () => ({ cert: readFileSync(TLS_CERT_FILE), key: readFileSync(TLS_KEY_FILE) }),
        httpsRefreshInterval: hours,
      }
    : {}),

  logging:
    LOG_FORMAT === 'json'
      ? {
          json: {
            level: LOG_LEVEL,
            metrics: false,
            audit: false,
            handler: () => (event: LogEvent) => process.stdout.write(`${jsonLine(event)}\n`),
          },
        }
      : { console: { level: LOG_LEVEL, metrics: false, audit: false } },

  telemetry: { enabled: false, updateNotification: false },
  diagnostics: { enabled: false, ui: false },
  runtimeState: { enabled: false, ui: false },
  functionExternalModules: false,
  externalModules: { autoInstall: false, palette: { allowInstall: editor, allowUpload: false } },
  editorTheme: { tours: false, projects: { enabled: false } },
};
