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

  it('that is empty takes nothing out', () => {
    assert.equal(redact('some text', ''), 'some text');
  });
});
