import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesDomain, parseEgressRule } from './egress.ts';

for (const [text, rule] of [
  ['*', {}],
  ['192.0.2.0/24', { range: '192.0.2.0/24' }],
  ['tcp:192.0.2.1:443', { protocol: 'tcp', range: '192.0.2.1', ports: [443, 443] }],
  ['2001:db8::/32', { range: '2001:db8::/32' }],
  ['udp:[2001:db8::1]:53', { protocol: 'udp', range: '2001:db8::1', ports: [53, 53] }],
  ['Example.ORG.', { domain: 'example.org' }],
  ['*.example.org:8000-8100', { domain: '*.example.org', ports: [8000, 8100] }],
  ['icmp:*', { protocol: 'icmp' }],
  ['*:53', { ports: [53, 53] }],
] as const) {
  test(`the rule ${text} is understood`, () => {
    const usual = { protocol: '', range: undefined, domain: undefined, ports: undefined };
    assert.deepEqual(parseEgressRule(text), { ...usual, ...rule });
  });
}

for (const text of [
  ...['', ':', '*:', 'a..b', '192.0.2.256', '192.0.2.0/33', '2001:db8::/129', '1.2.3'],
  ...['[example.org]:80', 'sctp:example.org:9:9', 'ex ample.org', 'a.org:0', 'a.org:90-80'],
  ...['a.org:70000', 'icmp:*:80', '*.*.org', '-a.org', 'a".org', 'a.org;drop', 'x'.repeat(400)],
]) {
  test(`the rule ${JSON.stringify(text.slice(0, 20))} is refused`, () => {
    assert.equal(typeof parseEgressRule(text), 'string');
  });
}

test('whatever the text, what is understood has nothing in it that a packet filter would read', () => {
  const pieces = fc.constantFrom(
    'tcp:',
    '*',
    '.',
    'a',
    '1',
    ':',
    '/',
    '[',
    ']',
    '"',
    ' ',
    '{',
    '\n',
    '-',
    'é',
  );
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 12 }).map((each) => each.join('')),
      (text) => {
        const rule = parseEgressRule(text);
        if (typeof rule === 'string') return;
        assert.match(`${rule.range ?? ''}${rule.domain ?? ''}`, /^[0-9a-zA-Z._:/*-]*$/);
      },
    ),
  );
});

test('a star is every name below, and not the name itself', () => {
  assert.ok(matchesDomain('*.example.org', 'a.example.org'));
  assert.ok(matchesDomain('*.example.org', 'b.a.example.org'));
  assert.ok(!matchesDomain('*.example.org', 'example.org'));
  assert.ok(!matchesDomain('*.example.org', 'badexample.org'));
  assert.ok(matchesDomain('example.org', 'example.org'));
});
