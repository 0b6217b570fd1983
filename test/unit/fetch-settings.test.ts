import assert from 'node:assert/strict';
import { fetchSettings } from '../../lib/fetch-settings';
import type { RawSettings } from '../../lib/settings';

const query = (raw: RawSettings) => fetchSettings({ table: 't', ...raw }).query;
const refuses = (raw: RawSettings, message: RegExp): void => {
  assert.throws(() => query(raw), { code: 'TM_SETTING_INVALID', message });
};

describe('Settings of a tm-fetch', () => {
  it('of a flow that has none of the later ones are as they always were', () => {
    assert.deepEqual(query({ sensors: ' a\n\nb \r\na' }), {
      from: 'table',
      table: 't',
      sensorColumn: 'sensor_id',
      timestampColumn: 'timestamp',
      valueColumn: 'value',
      sensors: ['a', 'b'],
      exclude: [],
      rename: [],
      extras: [],
    });
  });

  it('name several value columns, or those of a wide table, with commas; one with a comma in quotes', () => {
    const several = query({ valueColumn: 'x, "a,b" ,y' });
    assert.deepEqual('valueColumn' in several && several.valueColumn, ['x', 'a,b', 'y']);
    const one = query({ valueColumn: 'va"lue' });
    assert.equal('valueColumn' in one && one.valueColumn, 'va"lue');
    const wide = query({ shape: 'wide', wideColumns: 'speed,\ntemp', sensorPrefix: 'K101.' });
    assert.deepEqual('valueColumns' in wide && [wide.valueColumns, wide.prefix], [
      ['speed', 'temp'],
      'K101.',
    ]);
  });

  it('take new names as lines, as CSV, and as they are copied from a spreadsheet', () => {
    for (const rename of [
      'a,A 1\nb,"B, 2"',
      'a;A 1\r\nb;"B, 2"\r\n',
      'a\tA 1\nb\tB, 2',
      ' a , A 1 \n\n"b","B, 2"',
    ]) {
      assert.deepEqual(
        query({ rename }).rename,
        [
          ['a', 'A 1'],
          ['b', 'B, 2'],
        ],
        JSON.stringify(rename),
      );
    }
  });

  it('refuse a new name that two sensors would have, and lines that are no pairs', () => {
    refuses({ rename: 'a,X\nb,X' }, /^rename gives "a" and "b" the same name, "X"/);
    refuses({ rename: 'a,X\na,Y' }, /^rename has "a" twice/);
    for (const rename of ['a', 'a,', ',X', 'a,b,c']) refuses({ rename }, /^rename is .*; it must be a tag/);
  });

  it('refuse a new name that another sensor has which is read too', () => {
    const both = /"a" and "b" would both be posted as "b"/;
    refuses({ rename: 'a,b', sensors: 'b\na' }, both);
    refuses({ rename: 'a,b', sensors: 'a*\nb' }, both);
    refuses({ rename: 'a,b', shape: 'wide', wideColumns: 'a,b' }, both);
    refuses(
      { rename: 'K1.a,K1.b', shape: 'wide', wideColumns: 'a,b', sensorPrefix: 'K1.' },
      /"K1.a" and "K1.b" would/,
    );
    const several = { valueColumn: 'x,y', sensors: 'a\nb.x' };
    refuses({ ...several, rename: 'a,b' }, /"a.x" and "b.x" would both be posted as "b.x"/);
    refuses({ valueColumn: 'x,y', rename: 'a,c\nb.x,c.x' }, /"a.x" and "b.x" would both be posted as "c.x"/);
    // Nothing is merged there.
    for (const raw of [
      { rename: 'a,b\nb,a', sensors: 'a\nb' },
      { rename: 'a,b', sensors: 'a' },
      { rename: 'a,b', sensors: 'b' },
      { rename: 'a,b', sensors: 'a\nb', exclude: 'a' },
      { rename: 'a,b', sensors: 'a\nb', exclude: 'b' },
      { rename: 'a,a', sensors: 'a' },
      { rename: 'a,b', valueColumn: 'x,y', sensors: 'a\nb.z' },
      { rename: 'a,b\nb.x,c\nb.y,d', valueColumn: 'x,y', sensors: 'a\nb' },
    ]) {
      assert.doesNotThrow(() => query(raw), JSON.stringify(raw));
    }
  });

  it('carry columns along under their own or other names, none twice', () => {
    assert.deepEqual(query({ extraColumns: 'unit\nquality,q' }).extras, [
      { column: 'unit', name: 'unit' },
      { column: 'quality', name: 'q' },
    ]);
    refuses({ extraColumns: 'a,value' }, /^extraColumns has the name "value" twice/);
    refuses({ extraColumns: 'a,q\nb,q' }, /^extraColumns has the name "q" twice/);
  });

  it('accept quality 192 where a quality column is named, or what is said', () => {
    assert.deepEqual(query({ qualityColumn: 'q' }).quality, { column: 'q', accepted: ['192'] });
    const said = query({ qualityColumn: 'q', qualityAccepted: 'Good, "Good, local"' });
    assert.deepEqual(said.quality?.accepted, ['Good', 'Good, local']);
    assert.equal(query({}).quality, undefined);
  });

  it('leave the choice of rows to SQL of the user’s own', () => {
    const sql = 'SELECT * FROM f(:start_time, :end_time)';
    const own = query({
      from: 'sql',
      sql,
      sensors: 'a',
      exclude: 'b',
      qualityColumn: 'q',
      trackBy: 'at',
      rename: 'a,A',
    });
    assert.deepEqual(own, { from: 'sql', sql, rename: [['a', 'A']], extras: [], trackBy: 'at' });
  });

  it('refuse what is no choice', () => {
    refuses({ shape: 'tall' }, /^shape is "tall"/);
    refuses({ epochUnit: 'h' }, /^epochUnit is "h"/);
  });
});
