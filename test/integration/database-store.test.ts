import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import knex, { type Knex } from 'knex';
import { parseDatabaseUrl } from '../../lib/database-url';
import type { BookmarkTableSettings } from '../../lib/state/bookmark-table';
import { DatabaseStore } from '../../lib/state/database-store';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

const WINDOW = { start_time: '2026-01-31T12:00:00Z', end_time: '2026-01-31T12:01:00Z' };

describe('state in a PostgreSQL database', () => {
  const database = testDatabase();
  const stores: DatabaseStore[] = [];
  let admin: Knex;

  const open = (bookmarkTable?: Partial<BookmarkTableSettings>): DatabaseStore => {
    const settings = {
      ...{ table: 'bookmarks', nameColumn: 'name', timestampColumn: 'timestamp', timeZone: 'UTC' },
      ...bookmarkTable,
    };
    const store = DatabaseStore.connect(
      parseDatabaseUrl(database.url),
      bookmarkTable && { bookmarkTable: settings },
    );
    stores.push(store);
    return store;
  };

  before(() => {
    admin = knex({ client: 'pg', connection: database.url, pool: { min: 0, max: 1 } });
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await admin.raw('drop schema public cascade; create schema public; drop schema if exists plant cascade');
  });
  after(() => admin.destroy());

  it('gives back what was written, also to a store opened later', async () => {
    const record = {
      position: '2026-01-31T12:00:00Z',
      ahead: [{ n: 1.5, ok: true, none: null, text: '"é\\\n' }],
    };
    const store = open();
    await store.write('bookmark', 'K101', record);
    assert.deepEqual(await store.read('bookmark', 'K101'), record);
    assert.deepEqual(await open().read('bookmark', 'K101'), record);
  });

  it('has nothing where nothing was written', async () => {
    const store = open();
    assert.equal(await store.read('task', 'a'), undefined);
    assert.deepEqual(await store.list('task'), []);
    await store.remove('task', 'a');
  });

  it('keeps names apart that some databases take for one, and kinds too', async () => {
    const store = open();
    const names = ['k101', 'K101', 'k101 ', 'ķ101', "k'101", '%k_', ''.padEnd(90, 'Ü').slice(0, 30)];
    for (const name of names) await store.write('bookmark', name, { name });
    await store.write('task', 'k101', { name: 'a task' });
    for (const name of names) assert.deepEqual(await store.read('bookmark', name), { name });
    assert.deepEqual((await store.list('bookmark')).sort(), [...names].sort());
    await store.remove('bookmark', 'K101');
    assert.deepEqual(await store.read('bookmark', 'k101'), { name: 'k101' });
    assert.deepEqual(await store.list('task'), ['k101']);
  });

  it('keeps the order of writes; of those that wait only the last is written', async () => {
    const store = open();
    await store.write('bookmark', 'a', { n: -1 });
    await admin.raw(
      'create table log (n int); create function note() returns trigger language plpgsql as ' +
        "'begin insert into log values (1); return new; end'; create trigger t after update on tm_state " +
        'for each row execute function note()',
    );
    const writes = Array.from({ length: 50 }, (_, n) => store.write('bookmark', 'a', { n }));
    const read = store.read('bookmark', 'a');
    await Promise.all(writes);
    assert.deepEqual(await read, { n: 49 });
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 49 });
    const [{ count }] = (await admin('log').count()) as [{ count: string }];
    assert.ok(Number(count) <= 2, `${count} writes`);
  });

  it('many processes may use it for the first time at once', async () => {
    const names = Array.from({ length: 8 }, (_, n) => `b${n}`);
    await Promise.all(names.map((name) => open().write('bookmark', name, { name })));
    assert.deepEqual((await open().list('bookmark')).sort(), names);
  });

  it('many processes may write the same new record at once', async () => {
    const first = open();
    await first.list('task');
    await Promise.all(Array.from({ length: 8 }, (_, n) => open().write('task', 'a', { n })));
    assert.equal(typeof (await first.read('task', 'a'))?.n, 'number');
    assert.deepEqual(await first.list('task'), ['a']);
  });

  it('uses a table that an administrator made, with an account that may make none', async () => {
    await open().write('bookmark', 'a', { n: 1 });
    const user = `tm_${randomUUID().slice(0, 8)}`;
    await admin.raw(`create role ${user} login password 'pw'; grant usage on schema public to ${user};
      grant select, insert, update, delete on tm_state to ${user}`);
    try {
      const store = DatabaseStore.connect({ ...parseDatabaseUrl(database.url), user, password: 'pw' });
      stores.push(store);
      await store.write('bookmark', 'a', { n: 2 });
      assert.deepEqual(await store.read('bookmark', 'a'), { n: 2 });
      await admin.raw('drop table tm_state');
      await assert.rejects(store.write('bookmark', 'a', { n: 3 }), {
        code: 'TM_STATE_WRITE',
        message:
          /^State could not be written to the state database: permission denied for schema public \(42501\)\./,
      });
      await store.close();
    } finally {
      stores.pop();
      await admin.raw(`drop owned by ${user}; drop role ${user}`);
    }
  });

  it('goes on after the server cut its connections', async () => {
    const store = open();
    await store.write('bookmark', 'a', { n: 1 });
    await admin.raw(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await store.write('bookmark', 'a', { n: 2 });
    assert.deepEqual(await store.read('bookmark', 'a'), { n: 2 });
  });

  it('leaves no connection open', async () => {
    const store = open();
    await store.write('bookmark', 'a', { n: 1 });
    stores.pop();
    await store.close();
    const { rows } = await admin.raw<{ rows: object[] }>(
      "select * from pg_stat_activity where application_name = 'turbomechanica-state' and datname = current_database()",
    );
    assert.deepEqual(rows, []);
  });

  it('a row that somebody spoiled is an error that names it, never a fresh start', async () => {
    const store = open();
    await store.write('bookmark', 'K101', { n: 1 });
    for (const record of ['', '{"n": 1', '[1]', 'null']) {
      await admin('tm_state').update({ record });
      await assert.rejects(store.read('bookmark', 'K101'), {
        code: 'TM_STATE_UNREADABLE',
        message: /"K101"/,
      });
    }
  });

  it('a database that cannot be reached or refuses is said without address or password', async () => {
    const user = `tm_${randomUUID().slice(0, 8)}`;
    await admin.raw(`create role ${user} login password 'geheim-17'`);
    const address = { ...parseDatabaseUrl(database.url), user, password: 'geheim-17' };
    for (const wrong of [
      { ...address, port: 1 },
      { ...address, database: 'no_such_database' },
    ]) {
      const store = DatabaseStore.connect(wrong);
      stores.push(store);
      const code = (error: unknown): string => (error as { code: string }).code;
      for (const [act, expected] of [
        [() => store.read('bookmark', 'a'), 'TM_STATE_UNREADABLE'],
        [() => store.list('bookmark'), 'TM_STATE_UNREADABLE'],
        [() => store.write('bookmark', 'a', { secretless: true }), 'TM_STATE_WRITE'],
        [() => store.remove('bookmark', 'a'), 'TM_STATE_WRITE'],
      ] as const) {
        await assert.rejects(act, (error) => {
          assert.equal(code(error), expected);
          assert.doesNotMatch(inspect(error, { depth: 9 }), /geheim|:\/\/|insert into/);
          assert.match((error as Error).message, /ECONNREFUSED|no_such_database/);
          return true;
        });
      }
    }
    await admin.raw(`drop role ${user}`);
  });

  describe("with the user's own table of bookmarks", () => {
    const columns = 'id serial primary key, name varchar(100) unique,';
    const shown = async (): Promise<string | undefined> => {
      const { rows } = await admin.raw<{ rows: { text: string }[] }>(
        'select "timestamp"::text as text from bookmarks',
      );
      return rows[0]?.text;
    };

    for (const [type, timeZone, text] of [
      ['timestamp', 'UTC', '2026-07-01 12:00:00'],
      ['timestamp', 'Europe/Berlin', '2026-07-01 14:00:00'],
      ['timestamp(3)', 'Asia/Kolkata', '2026-07-01 17:30:00'],
      ['timestamptz', 'Europe/Berlin', '2026-07-01 12:00:00+00'],
      ['varchar(40)', 'America/Chicago', '2026-07-01 07:00:00'],
    ] as const) {
      for (const processZone of ['UTC', 'America/Chicago', 'Asia/Kolkata']) {
        it(`a ${type} column of ${timeZone} means the same instant where the process is in ${processZone}`, async () => {
          const before = process.env.TZ;
          process.env.TZ = processZone;
          try {
            await admin.raw(`create table bookmarks (${columns} timestamp ${type}); set timezone to 'UTC'`);
            const record = { position: '2026-07-01T12:00:00Z', issued: [WINDOW], ahead: [] };
            await open({ timeZone }).write('bookmark', 'K101', record);
            assert.equal(await shown(), text);
            assert.deepEqual(await open({ timeZone }).read('bookmark', 'K101'), record);
            await admin.raw('delete from tm_state');
            assert.deepEqual(await open({ timeZone }).read('bookmark', 'K101'), {
              position: '2026-07-01T12:00:00Z',
            });
          } finally {
            if (before === undefined) delete process.env.TZ;
            else process.env.TZ = before;
          }
        });
      }
    }

    it("takes over another program's bookmark; a fraction of a second is sent again, never skipped", async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      await admin('bookmarks').insert({ name: 'K101', timestamp: '2026-01-31 12:00:00.987654' });
      const store = open({});
      assert.deepEqual(await store.list('bookmark'), ['K101']);
      assert.deepEqual(await store.read('bookmark', 'K101'), { position: '2026-01-31T12:00:00Z' });
      await store.write('bookmark', 'K101', { position: '2026-01-31T12:01:00Z' });
      assert.deepEqual(await admin('bookmarks').select('id', 'name'), [{ id: 1, name: 'K101' }]);
      assert.equal(await shown(), '2026-01-31 12:01:00');
    });

    it('follows an administrator who moves the bookmark, and forgets what was under way', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamptz)`);
      const store = open({});
      await store.write('bookmark', 'a', {
        ...{ position: '2026-01-31T12:00:00Z', issued: [WINDOW], ahead: [WINDOW], note: 'stays' },
      });
      await admin('bookmarks').update({ timestamp: '2026-01-30 00:00:00+02' });
      assert.deepEqual(await store.read('bookmark', 'a'), {
        position: '2026-01-29T22:00:00Z',
        note: 'stays',
      });
    });

    it('in the hour that clocks go back, the exact position is remembered', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      const timeZone = 'Europe/Berlin';
      for (const position of ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z']) {
        const record = { position, ahead: [WINDOW] };
        await open({ timeZone }).write('bookmark', 'a', record);
        assert.equal(await shown(), '2026-10-25 02:30:00');
        assert.deepEqual(await open({ timeZone }).read('bookmark', 'a'), record);
      }
    });

    it('a row that is gone or empty does not start the bookmark afresh; it is said', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      const record = { position: '2026-01-31T12:00:00Z', issued: [], ahead: [] };
      const store = open({});
      const warnings: string[] = [];
      store.onWarning = (message) => warnings.push(message);
      await store.write('bookmark', 'a', record);
      for (const [round, spoil] of [
        admin('bookmarks').update({ timestamp: null }),
        admin('bookmarks').delete(),
      ].entries()) {
        await spoil;
        assert.deepEqual(await store.read('bookmark', 'a'), record);
        assert.equal(warnings.length, round + 1);
        await store.write('bookmark', 'a', record);
        assert.equal(await shown(), '2026-01-31 12:00:00');
      }
    });

    it('a bookmark that has no position yet leaves the table alone', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp not null)`);
      const store = open({});
      await store.write('bookmark', 'a', { position: null, issued: [], ahead: [] });
      assert.deepEqual(await store.read('bookmark', 'a'), { position: null, issued: [], ahead: [] });
      assert.equal(await shown(), undefined);
    });

    it('keeps position and the rest in one transaction', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      const store = open({});
      const record = { position: '2026-01-31T12:00:00Z', ahead: [] };
      await store.write('bookmark', 'a', record);
      await admin.raw("alter table bookmarks add check (timestamp < '2026-01-31 12:30')");
      await assert.rejects(
        store.write('bookmark', 'a', { position: '2026-01-31T13:00:00Z', ahead: [WINDOW] }),
        {
          code: 'TM_STATE_WRITE',
          message: /check constraint/,
        },
      );
      assert.deepEqual(await store.read('bookmark', 'a'), record);
    });

    it('is read together with the rest as of one moment, whoever commits meanwhile', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      const store = open({});
      const record = { position: '2026-01-31T12:00:00Z', issued: [WINDOW], ahead: [] };
      await store.write('bookmark', 'K101', record);
      const reading = await admin.transaction(async (transaction) => {
        await transaction.raw('lock table bookmarks in access exclusive mode');
        const read = store.read('bookmark', 'K101');
        await until(async () => {
          const { rows } = await transaction.raw<{ rows: unknown[] }>(
            'select 1 from pg_locks where not granted',
          );
          return rows.length > 0;
        });
        const next = JSON.stringify({ ...record, position: '2026-01-31T12:01:00Z', issued: [] });
        await transaction('tm_state').where('record', 'like', '%issued%').update({ record: next });
        await transaction('bookmarks').where('name', 'K101').update({ timestamp: '2026-01-31 12:01:00' });
        return { read };
      });
      assert.deepEqual(await reading.read, record);
    });

    it('keeps tasks out of it', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      const store = open({});
      await store.write('task', 'a', { position: '2026-01-31T12:00:00Z' });
      assert.deepEqual(await admin('bookmarks').select(), []);
      assert.deepEqual(await store.read('task', 'a'), { position: '2026-01-31T12:00:00Z' });
    });

    it('removes the row with the bookmark', async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamp)`);
      const store = open({});
      for (const name of ['a', 'b'])
        await store.write('bookmark', name, { position: '2026-01-31T12:00:00Z' });
      await store.remove('bookmark', 'a');
      assert.equal(await store.read('bookmark', 'a'), undefined);
      assert.deepEqual(await store.list('bookmark'), ['b']);
    });

    it('takes any names for schema, table, columns and bookmark', async () => {
      await admin.raw(
        `create schema plant; create table plant."Book marks" ("na""me" text, "time; stamp" timestamp)`,
      );
      const names = { table: 'plant.Book marks', nameColumn: 'na"me', timestampColumn: 'time; stamp' };
      const name = `'; drop table tm_state; --`;
      await open(names).write('bookmark', name, { position: '2026-01-31T12:00:00Z' });
      assert.deepEqual(await open(names).read('bookmark', name), { position: '2026-01-31T12:00:00Z' });
      assert.deepEqual(await open({ ...names, table: 'plant."Book marks"' }).list('bookmark'), [name]);
    });

    it('of two rows of one name the older counts', async () => {
      await admin.raw('create table bookmarks (name text, timestamp timestamp)');
      await admin('bookmarks').insert([
        { name: 'a', timestamp: '2026-02-01' },
        { name: 'a', timestamp: '2026-01-01' },
      ]);
      assert.deepEqual(await open({}).read('bookmark', 'a'), { position: '2026-01-01T00:00:00Z' });
    });

    it("does not depend on how the account's sessions print dates", async () => {
      await admin.raw(`create table bookmarks (${columns} timestamp timestamptz)`);
      await admin.raw(`alter database ${database.name} set datestyle to 'SQL, DMY'`);
      await admin.raw(`alter database ${database.name} set timezone to 'Asia/Kolkata'`);
      try {
        await open({}).write('bookmark', 'a', { position: '2026-02-01T12:00:00Z' });
        await admin.raw('delete from tm_state');
        assert.deepEqual(await open({}).read('bookmark', 'a'), { position: '2026-02-01T12:00:00Z' });
      } finally {
        await admin.raw(`alter database ${database.name} reset all`);
      }
    });

    for (const [what, ddl, settings, code, message] of [
      ['no such table', '', {}, 'TM_SETTING_INVALID', /"bookmarks" was not found/],
      [
        'no such column',
        'create table bookmarks (name text, at timestamp)',
        {},
        'TM_SETTING_INVALID',
        /no column "timestamp" \(bookmarkTimestampColumn\)\. It has name, at\./,
      ],
      [
        'no name column',
        'create table bookmarks (label text, timestamp timestamp)',
        {},
        'TM_SETTING_INVALID',
        /no column "name" \(bookmarkNameColumn\)/,
      ],
      [
        'a date',
        'create table bookmarks (name text, timestamp date)',
        {},
        'TM_SETTING_INVALID',
        /keeps "timestamp" as date, which cannot hold/,
      ],
      [
        'infinity',
        "create table bookmarks (name text, timestamp timestamp); insert into bookmarks values ('a', 'infinity')",
        {},
        'TM_STATE_UNREADABLE',
        /bookmarks\.timestamp of the bookmark "a" is "infinity"/,
      ],
    ] as const) {
      it(`${what}: an error that says what is there`, async () => {
        if (ddl !== '') await admin.raw(ddl);
        await assert.rejects(open(settings).read('bookmark', 'a'), { code, message });
      });
    }
  });
});
