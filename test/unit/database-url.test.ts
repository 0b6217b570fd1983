import assert from 'node:assert/strict';
import { addressId, parseDatabaseUrl, type DatabaseAddress } from '../../lib/database-url';
import type { TmError } from '../../lib/errors';
import { loadDriver } from '../../lib/source/driver';

const PASSWORD = 'p@ss:w/o?rd;#%';
const ENCODED = encodeURIComponent(PASSWORD);
const server = (overrides: Partial<DatabaseAddress>): DatabaseAddress => ({
  engine: 'mssql',
  host: 'plant',
  port: 1433,
  database: 'hist',
  user: 'reader',
  password: 'pw',
  options: {},
  ...overrides,
});

const FORMS: readonly (readonly [url: string, address: DatabaseAddress, id: string])[] = [
  [
    'postgresql+psycopg2://reader:pw@plant/hist?sslmode=require',
    server({ engine: 'postgresql', port: 5432, options: { sslmode: 'require' }, sslMode: 'encrypted' }),
    'postgresql://plant:5432/hist',
  ],
  [
    'postgres://reader:pw@plant:5433/hist',
    server({ engine: 'postgresql', port: 5433 }),
    'postgresql://plant:5433/hist',
  ],
  ['mssql://reader:pw@plant/hist', server({}), 'mssql://plant:1433/hist'],
  [
    'MSSQL://reader:pw@plant:1500/hist?encrypt=true',
    server({ port: 1500, options: { encrypt: 'true' } }),
    'mssql://plant:1500/hist',
  ],
  [
    `mssql+pyodbc://reader:${ENCODED}@plant:1433/hist?driver=ODBC+Driver+17+for+SQL+Server&TrustServerCertificate=yes`,
    server({
      password: PASSWORD,
      options: { driver: 'ODBC Driver 17 for SQL Server', TrustServerCertificate: 'yes' },
    }),
    'mssql://plant:1433/hist',
  ],
  [
    String.raw`mssql+pymssql://reader:pw@plant\SQLEXPRESS/hist`,
    server({ port: 0, instance: 'SQLEXPRESS' }),
    String.raw`mssql://plant\SQLEXPRESS/hist`,
  ],
  [
    String.raw`mssql://CORP\reader:pw@plant/hist`,
    server({ user: String.raw`CORP\reader` }),
    'mssql://plant:1433/hist',
  ],
  [
    `mssql+pyodbc:///?odbc_connect=${encodeURIComponent(String.raw`DRIVER={ODBC Driver 18};SERVER=tcp:plant\inst;DATABASE=hist;UID=reader;PWD={p}}w;x}`)}`,
    server({ port: 0, instance: 'inst', password: 'p}w;x', options: { driver: 'ODBC Driver 18' } }),
    String.raw`mssql://plant\inst/hist`,
  ],
  [
    `Server=plant,1500; Database=hist; User Id=reader; Password="a;b""c"; Encrypt=True; TrustServerCertificate=true;`,
    server({ port: 1500, password: 'a;b"c', options: { encrypt: 'True', trustservercertificate: 'true' } }),
    'mssql://plant:1500/hist',
  ],
  [
    String.raw`Data Source=.\SQLEXPRESS;Initial Catalog=hist;Integrated Security=SSPI`,
    server({
      host: 'localhost',
      port: 0,
      instance: 'SQLEXPRESS',
      user: '',
      password: '',
      options: { integratedsecurity: 'SSPI' },
    }),
    String.raw`mssql://localhost\SQLEXPRESS/hist`,
  ],
  [
    'DRIVER={FreeTDS};SERVER=plant;PORT=1500;DATABASE=hist;UID=reader;PWD=pw',
    server({ port: 1500, options: { driver: 'FreeTDS' } }),
    'mssql://plant:1500/hist',
  ],
  ['mysql://reader:pw@plant/hist', server({ engine: 'mysql', port: 3306 }), 'mysql://plant:3306/hist'],
  [
    'mysql+pymysql://reader:pw@plant:3307/hist?charset=utf8mb4',
    server({ engine: 'mysql', port: 3307, options: { charset: 'utf8mb4' } }),
    'mysql://plant:3307/hist',
  ],
  [
    'mariadb+mariadbconnector://reader:pw@plant/hist',
    server({ engine: 'mysql', port: 3306 }),
    'mysql://plant:3306/hist',
  ],
  ...(
    [
      ['sqlite:///plant.db', 'plant.db'],
      ['sqlite:///data/plant.db', 'data/plant.db'],
      ['sqlite:////var/lib/plant.db', '/var/lib/plant.db'],
      [String.raw`sqlite:///C:\plant\hist.db`, String.raw`C:\plant\hist.db`],
      ['sqlite+pysqlite:///C:/plant/with%20blank.db', 'C:/plant/with blank.db'],
    ] as const
  ).map(
    ([url, database]) =>
      [
        url,
        server({ engine: 'sqlite', host: '', port: 0, database, user: '', password: '' }),
        `sqlite://${database}`,
      ] as const,
  ),
];

describe('The URL of a database', () => {
  for (const [url, address, id] of FORMS) {
    it(`may be ${url.replace(ENCODED, '…')}`, () => {
      assert.deepEqual(parseDatabaseUrl(url), address);
      assert.equal(addressId(parseDatabaseUrl(url)), id);
    });
  }

  const WRONG: readonly (readonly [url: string, says: RegExp])[] = [
    ['', /databaseUrl is empty/],
    ['plant', /is not a URL/],
    ['oracle://reader:geheim@plant/hist', /begins with "oracle:\/\/", a database that is not supported/],
    ['mssql://reader:geheim@plant', /names no database/],
    ['Server=plant;Password=geheim', /names no database/],
    ['Database=hist;Password=geheim', /names no server/],
    ['sqlite://', /names no file/],
    ['sqlite:///:memory:', /names no file/],
    ['sqlite://plant.db', /three slashes/],
  ];
  for (const [url, says] of WRONG) {
    it(`is refused, without being said: ${url}`, () => {
      assert.throws(
        () => parseDatabaseUrl(url),
        (error: Error) => says.test(error.message) && !error.message.includes('geheim'),
      );
    });
  }

  it('says how TLS is asked for, as clients of PostgreSQL and MySQL write it', () => {
    for (const [url, mode] of [
      ['postgresql://plant/hist', undefined],
      ['postgresql://plant/hist?sslmode=prefer', 'plain'],
      ['postgresql://plant/hist?sslmode=verify-ca', 'authority'],
      ['postgresql+asyncpg://plant/hist?ssl=verify-full', 'identity'],
      ['postgresql://plant/hist?ssl=true', 'identity'],
      ['postgresql://plant/hist?ssl=true&sslmode=require&sslrootcert=ca.pem', 'encrypted'],
      ['mysql://plant/hist?ssl-mode=REQUIRED', 'encrypted'],
      ['mysql://plant/hist?ssl_mode=verify_ca', 'authority'],
      ['mysql://plant/hist?sslMode=VERIFY_IDENTITY', 'identity'],
      ['mysql://plant/hist?ssl-mode=DISABLED', 'plain'],
    ] as const) {
      assert.equal(parseDatabaseUrl(url).sslMode, mode, url);
    }
  });

  it('refuses a way to ask for TLS that is not known, instead of connecting without', () => {
    for (const [url, says] of [
      ['postgresql://u:geheim@plant/hist?sslmode=requierd', /stateUrl has the sslmode "requierd".*require, /],
      ['postgresql://u:geheim@plant/hist?sslmode=', /sslmode ""/],
      ['postgresql://u:geheim@plant/hist?ssl-mode=verifyfull', /ssl-mode "verifyfull".*verify-full/],
      ['postgresql://u:geheim@plant/hist?ssl=on', /ssl "on"/],
      ['mysql://u:geheim@plant/hist?ssl-mode=verifyfull', /ssl-mode "verifyfull".*VERIFY_IDENTITY/],
      ['mysql://u:geheim@plant/hist?sslmode=constructor', /sslmode "constructor"/],
      ['mysql://u:geheim@plant/hist?ssl_ca=/etc/ca.pem', /ssl_ca.*TLS configuration/],
      ['postgresql://u:geheim@plant/hist?sslrootcert=/etc/ca.pem', /sslrootcert.*TLS configuration/],
    ] as const) {
      assert.throws(
        () => parseDatabaseUrl(url, 'stateUrl'),
        (error: TmError) =>
          error.code === 'TM_SETTING_INVALID' &&
          says.test(error.message) &&
          !error.message.includes('geheim'),
        url,
      );
    }
  });

  it('of an engine whose driver is not installed says what to install', async () => {
    const driver = ['no', 'such', 'driver'].join('-');
    await assert.rejects(
      loadDriver(driver, (): Promise<unknown> => import(driver)),
      {
        code: 'TM_SETTING_INVALID',
        message: /npm install no-such-driver/,
      },
    );
  });
});
