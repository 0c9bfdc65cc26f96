// GPUs of jobs, on a host whose GPUs are made up (own-gpus.ts): who gets which, what of them is in a
// sandbox, and what becomes of them when somebody is killed.

import './own-gpus.ts';

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import {
  getJobMetrics,
  getJobMetricsSummary,
  listGpus,
  watchGpus,
} from '../src/cli/metrics-wire.ts';
import type { Connection } from '../src/client/connection.ts';
import type { JobRequest } from '../src/client/messages.ts';
import { getJobStatus, queryJobs, runJob, stopJob, waitJob } from '../src/client/methods.ts';
import type { JobMetricsSample } from '../src/gen/joblet/metrics_pb.ts';
import { readExposition } from './exposition-reader.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { startProbing } from './inside-probes.ts';
import { finish, printed, python, shell, start, statusOf } from './job-calls.ts';
import { answerSmi, bindAgain, gpus, HIDDEN_FOLDER } from './own-gpus.ts';
import { cannotMakeTree, makeRuntime } from './runtime-tree.ts';
import { get } from './web-client.ts';
import { finishWorkflow, startWorkflow, stepOf } from './workflow-calls.ts';

const skip = cannotRun();
const MB = 1024n ** 2n;

let daemon: Daemon;
let api: Connection;
/** For what the first one would not get over. */
let second: Daemon;
/** Says behind which record it dies. */
let dieBehind: string;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({
    gpu: { enabled: true, cuda_paths: ['/usr/include', '/nonexistent/cuda', HIDDEN_FOLDER] },
    web: { enabled: true, port: 0 },
    job_metrics: { default_sample_rate: '1s' },
  });
});

beforeEach(() => {
  api = daemon?.as('admin');
});

after(async () => {
  await daemon?.stop();
  await second?.stop();
});

/** A job that has its GPUs until it is ended. */
function idle(gpuCount: number, more: JobRequest = {}): JobRequest {
  return { command: '/usr/bin/sleep', args: ['600'], gpuCount, ...more };
}

const ONCE = { idempotencyKey: 'all' };

const kill = (uuid: string) => api.unary(stopJob, { uuid, force: true });

/** The last sample that there is of a job, which is looked at for it. */
async function lastSample(jobUuid: string, from = api): Promise<JobMetricsSample> {
  for await (const sample of from.serverStream(getJobMetrics, { jobUuid, limit: 1 })) return sample;
  return assert.fail('no sample');
}

/** A sample of a running job that has GPUs, by its number among those. */
async function gpuSample(jobUuid: string, number: number): Promise<JobMetricsSample> {
  let seen = 0;
  for await (const sample of api.serverStream(getJobMetrics, { jobUuid })) {
    if (sample.gpu.length > 0 && ++seen === number) return sample;
  }
  return assert.fail('no such sample');
}

/** The lines that a shell script prints in a job. */
async function lines(script: string, more: JobRequest = {}): Promise<string[]> {
  const { job, stdout, stderr } = await finish(api, shell(script, more));
  assert.equal(job.status, 'COMPLETED', stderr);
  return stdout.split('\n').slice(0, -1);
}

test('S2-32, S3-11: a job has the devices of its GPUs and of no others, and one without has none', {
  skip,
}, async () => {
  const first = await start(api, idle(1));
  const devices = await lines('cd /dev && ls -d nvidia*', { gpuCount: 2 });
  const shared = ['nvidia-uvm', 'nvidia-uvm-tools', 'nvidiactl'];
  assert.deepEqual(devices.toSorted(), [...shared, 'nvidia5', 'nvidia7'].toSorted());
  // They are what the driver of the host has under these numbers: one reads zeros, one is always full.
  const read = 'head -c 2 /dev/nvidia5 | od -An -tx1; echo x > /dev/nvidia7 || true';
  assert.deepEqual(await lines(`(${read}) 2>&1`, { gpuCount: 2 }), [
    ' 00 00',
    '/bin/sh: 1: echo: echo: I/O error',
  ]);
  await kill(first);
  // What the driver tells in /proc is covered.
  assert.deepEqual(await lines("grep -c ' /proc/driver ' /proc/self/mountinfo"), ['1']);
  const nothing =
    'ls /dev | grep nvidia; env | grep -i -E "nvidia|cuda"; ls /proc/driver; ls -d /nvidia';
  assert.deepEqual(await lines(`(${nothing}) 2>/dev/null || true`), []);
});

test('no way leads a job to a GPU that it was not given', { skip }, async () => {
  const attempt = `
import os
wanted = (${gpus[1]?.minor}, ${gpus[2]?.minor})
def refused(what, do):
    try:
        do()
        print('LEAK:', what)
    except OSError as error:
        pass
for minor in wanted:
    device = os.makedev(1, minor)
    for place in ('/work', '/tmp', '/dev/shm', '/dev', '/nvidia', '/run'):
        refused(f'mknod in {place}', lambda: os.mknod(f'{place}/n{minor}', 0o20666, device))
    for path in (f'/dev/nvidia{minor}', f'/proc/self/root/dev/nvidia{minor}', f'/proc/1/root/dev/nvidia{minor}',
                 f'/proc/self/cwd/../dev/nvidia{minor}', f'/dev/char/1:{minor}', f'/dev/fd/../nvidia{minor}'):
        refused(path, lambda: os.open(path, os.O_RDWR))
refused('rename', lambda: os.rename('/dev/nvidia3', '/dev/nvidia5'))
refused('chmod', lambda: os.chmod('/dev/nvidia3', 0o777))
refused('unlink', lambda: os.unlink('/dev/nvidia3'))
print('tried', sorted(name for name in os.listdir('/dev') if name.startswith('nvidia')))
`;
  const { job, stdout, stderr } = await finish(api, { ...python(attempt), gpuCount: 1 });
  assert.equal(job.status, 'COMPLETED', stderr);
  assert.equal(stdout, "tried ['nvidia-uvm', 'nvidia-uvm-tools', 'nvidia3', 'nvidiactl']\n");
  // What is shown as the driver's own words would be what another job has left there.
  for (const place of ['/nvidia', '/nvidia/proc']) {
    const covers = api.unary(runJob, idle(1, { volumes: [`left:${place}`] }));
    await assert.rejects(covers, new RegExp(`no volume can stand at ${place}$`));
  }
});

for (const probe of ['privileges.py', 'filesystem.py'] as const) {
  test(`${probe} finds no way out of a job with GPUs`, { skip }, async () => {
    const probing = await startProbing(daemon);
    try {
      await probing.run(probe, { request: { gpuCount: 2 } });
    } finally {
      probing.stop();
    }
  });
}

test('a job with a GPU finds the driver and its own cards alone, and what it has itself stays in front', {
  skip,
}, async () => {
  const script = `
cat /nvidia/lib64/libcuda.so.1 /nvidia/lib64/libnvidia-ml.so.1; ls /nvidia/lib64 | wc -l
command -v nvidia-smi; echo $PATH; echo $LD_LIBRARY_PATH; echo $NVIDIA_VISIBLE_DEVICES $CUDA_VISIBLE_DEVICES
grep ModifyDeviceFiles /proc/driver/nvidia/params; ls /proc/driver/nvidia/gpus
touch /nvidia/lib64/x 2>/dev/null || echo read-only`;
  const environment = { LD_LIBRARY_PATH: '/work/own' };
  const first = await start(api, idle(1));
  assert.deepEqual(await lines(script, { gpuCount: 2, environment }), [
    'libcuda',
    'libnvidia-ml',
    '6',
    '/nvidia/bin/nvidia-smi',
    '/nvidia/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    '/work/own:/nvidia/lib64',
    `${gpus[1]?.uuid},${gpus[2]?.uuid} 0,1`,
    'ModifyDeviceFiles: 0',
    '0000:00:07.0',
    '0000:00:08.0',
    'read-only',
  ]);
  await kill(first);
});

test('S2-41, S4-21: two jobs never have one GPU, and one that finds them taken gets them when they are free', {
  skip,
}, async () => {
  const three = await start(api, idle(3));
  const one = await start(api, idle(1));
  const next = await api.unary(runJob, idle(2));
  assert.equal(next.status, 'PENDING');
  assert.equal(next.waitsFor, 'it is next; the next one needs 2 GPUs, and 0 of 4 are free');
  // A small one does not pass it, or it might wait for ever; one that wants none does.
  const small = await api.unary(runJob, idle(1));
  assert.match(small.waitsFor, /^1 job is ahead; the next one needs 2 GPUs/);
  await kill(one);
  const { status } = await statusOf(api, small.jobUuid);
  assert.equal(status, 'PENDING');
  assert.deepEqual(await lines('echo plain'), ['plain']);
  await kill(three);
  const [first, second] = await Promise.all([
    statusOf(api, next.jobUuid),
    statusOf(api, small.jobUuid),
  ]);
  assert.deepEqual([...first.gpuIndices, ...second.gpuIndices], [0, 1, 2]);
  assert.deepEqual([first.gpuCount, second.gpuCount], [2, 1]);
  const { jobs } = await api.unary(queryJobs, { statuses: ['INITIALIZING', 'RUNNING'] });
  assert.deepEqual(jobs.find(({ uuid }) => uuid === next.jobUuid)?.gpuIndices, [0, 1]);
  await Promise.all([kill(next.jobUuid), kill(small.jobUuid)]);
  // What it had is remembered.
  assert.deepEqual((await statusOf(api, next.jobUuid)).gpuIndices, [0, 1]);
});

test('GPU memory is asked for of each GPU, and a GPU with less is not given', {
  skip,
}, async () => {
  const { gpuIndices, gpuMemoryMb } = await statusOf(
    api,
    await start(api, idle(2, { gpuMemoryMb: 50_000 })),
  );
  assert.deepEqual([gpuIndices, gpuMemoryMb], [[0, 1], 50_000]);
  const small = await statusOf(api, await start(api, idle(1, { gpuMemoryMb: 40_000 })));
  assert.deepEqual(small.gpuIndices, [2]);
  const refused = api.unary(runJob, idle(3, { gpuMemoryMb: 50_000 }));
  await assert.rejects(
    refused,
    /asks for 3 GPUs of at least 50000 MB, and this node has 4, 2 of them so big/,
  );
  const { jobs } = await api.unary(queryJobs, { statuses: ['RUNNING'] });
  await Promise.all(jobs.map(({ uuid }) => kill(uuid)));
});

test('a GPU stays with its job when the daemon is killed, and is free after the end of that job', {
  skip,
}, async () => {
  const four = await start(api, idle(4));
  const waiting = await api.unary(runJob, shell('ls -d /dev/nvidia[0-9]', { gpuCount: 1 }));
  await daemon.kill();
  await daemon.restart();
  api = daemon.as('admin');
  assert.deepEqual((await statusOf(api, four)).gpuIndices, [0, 1, 2, 3]);
  assert.equal((await statusOf(api, waiting.jobUuid)).status, 'PENDING');
  await kill(four);
  const { status, gpuIndices } = await api.unary(waitJob, { uuid: waiting.jobUuid });
  assert.deepEqual([status, gpuIndices], ['COMPLETED', [0]]);
});

test('samples of a job with GPUs carry how each of them does', {
  skip,
}, async () => {
  const [one, two] = await Promise.all([start(api, idle(1)), start(api, idle(2))]);
  const { posture } = await api.unary(getJobStatus, { uuid: two, posture: true });
  assert.deepEqual(posture?.gpus, [`1 (${gpus[1]?.uuid})`, `2 (${gpus[2]?.uuid})`]);
  assert.deepEqual(posture?.kernel?.deviations, []);
  const { pid } = posture?.kernel ?? {};
  assert.ok(pid !== undefined);
  // Of the processes that use its GPU, those of somebody else are none of its.
  answerSmi({
    processes: [
      { gpu: 1, pid, mb: 518 },
      { gpu: 1, pid: 1, mb: 7 },
    ],
  });
  const [first, second] = await Promise.all([gpuSample(one, 2), gpuSample(two, 2)]);
  answerSmi();
  assert.deepEqual([first.gpuAllocation, second.gpuAllocation], [[0], [1, 2]]);
  assert.deepEqual(
    [first, second].map(({ gpu }) => gpu.map(({ uuid }) => uuid)),
    [[gpus[0]?.uuid], [gpus[1]?.uuid, gpus[2]?.uuid]],
  );
  const [{ $typeName: _, ...gpu } = assert.fail('no GPU in a sample')] = second.gpu;
  assert.deepEqual(gpu, {
    index: 1,
    uuid: gpus[1]?.uuid,
    name: 'NVIDIA H100 80GB HBM3',
    computeCapability: '9.0',
    driverVersion: '580.159.04',
    utilization: 0,
    memoryUsed: 0n,
    memoryTotal: 81_559n * MB,
    memoryFree: 81_079n * MB,
    memoryPercent: 0,
    encoderUtil: 0,
    decoderUtil: 0,
    smClock: 345n,
    memoryClock: 2619n,
    pcieThroughputRx: 554 * 1024,
    pcieThroughputTx: 1026 * 1024,
    temperature: 37,
    temperatureMemory: 40,
    powerDraw: 85.65,
    powerLimit: 700,
    fanSpeed: 0,
    eccErrorsSingle: 0n,
    eccErrorsDouble: 0n,
    xidErrors: 0n,
    retiredPages: 0n,
    throttleReasons: 1n,
    processesCount: 1n,
    processesMemory: 518n * MB,
    computeMode: 'Default',
  });
  const { gpuMemory } = await api.unary(getJobMetricsSummary, { uuid: two });
  assert.equal(gpuMemory?.max, 0);
  await Promise.all([kill(one), kill(two)]);
});

test('the GPUs of a node are listed with the jobs that have them, one that is split included', {
  skip,
}, async () => {
  const uuid = await start(api, idle(2));
  const { gpus: all, strategy, problem } = await daemon.as('viewer').unary(listGpus, {});
  assert.deepEqual(
    all.map(({ metrics, jobUuid }) => [metrics?.index, metrics?.uuid, jobUuid]),
    gpus.map((gpu, at) => [at, gpu.uuid, at < 2 ? uuid : '']),
  );
  assert.deepEqual([strategy, problem], ['first-fit', '']);
  for await (const look of daemon.as('viewer').serverStream(watchGpus, { intervalSeconds: 1 })) {
    assert.equal(look.gpus[1]?.jobUuid, uuid);
    break;
  }
  const { body } = await get(daemon, 'viewer', '/metrics');
  const allocated = readExposition(body).filter(({ name }) => name === 'joblet_gpu_allocated');
  assert.deepEqual(
    allocated.map(({ labels, value }) => [labels['gpu'], value]),
    [
      ['0', 1],
      ['1', 1],
      ['2', 0],
      ['3', 0],
    ],
  );
  await kill(uuid);
  answerSmi({ split: 0 });
  const other = await startDaemon({ gpu: { enabled: true, allocation_strategy: 'best-fit' } });
  try {
    const look = other.as('admin');
    assert.match((await look.unary(listGpus, {})).gpus[0]?.problem ?? '', /split \(MIG\)/);
    const job = await look.unary(runJob, idle(1));
    assert.deepEqual((await statusOf(look, job.jobUuid)).gpuIndices, [2]);
    await assert.rejects(look.unary(runJob, idle(4)), /asks for 4 GPUs, and this node has 3/);
  } finally {
    answerSmi();
    await other.stop();
  }
});

test('a runtime that has nothing of it gets the driver, and no CUDA of the host', {
  skip: skip || cannotMakeTree(),
}, async () => {
  const folder = path.join(daemon.directory, 'runtimes/bare-1.0');
  const environment = { PATH: '/usr/bin', LD_LIBRARY_PATH: '/opt/own' };
  makeRuntime(folder, { name: 'bare', version: '1.0', environment });
  const script =
    'cat /nvidia/lib64/libcuda.so.1; echo $LD_LIBRARY_PATH $PATH; ls /dev/nvidia3; env | grep CUDA_HOME; ls /usr';
  assert.deepEqual(await lines(script, { gpuCount: 1, runtime: 'bare-1.0' }), [
    'libcuda',
    '/opt/own:/nvidia/lib64 /nvidia/bin:/usr/bin',
    '/dev/nvidia3',
    'bin',
  ]);
  // Who sees the host's programs sees its CUDA, also where it lies on a mount of its own.
  const headers =
    'echo $CUDA_HOME; cd $CUDA_HOME && ls | head -1; cd /nvidia/cuda2 && ls | head -1';
  const [home, one, other] = await lines(headers, { gpuCount: 1 });
  assert.equal(home, '/usr/include');
  assert.ok(one !== undefined && one === other);
});

test('jobs of a workflow get GPUs, and one that asks for too many is refused with its line', {
  skip,
}, async () => {
  const workflow = (count: number) => `
jobs:
  train:
    command: sh
    args: [-c, "ls -d /dev/nvidia[0-9]"]
    resources: {gpu_count: ${count}, gpu_memory_mb: 50000}
`;
  const detail = await finishWorkflow(api, workflow(2));
  assert.equal(detail.workflow?.status, 'COMPLETED');
  const { gpuIndices } = await statusOf(api, stepOf(detail, 'train').jobUuid);
  assert.deepEqual(gpuIndices, [0, 1]);
  await assert.rejects(
    startWorkflow(api, workflow(3)),
    /w\.yaml:6:\d+: job 'train': gpu_count asks for 3 GPUs of at least 50000 MB, and this node has 4, 2 of them so big/,
  );
});

test('every example of the guide about GPUs works', { skip }, async () => {
  const ROOT = path.join(import.meta.dirname, '..');
  const guide = readFileSync(path.join(ROOT, 'docs/guide/gpus.md'), 'utf8');
  const rnx = path.join(daemon.directory, 'rnx');
  const main = path.join(ROOT, 'src/cli/main.ts');
  writeFileSync(rnx, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
  chmodSync(rnx, 0o755);
  const env = {
    PATH: `${daemon.directory}:${process.env['PATH']}`,
    HOME: daemon.directory,
    RNX_CONFIG: daemon.nodesFile('admin'),
  };
  const uuid = await start(api, idle(1));
  writeFileSync(path.join(daemon.directory, 'train.py'), 'print("trained")\n');
  const commands = guide.match(/(?<=^ {4})rnx .*$/gm) ?? [];
  assert.ok(commands.length >= 10);
  for (const command of commands) {
    // It goes on until somebody ends it.
    if (command.includes('--watch')) continue;
    const line = command.replace('f47ac10b', uuid);
    const ran = spawnSync('sh', ['-c', line], { env, cwd: daemon.directory, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${command}\n${ran.stderr}`);
  }
  const [, workflow = ''] = [...guide.matchAll(/```yaml\n([^`]+)```/g)].map(
    ([, text = '']) => text,
  );
  const { jobs } = await api.unary(queryJobs, { statuses: ['PENDING', 'RUNNING'] });
  for (const job of jobs) await kill(job.uuid);
  assert.equal((await finishWorkflow(api, workflow)).workflow?.status, 'COMPLETED');
});

test('a job gets no GPU by a number that the driver may have given to another, and the next ones wait', {
  skip,
}, async () => {
  const four = await start(api, idle(4));
  const first = await api.unary(runJob, idle(1));
  const second = await api.unary(runJob, idle(4));
  bindAgain(0);
  await kill(four);
  const failed = await api.unary(waitJob, { uuid: first.jobUuid });
  assert.match(failed.message, /could not be started: gpu: 1 GPU: ENODEV/);
  const next = await statusOf(api, second.jobUuid);
  assert.equal(next.status, 'PENDING');
  const why = 'the driver has given its devices new numbers; restart the daemon';
  assert.equal(next.waitsFor, `it is next; jobs of this node can have no GPU now: ${why}`);
  const { problem, gpus: all } = await api.unary(listGpus, {});
  assert.deepEqual([problem, all[1]?.problem], [why, why]);
});

test('an nvidia-smi that fails costs a sample what it says of GPUs and no more, and is named', {
  skip,
}, async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-'));
  dieBehind = path.join(directory, 'die-behind');
  const hook = pathToFileURL(path.join(import.meta.dirname, 'die-behind.ts'));
  second = await startDaemon({ gpu: { enabled: true } }, directory, {
    NODE_OPTIONS: `--import=${hook}`,
    JOBLET_DIE_BEHIND: dieBehind,
  });
  answerSmi({ text: 'Unable to determine the device handle for GPU0000:00:06.0: Unknown Error' });
  const named = second.logged(/how the GPUs do is not known.*no XML/);
  const uuid = (await second.as('admin').unary(runJob, idle(4))).jobUuid;
  const { gpu, gpuAllocation, process } = await lastSample(uuid, second.as('admin'));
  assert.deepEqual([gpu, gpuAllocation, process?.current], [[], [0, 1, 2, 3], 2n]);
  await named;
  answerSmi();
  await second.as('admin').unary(stopJob, { uuid, force: true });
});

test('a job whose daemon dies as it is to start has its GPUs, and one that cannot be started gives them back', {
  skip,
}, async () => {
  writeFileSync(dieBehind, 'job.created');
  await assert.rejects(second.as('admin').unary(runJob, idle(3)));
  await second.kill();
  await second.restart();
  const ask = second.as('admin');
  const { jobs } = await ask.unary(queryJobs, { statuses: ['INITIALIZING', 'RUNNING'] });
  const [{ uuid, gpuIndices } = assert.fail('no job')] = jobs;
  assert.deepEqual([jobs.length, gpuIndices], [1, [0, 1, 2]]);
  const next = await ask.unary(runJob, { command: '/no/such', gpuCount: 2 });
  assert.match(next.waitsFor, /needs 2 GPUs, and 1 of 4 are free/);
  await ask.unary(stopJob, { uuid, force: true });
  assert.equal((await ask.unary(waitJob, { uuid: next.jobUuid })).reason, 'NOT_STARTED');
  const all = (await ask.unary(runJob, idle(4, ONCE))).jobUuid;
  assert.deepEqual((await statusOf(ask, all)).gpuIndices, [0, 1, 2, 3]);
});

test('a job that waits for GPUs goes on waiting where the driver fails as the daemon starts, and plain ones run', {
  skip,
}, async () => {
  const { jobUuid } = await second.as('admin').unary(runJob, idle(1));
  await second.kill();
  answerSmi({ text: 'Failed to initialize NVML: Driver Not Loaded' });
  await second.restart();
  answerSmi();
  const { status, waitsFor } = await statusOf(second.as('admin'), jobUuid);
  assert.equal(status, 'PENDING');
  assert.match(waitsFor, /^it is next; jobs of this node can have no GPU now: .*no XML/);
  const plain = await finish(second.as('admin'), shell('echo plain'));
  assert.equal(plain.stdout, 'plain\n');
  const more = second.as('admin').unary(runJob, idle(1));
  await assert.rejects(more, /jobs of this node can have no GPU: .*no XML/);
});

test('where GPUs are turned off jobs keep what they have, one that waits for some fails, and more are refused', {
  skip,
}, async () => {
  const ask = () => second.as('admin');
  const { jobs } = await ask().unary(queryJobs, { statuses: ['PENDING', 'RUNNING'] });
  const [waiting = '', running = ''] = ['PENDING', 'RUNNING'].map(
    (status) => jobs.find((job) => job.status === status)?.uuid,
  );
  await second.kill();
  const file = path.join(second.directory, 'joblet-config.yml');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...config, gpu: { enabled: false } }));
  await second.restart();
  const failed = await ask().unary(waitJob, { uuid: waiting });
  assert.deepEqual([failed.status, failed.reason], ['FAILED', 'NOT_STARTED']);
  assert.match(failed.message, /could not be started: gpu: 1 GPU: ENODEV; .*rnx gpu list/);
  const { status, gpuIndices } = await statusOf(ask(), running);
  assert.deepEqual([status, gpuIndices], ['RUNNING', [0, 1, 2, 3]]);
  // Who asks once more for what he has got hears that he has it.
  assert.equal((await ask().unary(runJob, idle(4, ONCE))).jobUuid, running);
  const asked = ask().unary(runJob, idle(1));
  await assert.rejects(asked, /get no GPUs; its operator turns them on \(gpu\.enabled: true\)/);
});

test('a job that comes for a GPU starts those that wait for none, and is not in their way', {
  skip,
}, async () => {
  const own = await startDaemon({ gpu: { enabled: true }, joblet: { maxTotalMemory: '512MB' } });
  try {
    const its = own.as('admin');
    const go = (gpuCount: number, maxMemory: number, priority = 0) =>
      start(its, shell('echo ready; exec sleep 600', { gpuCount, maxMemory, priority }));
    const end = (uuid: string) => its.unary(stopJob, { uuid, force: true });
    const first = await go(1, 384);
    const large = await go(1, 256);
    const plain = await go(0, 64);
    const greedy = await go(4, 64, 5);
    // Whoever waited for memory has it, or waited behind one that did; the last one wants four GPUs.
    await printed(its, plain, 'ready');
    await end(greedy);
    await end(first);
    await printed(its, large, 'ready');
  } finally {
    await own.stop();
  }
});
