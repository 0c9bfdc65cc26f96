// DNS messages of jobs and of whoever answers for the host's resolvers.

import assert from 'node:assert/strict';
import {
  formatAnswer,
  formatQuery,
  parseAnswer,
  parseQuery,
  TYPE_A,
  TYPE_AAAA,
} from '../../../src/daemon/networks/dns-message.ts';
import { target } from '../target.ts';

const query = formatQuery(7, 'service-a.test-env', TYPE_A);
const question = parseQuery(query);
const answer = question && formatAnswer(question, ['10.10.0.5'], 60);

export default target({
  seeds: [query, answer ?? query, formatQuery(1, 'a', TYPE_AAAA)],
  words: ['\u00c0\u000c', '\0\u0001\0\u0001', '\0\u001c', '\u0081\u0080', '\u0007example'],
  run(input) {
    const asked = parseQuery(input);
    if (asked !== undefined) {
      assert.ok(asked.name.length < 255);
      assert.ok(asked.section.length <= input.length - 12);
      const told = parseAnswer(formatAnswer(asked, ['192.0.2.1', '2001:db8::1'], 1));
      assert.equal(told?.id, asked.id);
      assert.ok(told?.section.equals(asked.section));
      assert.ok((told?.addresses.length ?? 0) <= 1);
    }
    const said = parseAnswer(input);
    assert.ok((said?.addresses.length ?? 0) <= 256);
  },
});
