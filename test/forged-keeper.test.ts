// The sockets of keepers have no owner on the host. Nobody else may pass for one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { runJob } from '../src/client/methods.ts';
import { formatFrame } from '../src/daemon/linux/frames.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { statusOf } from './job-calls.ts';
import { killAll } from './snapshot.ts';

const skip = cannotRun();
let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon();
});
after(async () => {
  if (skip === false) await daemon.stop();
});

test('a process that takes the place of a dead keeper is not believed', { skip }, async (t) => {
  const { jobUuid } = await daemon
    .as('developer')
    .unary(runJob, { command: 'sleep', args: ['600'] });
  const name = `\0joblet/${jobUuid}`;
  const keeper = createConnection(name).resume();
  await once(keeper, 'connect');
  const keeperGone = once(keeper, 'close');
  await daemon.kill();
  await killAll(daemon.cgroupName);
  await keeperGone;
  // The true end is in the log; this one says that the job runs, and then that all went well.
  const forged = createServer((socket) => {
    // Whoever does not believe the first frame hangs up on the second.
    socket.on('error', () => {});
    socket.write(formatFrame(['state', jobUuid, 'running', '1', '1', '1', 'no proof']));
    socket.write(formatFrame(['ended', jobUuid, 'how=exited', 'code=0']));
  });
  forged.listen(name);
  t.after(() => forged.close());
  await once(forged, 'listening');
  await daemon.restart();
  const { status, reason } = await statusOf(daemon.as('viewer'), jobUuid);
  assert.deepEqual([status, reason], ['FAILED', 'SIGNALED']);
});
