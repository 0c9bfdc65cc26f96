import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatPublished, isSamePlace, parsePublished } from './publish.ts';

for (const [text, whole] of [
  ['8080:80', '127.0.0.1:8080:80/tcp'],
  ['53:5353/udp', '127.0.0.1:53:5353/udp'],
  ['0.0.0.0:1:65535', '0.0.0.0:1:65535/tcp'],
  ['*:8080:80/tcp', '*:8080:80/tcp'],
  ['[2001:DB8:0::1]:8080:80', '[2001:db8::1]:8080:80/tcp'],
  ['[::]:8080:80', '[::]:8080:80/tcp'],
] as const) {
  test(`the published port ${text} is ${whole}`, () => {
    const port = parsePublished(text);
    assert.ok(typeof port !== 'string', String(port));
    assert.equal(formatPublished(port), whole);
  });
}

for (const text of [
  ...['', '80', ':80:80', '0:80', '80:0', '65536:80', '80:80/icmp', '80:80/', 'localhost:80:80'],
  ...['256.0.0.1:80:80', '1.2.3:80:80', '::1:80:80', '[::1]:80:80', '[127.0.0.1]:80:80', '-1:80'],
  ...['224.0.0.1:80:80', '[ff02::1]:80:80', '[::ffff:1.2.3.4]:80:80', '80:80 ', '80:80;drop'],
  'x'.repeat(200),
]) {
  test(`the published port ${JSON.stringify(text.slice(0, 20))} is refused`, () => {
    assert.equal(typeof parsePublished(text), 'string');
  });
}

for (const [one, other, isSame] of [
  ['8080:80', '8080:81', true],
  ['8080:80', '8080:80/udp', false],
  ['8080:80', '8081:80', false],
  ['8080:80', '0.0.0.0:8080:80', true],
  ['8080:80', '*:8080:80', true],
  ['8080:80', '[::]:8080:80', false],
  ['192.0.2.1:8080:80', '127.0.0.1:8080:80', false],
  ['[2001:db8::1]:8080:80', '*:8080:80', true],
] as const) {
  test(`${one} and ${other} are ${isSame ? 'the same place' : 'two places'}`, () => {
    const [a, b] = [parsePublished(one), parsePublished(other)];
    assert.ok(typeof a !== 'string' && typeof b !== 'string');
    assert.deepEqual([isSamePlace(a, b), isSamePlace(b, a)], [isSame, isSame]);
  });
}

test('whatever the text, what is understood is the same when it is written whole and read again', () => {
  const pieces = fc.constantFrom(
    '*',
    '[',
    ']',
    ':',
    '::',
    '.',
    '/',
    'tcp',
    'udp',
    '8',
    '127.0.0.1',
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.array(pieces, { maxLength: 9 })), (made) => {
      const port = parsePublished(typeof made === 'string' ? made : made.join(''));
      if (typeof port === 'string') return;
      const whole = formatPublished(port);
      assert.match(whole, /^[0-9a-f.:*[\]]+\/(tcp|udp)$/);
      assert.deepEqual(parsePublished(whole), port);
    }),
  );
});
