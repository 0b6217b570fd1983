import assert from 'node:assert/strict';
import { redact } from '../../lib/redact';

const SECRET = 'a"key\\of/the+plant <é>%==';

describe('A secret in text from elsewhere', () => {
  for (const [how, quoted] of Object.entries({
    'as it is': SECRET,
    'in JSON': JSON.stringify({ token: SECRET }),
    'in JSON in JSON': JSON.stringify({ error: JSON.stringify({ token: SECRET }) }),
    'in a URL': `https://host/?token=${encodeURIComponent(SECRET)}`,
    'in a URL, in lower case': `?token=${encodeURIComponent(SECRET).replace(/%../g, (code) => code.toLowerCase())}`,
    'in a page': '<b>a&quot;key\\of/the+plant &lt;é&gt;%==</b>',
    'in base64': Buffer.from(SECRET).toString('base64'),
    'in base64url': Buffer.from(SECRET).toString('base64url'),
  })) {
    it(`${how} is taken out`, () => {
      const clean = redact(`before ${quoted} behind`, SECRET);
      assert.match(clean, /^before .*….* behind$/);
      assert.doesNotMatch(clean, /plant|YSJrZXl/);
    });
  }

  it('that is kept as it stands in a URL is taken out as it was meant, and the other way round', () => {
    for (const secret of ['p%40ss%20w%C3%B6rd', 'p@ss w\u00f6rd']) {
      for (const quoted of [
        'p@ss w\u00f6rd',
        'p%40ss%20w%c3%b6rd',
        'p%40ss+w%C3%B6rd',
        'p%40ss%20w%C3%B6rd',
      ]) {
        assert.equal(redact(`<${quoted}>`, secret), '<\u2026>', `${quoted} of ${secret}`);
      }
    }
  });

  it('is taken out whatever it is, and shows something else where that is wanted', () => {
    assert.equal(redact('a $& b', '$&', '$&$`'), 'a $&$` b');
    assert.equal(redact('half \ud800 of it', '\ud800'), 'half \u2026 of it');
    assert.equal(redact('100% of 100%', '100%'), '\u2026 of \u2026');
  });

  it('that is empty takes nothing out', () => {
    assert.equal(redact('some text', ''), 'some text');
  });
});
