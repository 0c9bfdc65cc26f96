// Rules of what jobs may send, and ranges of addresses: what is understood is written into rules of the
// packet filter, so nothing else may be in it.

import assert from 'node:assert/strict';
import { formatCidr, parseCidr } from '../../../src/shared/cidr.ts';
import { parseEgressRule } from '../../../src/shared/egress.ts';
import { target } from '../target.ts';

export default target({
  seeds: [
    'tcp:*.example.org:443',
    'udp:[2001:db8::1]:53',
    '192.0.2.0/24:8000-8100',
    '10.10.0.0/24',
  ],
  words: ['tcp:', 'udp:', 'icmp:', '*.', '*', '[', ']:', '/24', '-', '::', '10.'],
  run(input) {
    const text = input.toString();
    const rule = parseEgressRule(text);
    // A character that is shown by its number takes six.
    if (typeof rule === 'string') assert.ok(rule.length < 200 + 6 * 64);
    else {
      assert.match(`${rule.range ?? ''}${rule.domain ?? ''}`, /^[0-9a-zA-Z._:/*-]*$/);
      assert.ok(rule.range === undefined || rule.domain === undefined);
      const [first, last] = rule.ports ?? [1, 1];
      assert.ok(first >= 1 && first <= last && last <= 65_535);
    }
    const cidr = parseCidr(text);
    if (typeof cidr !== 'string') assert.equal(formatCidr(cidr).split('/')[1], String(cidr.prefix));
  },
});
