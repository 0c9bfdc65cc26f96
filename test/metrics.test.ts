// What jobs use: programs of which it is known what they use, and what the daemon says of them.

import './own-host.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { generated } from '../src/client/generated.ts';
import { createNetwork, sendJobInput, stopJob } from '../src/client/methods.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import type { JobMetricsSample } from '../src/gen/joblet/metrics_pb.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, python, shell, start, statusOf } from './job-calls.ts';

const MB = 1 << 20;
const skip = cannotRun();
const getJobMetrics = generated(JobService.method.getJobMetrics);
const streamJobMetrics = generated(JobService.method.streamJobMetrics);
const getSummary = generated(JobService.method.getJobMetricsSummary);

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ job_metrics: { default_sample_rate: '1s' } });
});

after(async () => {
  await daemon?.stop();
});

/** Asked anew each time: a daemon that was started again has another connection. */
const admin = () => daemon.as('admin');

/** All samples of a job; of one that runs, to its end. */
async function samplesOf(jobUuid: string, more: { limit?: number } = {}) {
  const samples: JobMetricsSample[] = [];
  for await (const sample of daemon
    .as('viewer')
    .serverStream(getJobMetrics, { jobUuid, ...more })) {
    samples.push(sample);
  }
  return samples;
}

/** The first sample of a running job that is as wanted. */
async function sampleWith(jobUuid: string, isWanted: (sample: JobMetricsSample) => boolean) {
  for await (const sample of daemon.as('viewer').serverStream(getJobMetrics, { jobUuid })) {
    if (isWanted(sample)) return sample;
  }
  throw new Error('the job ended without such a sample');
}

function assertNear(found: number, wanted: number, share: number, what: string): void {
  const says = `${what}: ${found}, and ${wanted} was used`;
  assert.ok(Math.abs(found - wanted) <= wanted * share, says);
}

async function stop(uuid: string): Promise<void> {
  await admin().unary(stopJob, { uuid, force: true });
  await ended(admin(), uuid);
}

const burner = `
import resource, sys, time
end = time.monotonic() + 3
while time.monotonic() < end:
    busy = time.process_time() + 0.03
    while time.process_time() < busy: pass
    time.sleep(0.07)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
`;

/** Sends and receives so much, and says how much its interface has seen. */
const TRAFFIC_BYTES = 1_000_000;
const sender = `
import socket, sys
with socket.create_connection((sys.argv[1], 80)) as connection:
    connection.sendall(bytes(${TRAFFIC_BYTES}))
    connection.shutdown(socket.SHUT_WR)
    got = 0
    while data := connection.recv(1 << 20): got += len(data)
print('done', got, flush=True)
if len(sys.argv) > 2: sys.stdin.read()
`;
const receiver = `
import socket
listener = socket.create_server(('', 80))
print('listens', flush=True)
while True:
    connection, _ = listener.accept()
    while connection.recv(1 << 20): pass
    connection.sendall(bytes(${TRAFFIC_BYTES}))
    connection.close()
`;

test('processor time of a job is what the job says itself, sampled and in all (S2-7)', {
  skip,
}, async () => {
  const uuid = await start(admin(), python(burner));
  const live = await sampleWith(uuid, ({ cpu }) => (cpu?.usageUsec ?? 0n) > 50_000n);
  assert.equal(live.jobId, uuid);
  assert.equal(live.sampleIntervalSeconds, 1);
  const { job, stdout } = await ended(admin(), uuid);
  assert.equal(job.status, 'COMPLETED');
  const samples = await samplesOf(uuid);
  const last = samples.at(-1)?.cpu;
  assertNear(Number(last?.usageUsec) / 1e6, Number(stdout), 0.05, 'seconds of processor time');
  const parts = Number(last?.userUsec) + Number(last?.systemUsec);
  assertNear(parts, Number(last?.usageUsec), 0.001, 'microseconds in programs and in the kernel');
  for (const [step, { cpu, timestamp }] of samples.entries()) {
    const earlier = samples[step - 1];
    assert.ok(timestamp >= (earlier?.timestamp ?? 0n));
    assert.ok((cpu?.usageUsec ?? 0n) >= (earlier?.cpu?.usageUsec ?? 0n));
  }
});

test('memory, processes and threads of a job are counted while it runs (S2-30)', {
  skip,
}, async () => {
  const program = `
import os, threading, time
for _ in range(2):
    if os.fork() == 0: os._exit(0)
held = bytearray(100 << 20)
for at in range(0, len(held), 4096): held[at] = 1
for _ in range(4): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print('ready', *[line.split()[1] for line in open('/proc/self/status') if line.startswith('RssAnon')], flush=True)
time.sleep(600)
`;
  const uuid = await start(admin(), python(program, { maxMemory: 200, maxProcesses: 20 }));
  const said = await printed(admin(), uuid, '\n');
  const heldMb = Number(said.split(' ')[1]) / 1024;
  assert.ok(heldMb > 100 && heldMb < 115, said);
  const { memory, process, limits, cgroupPath } = await sampleWith(
    uuid,
    (sample) => sample.process?.threads === 6n,
  );
  assertNear(Number(memory?.anon) / MB, heldMb, 0.05, 'MB of memory without a name');
  assertNear(Number(memory?.current) / MB, heldMb, 0.05, 'MB of memory in use');
  assert.equal(memory?.max, BigInt(200 * MB));
  assertNear(memory?.usagePercent ?? 0, heldMb / 2, 0.05, 'percent of its memory');
  assert.ok((memory?.pgFault ?? 0n) > 0n);
  // init and the command, which may not have come to sleep yet
  assert.equal((process?.sleeping ?? 0n) + (process?.running ?? 0n), 2n);
  // and two that have ended, for which it does not wait
  assert.equal(process?.zombie, 2n);
  assert.equal(process?.current, 8n);
  assert.equal(process?.max, 20n);
  assert.ok((process?.openFds ?? 0n) >= 3n);
  assert.equal(process?.maxFds, 1024n);
  assert.equal(limits?.memory, BigInt(200 * MB));
  assert.match(cgroupPath, /^\/sys\/fs\/cgroup\//);
  await stop(uuid);
  const last = (await samplesOf(uuid)).at(-1);
  assert.equal(last?.process?.current, 0n);
  assertNear(Number(last?.memory?.peak) / MB, heldMb, 0.05, 'MB at most');
});

test('a job that rests is told as it is, and whatever it does then shows in the next sample', {
  skip,
}, async () => {
  const program = `
import os, sys, threading, time
print('ready', flush=True)
sys.stdin.readline()
held = [os.open('/dev/null', os.O_RDONLY) for _ in range(7)]
for _ in range(3): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
kept = b'x' * (20 << 20)
sys.stdin.readline()
`;
  const uuid = await start(admin(), python(program, { stdin: true, maxMemory: 100 }));
  await printed(admin(), uuid, 'ready');
  /** What a sample says when the job has not run since the one before it. */
  const atRest = async (isWanted: (sample: JobMetricsSample) => boolean) => {
    let before: JobMetricsSample | undefined;
    return sampleWith(uuid, (sample) => {
      const rested = before?.cpu?.usageUsec === sample.cpu?.usageUsec;
      const { io, process, network } = before ?? sample;
      if (rested) assert.deepEqual([sample.process, sample.network], [process, network]);
      if (rested) assert.deepEqual(sample.io?.totalReadBytes, io?.totalReadBytes);
      before = sample;
      return rested && isWanted(sample);
    });
  };
  const { cgroupPath, memory, process: idle } = await atRest(() => true);
  await admin().clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n') }]);
  const active = await atRest(({ process }) => process?.threads === (idle?.threads ?? 0n) + 3n);
  assert.equal(active.process?.openFds, (idle?.openFds ?? 0n) + 7n);
  assert.ok((active.memory?.anon ?? 0n) >= (memory?.anon ?? 0n) + BigInt(20 * MB));
  // A signal is all that a process gets here, and it takes a moment of its time.
  const [, command] = readFileSync(path.join(cgroupPath, 'cgroup.procs'), 'utf8').split('\n');
  process.kill(Number(command), 'SIGSTOP');
  await atRest((sample) => sample.process?.stopped === 1n);
  await stop(uuid);
});

test('what a job reads from and writes to a disk is counted', { skip }, async () => {
  const program = `
import os
out = os.open('out', os.O_RDWR | os.O_CREAT)
os.write(out, os.urandom(10 << 20))
os.fsync(out)
os.posix_fadvise(out, 0, 0, os.POSIX_FADV_DONTNEED)
os.posix_fadvise(out, 0, 0, os.POSIX_FADV_RANDOM)
for at in range(10): os.pread(out, 1 << 20, at << 20)
`;
  // So much that it is brought along on a disk.
  const given = { path: 'given', content: Buffer.alloc(20 * MB, 'x') };
  const { job } = await finish(admin(), python(program, { uploads: [given] }));
  assert.equal(job.status, 'COMPLETED');
  const last = (await samplesOf(job.uuid)).at(-1)?.io;
  assertNear(Number(last?.totalWriteBytes) / MB, 10, 0.05, 'MB written');
  assertNear(Number(last?.totalReadBytes) / MB, 10, 0.05, 'MB read');
  assert.ok(Object.keys(last?.devices ?? {}).length > 0);
});

test('what a job sends and receives is counted while it runs, and of one that was short too', {
  skip,
}, async () => {
  const network = 'metered';
  await admin().unary(createNetwork, { name: network, cidr: '10.91.7.0/24' });
  const peer = await start(admin(), python(receiver, { network }));
  await printed(admin(), peer, 'listens');
  const { addresses } = await statusOf(admin(), peer);
  const [address = ''] = (addresses[0] ?? '').split('/');
  const request = python(sender, { network, stdin: true });
  const args = [...(request.args ?? []), address];

  const stays = await start(admin(), { ...request, args: [...args, 'stay'] });
  await printed(admin(), stays, `done ${TRAFFIC_BYTES}`);
  const { network: live } = await sampleWith(
    stays,
    (sample) => (sample.network?.totalRxBytes ?? 0n) > 0n,
  );
  const [name, ...others] = Object.keys(live?.interfaces ?? {}).filter((each) => each !== 'lo');
  assert.deepEqual([name, others], ['eth0', []]);
  assertNear(Number(live?.totalTxBytes), TRAFFIC_BYTES, 0.05, 'bytes sent');
  assertNear(Number(live?.totalRxBytes), TRAFFIC_BYTES, 0.05, 'bytes received');
  await stop(stays);

  const { job } = await finish(admin(), { ...request, stdin: false, args });
  assert.equal(job.status, 'COMPLETED');
  const last = (await samplesOf(job.uuid)).at(-1)?.network;
  assertNear(Number(last?.totalTxBytes), TRAFFIC_BYTES, 0.05, 'bytes sent');
  assertNear(Number(last?.totalRxBytes), TRAFFIC_BYTES, 0.05, 'bytes received');
  assert.ok((last?.totalTxPackets ?? 0n) > 10n && (last?.rxBps ?? 0) > 0);
  await stop(peer);
});

test('a job that was short has a first and a last sample (S3-11)', { skip }, async () => {
  const { job } = await finish(admin(), shell('true'));
  const [first, last, ...more] = await samplesOf(job.uuid);
  assert.deepEqual(more, []);
  assert.equal(first?.cpu?.usageUsec, 0n);
  assert.ok((last?.cpu?.usageUsec ?? 0n) > 0n);
  assert.ok((last?.memory?.peak ?? 0n) > 0n);
});

test('a job is not charged with what the jobs before it used in the same cgroups', {
  skip,
}, async () => {
  // It also wants more processes than it may have.
  const burn = `
import os, time
while time.process_time() < 0.6: pass
try:
    while os.fork() > 0: pass
except BlockingIOError: pass
os._exit(0)
`;
  const limits = { maxProcesses: 20 };
  // Some cgroups stand by for the next jobs; these take them all.
  for (let jobs = 0; jobs < 4; jobs += 1) {
    const { job, stderr } = await finish(admin(), python(burn, limits));
    assert.equal(job.status, 'COMPLETED', stderr);
  }
  const uuid = await start(admin(), shell('echo ready; exec sleep 600', limits));
  await printed(admin(), uuid, 'ready');
  const sample = await sampleWith(uuid, ({ memory }) => (memory?.current ?? 0n) > 0n);
  assert.ok((sample.cpu?.usageUsec ?? 0n) < 300_000n, `${sample.cpu?.usageUsec} us`);
  assert.equal(sample.process?.events, 0n);
  await stop(uuid);
});

test('samples go on over a restart of the daemon, and are all there afterwards', {
  skip,
}, async () => {
  const burn = 'import time\nwhile True: time.sleep(0.01)';
  const uuid = await start(admin(), python(burn));
  const before = await sampleWith(uuid, ({ memory }) => (memory?.current ?? 0n) > 0n);
  await daemon.kill();
  await daemon.restart();
  const after = await sampleWith(uuid, ({ timestamp }) => timestamp > before.timestamp + 1n);
  assert.ok((after.cpu?.usageUsec ?? 0n) > (before.cpu?.usageUsec ?? 0n));
  assert.ok((after.cpu?.usageUsec ?? 0n) < 60_000_000n);
  await stop(uuid);
  const times = (await samplesOf(uuid)).map(({ timestamp }) => timestamp);
  assert.ok(times.includes(before.timestamp) && times.includes(after.timestamp));
  assert.deepEqual(
    times,
    times.toSorted((a, b) => Number(a - b)),
  );
});

test('followers of one job see the same samples, each once, until it ends', { skip }, async () => {
  const uuid = await start(admin(), shell('sleep 2.5'));
  const seen = await Promise.all([samplesOf(uuid), samplesOf(uuid), samplesOf(uuid)]);
  const told = seen.map((samples) =>
    samples.map(({ timestamp, cpu }) => [timestamp, cpu?.usageUsec]),
  );
  assert.ok((seen[0]?.at(-1)?.memory?.peak ?? 0n) > 0n);
  assert.deepEqual(told[0], told[1]);
  assert.deepEqual(told[0], told[2]);
  assert.deepEqual((await samplesOf(uuid)).length, seen[0]?.length);
  assert.ok((told[0]?.length ?? 0) >= 4);
});

test('the last samples are found by their number, and the short form follows a job', {
  skip,
}, async () => {
  const uuid = await start(admin(), shell('sleep 1.5'));
  const events = [];
  for await (const event of admin().serverStream(streamJobMetrics, { jobUuid: uuid })) {
    events.push(event);
  }
  assert.ok(events.length >= 2);
  assert.equal(events.at(-1)?.jobUuid, uuid);
  const all = await samplesOf(uuid);
  assert.deepEqual(await samplesOf(uuid, { limit: 2 }), all.slice(-2));
});

test('a summary says how the use of a job was spread', { skip }, async () => {
  const { job } = await finish(admin(), python(burner));
  const { uuid } = job;
  const { cpu, memory } = await daemon.as('viewer').unary(getSummary, { uuid });
  assert.ok(cpu && memory);
  assert.ok(cpu.max > 10 && cpu.max < 50, `${cpu.max} % of a core`);
  assert.ok(cpu.min <= cpu.p50 && cpu.p50 <= cpu.p95 && cpu.p95 <= cpu.p99 && cpu.p99 <= cpu.max);
  assert.ok(memory.max > MB);
});
