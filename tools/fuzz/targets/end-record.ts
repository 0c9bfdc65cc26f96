// The end of a job as its keeper wrote it: what is believed has whole numbers only, and comes to one
// outcome.

import assert from 'node:assert/strict';
import { outcomeOf } from '../../../src/daemon/jobs/outcome.ts';
import { nsToMs, parseEnd } from '../../../src/daemon/linux/end-record.ts';
import { parsePairs } from '../../../src/daemon/linux/frames.ts';
import { target } from '../target.ts';

const limits = {
  cpuPercent: 0,
  memoryBytes: 4096,
  ioBps: 0,
  cpuCores: '',
  processes: 0,
  workBytes: 0,
};

export default target({
  seeds: [
    'how=exited\0code=3\0oom-kills=0\0memory-peak=4096\0cpu-usec=12\0started-ns=1000000\0ended-ns=2000000\0log-bytes=9\0dropped-bytes=0',
    'how=signaled\0code=9\0cause=timeout',
    'how=exited\0code=0\0cause=stop',
    'how=not-started\0step=exec\0object=/x\0errno=ENOENT',
    'how=signaled\0code=9\0oom-kills=2',
  ],
  words: [
    'how=',
    'exited',
    'signaled',
    'code=',
    'cause=',
    'oom-kills=',
    'started-ns=',
    '-',
    '1e9',
    ' ',
  ],
  run(input) {
    const end = parseEnd(parsePairs(input.toString().split('\0')));
    if (end === undefined) return;
    for (const value of Object.values(end)) {
      assert.ok(typeof value !== 'number' || (Number.isSafeInteger(value) && value >= 0));
    }
    const outcome = outcomeOf(end, {
      spec: { limits, timeoutMs: 5 },
      timeout: undefined,
      stoppedBy: '',
    });
    assert.ok(outcome.how !== undefined);
    assert.ok(nsToMs(String(end.startedAtMs)) <= end.startedAtMs);
  },
});
