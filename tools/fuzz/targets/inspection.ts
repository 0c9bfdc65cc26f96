// What a program in a job says of what it saw: any text is judged, and one that says too little proves
// nothing.

import assert from 'node:assert/strict';
import { fromInside, parseInspection } from '../../../src/daemon/doctor/inspection.ts';
import { target } from '../target.ts';

const identity = '0f8fad5b-d9cb-469f-a165-70867728950e';

export default target({
  seeds: [
    'descriptor\t0\tok\ndescriptor\t1\tok\nvariable\tPATH\tx\nprocesses\t/proc\t2\n',
    'calls\tnative\t80\nreached\tmount\tnative\nrefuse\t/etc\tEROFS\nhide\t/proc/kcore\tempty\n',
    `identity\tboot id\t${identity}\nidentity\thost name\tjob-1\nwrite\t/work\tok\n`,
  ],
  words: [
    '\t',
    '\n',
    'calls\t',
    'refuse\t',
    '__proto__\t',
    'constructor\t',
    'EPERM',
    'device\tnull\t',
  ],
  run(input) {
    const seen = parseInspection(input.toString());
    const promises = fromInside(seen, identity, 'job-1');
    assert.ok(promises.every(({ name, found }) => name !== '' && typeof found === 'string'));
    const kept = promises.filter(({ state }) => state === 'ok').length;
    if (!seen.has('calls') || !seen.has('descriptor')) assert.ok(kept < promises.length);
  },
});
