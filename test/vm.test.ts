// The same limits on a host with cgroup v2 only, whatever this host has: the doctor and the tests of
// limits run in an emulated guest with Debian's kernel.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ROOT } from '../tools/steps.ts';
import { cannotEmulate } from '../tools/vm/vm.ts';
import { cannotRun } from './harness.ts';

const skip = cannotRun() || (cannotEmulate() ?? false);

/** Booting, and a processor that is ten times slower than this one. */
const TIMEOUT_MS = 12 * 60_000;

test('limits hold on pure cgroup v2, and the doctor finds it sound (S2-1)', {
  skip,
  timeout: TIMEOUT_MS,
}, async (t) => {
  const guest = spawn(process.execPath, [path.join(ROOT, 'tools/dev.ts'), 'vm'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: t.signal,
    killSignal: 'SIGTERM',
  });
  const closed = once(guest, 'close');
  const [stdout, stderr] = await Promise.all([text(guest.stdout), text(guest.stderr)]);
  const [code] = (await closed) as [number | null];
  for (const line of stdout.split('\n')) if (/^[✔✖﹣]/.test(line)) t.diagnostic(line);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /^Jobs can run here with everything that is promised\./m);
  assert.match(stdout, /^ℹ pass [1-9]/m);
});
