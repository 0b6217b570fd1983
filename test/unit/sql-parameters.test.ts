import assert from 'node:assert/strict';
import { LEXES, parameterNames, splitParameters, type SqlLexis } from '../../lib/source/sql-parameters';

const replaced = (sql: string, lexis: SqlLexis = 'postgres'): string => {
  const { texts, names } = splitParameters(sql, lexis);
  return texts.map((text, index) => (index === 0 ? text : `<${names[index - 1] ?? ''}>${text}`)).join('');
};

describe('Parameters in the user’s own SQL', () => {
  it('are replaced wherever they stand in plain SQL', () => {
    assert.equal(replaced('a >= :start_time AND a<:end_time'), 'a >= <start_time> AND a<<end_time>');
    assert.equal(
      replaced('f(:start_time::timestamptz, (:end_time))'),
      'f(<start_time>::timestamptz, (<end_time>))',
    );
    assert.deepEqual(parameterNames(':b :a :b', 'postgres'), ['b', 'a']);
  });

  for (const sql of [
    "':start_time'",
    "'it''s :start_time'",
    "E'a\\':start_time'",
    '":start_time"',
    '"a"":start_time"',
    '-- :start_time',
    '/* :start_time */',
    '/* /* */ :start_time */',
    '$$ :start_time $$',
    "$tag$ ' :start_time $tag$",
    'a::start_time',
    "'unfinished :start_time",
    '/* unfinished :start_time',
  ]) {
    it(`are left alone in ${sql}`, () => {
      assert.equal(replaced(sql), sql);
    });
  }

  it('are found behind strings, comments and casts', () => {
    for (const before of [
      "'x'",
      "'it''s'",
      '"q"',
      '-- c\n',
      '/* c /* n */ */',
      '$$x$$',
      'a::int',
      "E'\\''",
    ]) {
      assert.equal(replaced(`${before} :start_time`), `${before} <start_time>`, before);
    }
  });

  const ALONE: Readonly<Record<SqlLexis, readonly string[]>> = {
    postgres: ["E'it\\':start_time'", '/* /* */ :start_time */', '$$ :start_time $$', '$ä$ :start_time $ä$'],
    mysql: [
      "'it\\'s :start_time'",
      '"a\\":start_time"',
      '# :start_time',
      '-- :start_time',
      '--\t:start_time',
      '/* /* :start_time */',
      '`:start_time`',
      '`a``:start_time`',
    ],
    mssql: [
      '[:start_time]',
      '[a]]:start_time]',
      '/* /* */ :start_time */',
      "N'x :start_time'",
      '[unfinished :start_time',
    ],
    sqlite: ['[:start_time]', '`:start_time`', '`a``:start_time`', '/* /* :start_time */'],
  };
  const BEFORE: Readonly<Record<SqlLexis, readonly string[]>> = {
    postgres: ["-- it's\r", 'a$$b', "'a\\'", 'x[1]', '$1', 'a.b$c$d', "e.name'x'", '`'],
    mysql: ["'a\\\\'", "# it's\n", '/* /* */', 'a$$b', 'a--1 >', '5--1 +', '--\nx', '"a\'b"', '[it'],
    mssql: ["'a\\'", "[it's]", '["a]', '[a]]b]', "a--it's\n", 'a$$b', '#temp', "geography::Parse('x')"],
    sqlite: ["'a\\'", "[it's]", '/* /* */', 'a$$b', "`it's`", "a--it's\n", "e'\\'"],
  };
  for (const lexis of LEXES) {
    it(`are told apart as texts, names and comments are written: ${lexis}`, () => {
      for (const sql of [
        "':start_time'",
        "'it''s :start_time'",
        '":start_time"',
        '"a"":start_time"',
        '/* :start_time */',
        ...ALONE[lexis],
      ]) {
        assert.equal(replaced(sql, lexis), sql);
      }
      for (const before of ["'x'", "'it''s'", '"q"', '-- c\n', '/* c */', ...BEFORE[lexis]]) {
        assert.equal(replaced(`${before} :start_time`, lexis), `${before} <start_time>`, before);
      }
    });
  }
});
