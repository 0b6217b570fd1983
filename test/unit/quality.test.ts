import assert from 'node:assert/strict';
import { AcceptedQuality } from '../../lib/quality';
import type { ValueKind } from '../../lib/source/columns';

const accepts = (accepted: string[], kind: ValueKind, quality: string | null, padded = false): boolean => {
  const bytes = Buffer.from(`<${quality ?? ''}>`);
  const rule = new AcceptedQuality(accepted, { kind, padded });
  const look = () => rule.accepts(bytes, quality === null ? -1 : 1, bytes.length - 1);
  const first = look();
  // What was remembered is the same.
  assert.equal(look(), first);
  return first;
};

describe('Accepted qualities', () => {
  it('are numbers in a column of numbers, however they are written, to the last digit', () => {
    for (const kind of ['number', 'integer', 'decimal', 'mixed', 'marked'] as const) {
      for (const same of ['192', '192.0', '192.000', '1.92e2', '+192', '0192']) {
        assert(accepts(['192'], kind, same), `${kind} ${same}`);
        assert(accepts([same], kind, '192'), `${kind} ${same}`);
      }
      for (const other of ['19', '1920', '-192', '192.0000000000000001', '192x', 'NaN']) {
        assert(!accepts(['192'], kind, other), `${kind} ${other}`);
      }
      assert(accepts(['9007199254740993'], kind, '9007199254740993'));
      assert(!accepts(['9007199254740993'], kind, '9007199254740992'));
      assert(accepts(['0'], kind, '-0.0'));
    }
  });

  it('are texts in a column of texts, as they are', () => {
    assert(accepts(['Good'], 'text', 'Good'));
    for (const other of ['good', 'Good ', ' Good', 'Góod', '']) assert(!accepts(['Good'], 'text', other));
    assert(accepts(['Good'], 'text', 'Good   ', true));
    assert(!accepts(['192'], 'text', '192.0'));
    assert(accepts(['192'], 'marked', '"192'));
    assert(!accepts(['192'], 'marked', '"192.0'));
    assert(accepts(['Good'], 'mixed', 'Good'));
  });

  it('are yes and no in a column of these', () => {
    for (const yes of ['true', 'T', '1']) {
      for (const text of ['t', 'true', '1']) assert(accepts([yes], 'boolean', text), `${yes} ${text}`);
      for (const text of ['f', 'false', '0']) assert(!accepts([yes], 'boolean', text), `${yes} ${text}`);
    }
    assert(accepts(['FALSE'], 'boolean', 'f'));
    assert(!accepts(['192'], 'boolean', 't'));
  });

  it('are none where there is none, unless NULL is said', () => {
    assert(!accepts(['192', ''], 'integer', null));
    assert(accepts(['192', 'NULL'], 'integer', null));
    assert(accepts(['192', 'NULL'], 'integer', '192'));
    assert(!accepts(['NULL'], 'text', 'null'));
  });
});
