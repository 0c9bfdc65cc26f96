// The sockets of keepers have no owner on the host. Nobody else may pass for one, or keep the daemon out.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { runJob, stopJob } from '../src/client/methods.ts';
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

/** Knocks at a keeper's socket without end, as a user without rights, in several processes. */
const CROWD = `
import os, socket, sys
os.setsid()
os.setuid(65534)
for _ in range(3): os.fork()
print('knocks', flush=True)
while True:
    with socket.socket(socket.AF_UNIX) as one:
        try: one.connect('\\0' + sys.argv[1])
        except ConnectionRefusedError: break
`;

test('a crowd that knocks at a keeper keeps no daemon out', { skip }, async () => {
  const { jobUuid } = await daemon
    .as('developer')
    .unary(runJob, { command: 'sleep', args: ['600'] });
  const crowd = spawn('python3', ['-c', CROWD, `joblet/${jobUuid}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(crowd.stdout, 'data');
  const crowdGone = once(crowd, 'exit');
  await daemon.kill();
  await daemon.restart();
  const { status, message } = await statusOf(daemon.as('viewer'), jobUuid);
  assert.equal(status, 'RUNNING', message);
  const stopped = await daemon.as('developer').unary(stopJob, { uuid: jobUuid, force: true });
  assert.equal(stopped.status, 'STOPPED');
  // Nobody listens any more.
  await crowdGone;
});
