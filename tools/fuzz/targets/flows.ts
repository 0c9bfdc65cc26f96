// What is told and kept of connections: lines of the helper, and the file beside a job's log.

import assert from 'node:assert/strict';
import { parseFlowNews } from '../../../src/daemon/linux/flow-source.ts';
import { MAX_FLOWS } from '../../../src/daemon/networks/flow.ts';
import { parseFlows } from '../../../src/daemon/networks/flow-file.ts';
import { target } from '../target.ts';

export default target({
  seeds: [
    'new 7 out 6 10.10.0.2 192.0.2.1 443 0 0',
    'no 0 out 17 fd00::2 2001:db8::1 53 0 0',
    '{"flow":{"number":1,"atMs":5,"endedAtMs":0},"key":"7 out"}\n{"omitted":3}',
  ],
  words: [
    'new ',
    'end ',
    'now ',
    'no ',
    ' out ',
    ' in ',
    '"flow":',
    '"omitted":',
    '"number":',
    '}\n',
  ],
  run(input) {
    const text = input.toString();
    const news = parseFlowNews(text);
    if (news !== undefined) assert.ok(news.id >= 0 && news.port >= 0);
    const { flows, open } = parseFlows(text);
    assert.ok(flows.size <= MAX_FLOWS);
    for (const number of open.values()) assert.ok(flows.has(number));
  },
});
