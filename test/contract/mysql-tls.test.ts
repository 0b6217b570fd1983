/** A MariaDB that speaks TLS: whose certificate is trusted, and that it is the server's own. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDatabaseUrl } from '../../lib/database-url';
import { openSource } from '../../lib/source/open';
import { TestAuthority } from '../support/certificates';
import { hasMariadb, startMariadb, type OwnMariadb } from '../support/own-mariadb';

const title = 'A source on MariaDB over TLS';
const suite = hasMariadb() ? describe : describe.skip;

suite(hasMariadb() ? title : `${title}: needs MariaDB`, () => {
  const authority = new TestAuthority();
  const ca = authority.cert;
  let folder: string;
  let server: OwnMariadb;

  before(async function () {
    this.timeout(120_000);
    folder = await mkdtemp(join(tmpdir(), 'tm-mariadb-tls-'));
    const { cert, key } = authority.issue('plant', ['127.0.0.1']);
    const files = { ca, cert, key };
    for (const [name, pem] of Object.entries(files)) await writeFile(join(folder, name), pem);
    server = await startMariadb([
      ...Object.keys(files).map((name) => `--ssl-${name}=${join(folder, name)}`),
      '--require-secure-transport=ON',
    ]);
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const clockOver = async (tls: ConnectionOptions | undefined, host = '127.0.0.1', search = '') => {
    const source = openSource({
      address: { ...parseDatabaseUrl(`${server.url}mysql${search}`), host },
      timeZone: 'UTC',
      statementTimeoutSeconds: 30,
      poolSize: 2,
      tls,
    });
    try {
      return await source.clock();
    } finally {
      await source.close();
    }
  };

  it('is read where the authority is known and the certificate names the host', async () => {
    assert(Number.isFinite(await clockOver({ ca })));
  });

  it('is refused where the certificate is another host’s, or of another authority', async () => {
    await assert.rejects(clockOver({ ca }, 'localhost'), {
      code: 'TM_DATABASE_UNREACHABLE',
      message: /Host.*localhost/,
    });
    const other = new TestAuthority('Another');
    await assert.rejects(clockOver({ ca: other.cert }), { code: 'TM_DATABASE_UNREACHABLE' });
    await assert.rejects(clockOver(undefined, '127.0.0.1', '?ssl-mode=VERIFY_CA'), {
      code: 'TM_DATABASE_UNREACHABLE',
    });
  });

  it('is read without a look at the certificate where the URL or the configuration says so', async () => {
    assert(Number.isFinite(await clockOver(undefined, '127.0.0.1', '?ssl-mode=REQUIRED')));
    assert(Number.isFinite(await clockOver({ rejectUnauthorized: false }, 'localhost')));
    await assert.rejects(clockOver(undefined), { code: 'TM_DATABASE_REFUSED' });
  });
});
