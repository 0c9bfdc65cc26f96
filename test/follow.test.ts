// Following a job from before it runs until it has ended.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { getJobLogs, runJob, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const skip = cannotRun();
let daemon: Daemon;

before(async () => {
  if (skip === false) daemon = await startDaemon({ joblet: { maxConcurrentJobs: 1 } });
});
after(async () => {
  if (skip === false) await daemon.stop();
});

async function read(uuid: string): Promise<string> {
  let text = '';
  for await (const { payload } of daemon.as('viewer').serverStream(getJobLogs, { uuid })) {
    text += Buffer.from(payload).toString();
  }
  return text;
}

/** Clock ticks of processor time that the daemon has used. */
function ticksOfDaemon(): number {
  const fields = readFileSync(`/proc/${daemon.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

test('a job that waits for its turn can be followed, and the daemon rests meanwhile', {
  skip,
}, async () => {
  const api = daemon.as('developer');
  const first = await api.unary(runJob, { command: 'sleep', args: ['60'] });
  const second = await api.unary(runJob, { command: 'sh', args: ['-c', 'echo at last'] });
  assert.equal(second.status, 'PENDING');
  const readers = [read(second.jobUuid), read(second.jobUuid)];
  const before = ticksOfDaemon();
  const other = read(first.jobUuid);
  for (let i = 0; i < 200; i++) await api.unary(stopJob, { uuid: 'ffffffff' }).catch(() => {});
  assert.ok(ticksOfDaemon() - before < 100, 'the daemon is busy while nothing happens');
  await api.unary(stopJob, { uuid: first.jobUuid, force: true });
  assert.equal(await other, '');
  assert.deepEqual(await Promise.all(readers), ['at last\n', 'at last\n']);
});
