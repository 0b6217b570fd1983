import assert from 'node:assert/strict';
import { parameterNames, splitParameters, type SqlLexis } from '../../lib/source/sql-parameters';

const replaced = (sql: string, lexis?: SqlLexis): string => {
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
    assert.deepEqual(parameterNames(':b :a :b'), ['b', 'a']);
  });

  for (const sql of [
    "':start_time'",
    "'it''s :start_time'",
    "E'a\\':start_time'",
    '":start_time"',
    '"a"":start_time"',
    '`:start_time`',
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

  it('are told apart as MySQL writes texts and comments', () => {
    for (const sql of [
      "'it\\'s :start_time'",
      '"a\\":start_time"',
      '# :start_time',
      '/* /* :start_time */',
    ]) {
      assert.equal(replaced(sql, 'mysql'), sql);
    }
    for (const before of ["'a\\\\'", "# it's\n", '/* /* */', 'a$$b']) {
      assert.equal(replaced(`${before} :start_time`, 'mysql'), `${before} <start_time>`, before);
    }
  });
});
