// Limits are measured, not assumed: each test has a job try to take more than it was given, and
// counts what it got. The same tests run on v1 controllers and on pure v2. (S2-17, S2-33)

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, constants, cpus } from 'node:os';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Connection } from '../src/client/connection.ts';
import { queryJobs, stopJob } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, python, shell, start, statusOf } from './job-calls.ts';
import { upload } from './upload-parts.ts';

const execFileAsync = promisify(execFile);

const MB = 1 << 20;
const { ENOMEM } = constants.errno;
const skip = cannotRun();

/** A share of a processor is right when it is within ten percent of what was asked for. */
const TOLERANCE = 0.1;
/** Disks are slower to account than processors. */
const DISK_TOLERANCE = 0.2;
/** With so much of the machine idle, nobody else was in a job's way. */
const IDLE_ENOUGH = 0.3;

/** In the guest of ./dev vm everything takes ten times longer, and what takes long proves nothing. */
const isEmulated = process.env['JOBLET_EMULATED'] !== undefined;
/** The daemon answers within this, whatever a job does. */
const ANSWER_MS = isEmulated ? 5000 : 200;

function assertNear(measured: number, wanted: number, tolerance: number, what: string): void {
  const off = Math.abs(measured - wanted) / wanted;
  assert.ok(off <= tolerance, `${what}: ${measured.toFixed(3)}, wanted ${wanted}`);
}

let daemon: Daemon;
let api: Connection;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  api = daemon.as('admin');
});

after(async () => {
  await daemon?.stop();
});

/** Takes memory, megabyte by megabyte, and touches it. */
const HOG = 'held = []\nwhile True: held.append(bytearray(b"x") * (1 << 20))';

/** Spins for some seconds in as many processes as asked, and says which share of a core they got. */
const SPIN = `
import os, sys, time, json
seconds, processes = float(sys.argv[1]), int(sys.argv[2])
def used():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
began, before = time.monotonic(), used()
children = []
for _ in range(processes - 1):
    pid = os.fork()
    if pid == 0:
        while time.monotonic() - began < seconds: pass
        os._exit(0)
    children.append(pid)
while time.monotonic() - began < seconds: pass
for pid in children: os.waitpid(pid, 0)
took = time.monotonic() - began
print(json.dumps({'share': (used() - before) / took}))
`;

function spin(seconds: number, processes: number): { command: string; args: string[] } {
  return {
    command: '/usr/bin/python3',
    args: ['-c', SPIN, String(seconds), String(processes)],
  };
}

test('a job at 50 % gets half a core, alone or shared among its processes', { skip }, async (t) => {
  for (const processes of [1, 2]) {
    const before = idleMs();
    const began = performance.now();
    const { stdout, job } = await finish(api, { ...spin(2, processes), maxCpu: 50 });
    const allMs = availableParallelism() * (performance.now() - began);
    const idleShare = (idleMs() - before) / allMs;
    assert.equal(job.status, 'COMPLETED');
    const { share } = JSON.parse(stdout) as { share: number };
    t.diagnostic(
      `${processes} processes: ${share.toFixed(3)} of a core, machine ${idleShare.toFixed(2)} idle`,
    );
    assert.ok(share <= 0.5 * (1 + TOLERANCE), `${share} of a core with ${processes} processes`);
    // A limit takes away; what others left of the processors, it cannot give.
    if (idleShare > IDLE_ENOUGH) assertNear(share, 0.5, TOLERANCE, 'share of a core');
    assert.ok(job.limitsInForce.some((line) => line.startsWith('CPU 50%')));
  }
});

/** Time that all processors together had nothing to do. */
function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

test('what a job used of the processor is in its status', { skip }, async () => {
  const { job } = await finish(api, { ...spin(1, 1), maxCpu: 50 });
  const share = Number(job.cpuUsec) / 1000 / (Date.parse(job.endTime) - Date.parse(job.startTime));
  assert.ok(share > 0.2 && share < 0.6, `${share} of a core, where 0.5 was the limit`);
});

// S0-58
test('a job over its memory is killed and says so with the numbers', { skip }, async () => {
  const { job } = await finish(api, python(HOG, { maxMemory: 64 }));
  assert.equal(job.status, 'FAILED');
  assert.equal(job.reason, 'OOM_KILLED');
  assert.match(job.message, /memory limit of 64 MB .*--max-memory/);
  assert.ok(job.oomKills >= 1);
  assert.ok(job.memoryPeakBytes > 60n * BigInt(MB), `peak ${job.memoryPeakBytes}`);
  assert.ok(job.memoryPeakBytes <= 64n * BigInt(MB), `peak ${job.memoryPeakBytes}`);
});

test('a job whose child takes too much memory is killed as a whole', { skip }, async () => {
  const script = `/usr/bin/python3 -c '${HOG}' & echo started; wait; sleep 600; echo survived`;
  const { job, stdout } = await finish(api, shell(script, { maxMemory: 64 }));
  assert.equal(job.reason, 'OOM_KILLED');
  assert.equal(stdout, 'started\n');
});

test('files in memory count as memory', { skip }, async () => {
  const script = 'dd if=/dev/zero of=/tmp/a bs=1M count=40; sleep 600';
  const { job } = await finish(api, shell(script, { maxMemory: 32 }));
  assert.equal(job.reason, 'OOM_KILLED');
});

const FILL_CONNECTIONS = `
import socket
server = socket.create_server(('127.0.0.1', 0), backlog=300)
held, sent = [], 0
for _ in range(300):
    client = socket.create_connection(server.getsockname())
    held += [client, server.accept()[0]]
    client.setblocking(False)
    try:
        while True: sent += client.send(bytes(1 << 16))
    except BlockingIOError: pass
print(sent >> 20)
`;

test('what connections hold on the way is limited, too', { skip }, async () => {
  const { job, stdout, stderr } = await finish(api, python(FILL_CONNECTIONS, { maxMemory: 64 }));
  // v2 counts it as the job's memory; without a limit it is more than a gigabyte.
  if (job.reason === 'OOM_KILLED') return;
  assert.equal(job.status, 'COMPLETED', stderr);
  assert.ok(Number(stdout) < 64, `${stdout.trim()} MB`);
});

/** Files of the job's own cgroups, where v1 and where v2 have them. */
const LIMIT_FILES = {
  memory: ['memory/memory.limit_in_bytes', 'memory.max'],
  swap: ['memory/memory.memsw.limit_in_bytes', 'memory.swap.max'],
  cpu: ['cpu/cpu.cfs_quota_us', 'cpu.max'],
} as const;

const READ_LIMITS = `
import json, os
found = {}
for name, files in json.loads('${JSON.stringify(LIMIT_FILES)}').items():
    for file in files:
        path = os.path.join('/sys/fs/cgroup', file)
        if os.path.exists(path): found[name] = open(path).read().strip()
print(json.dumps(found))
`;

/** Touches a huge page that it maps, and one of a file in memory, and says how that went. */
const HUGE = `
import mmap, os
def take(fd, flags):
    try:
        mmap.mmap(fd, 2 << 20, flags=flags)[0] = 1
        print('got')
    except OSError as error:
        print(error.errno)
HUGETLB = 0x40000
take(-1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | HUGETLB)
file = os.memfd_create('huge', os.MFD_HUGETLB)
os.ftruncate(file, 2 << 20)
take(file, mmap.MAP_SHARED)
`;

test('huge pages of the host are beyond the reach of jobs', { skip }, async (t) => {
  const file = '/proc/sys/vm/nr_hugepages';
  const before = readFileSync(file, 'utf8');
  t.after(() => writeFileSync(file, before));
  writeFileSync(file, String(Number(before) + 4));
  // Not in the way of the connection: where processors are emulated this takes long.
  const { stdout: outside } = await execFileAsync('python3', ['-c', HUGE]);
  if (outside !== 'got\ngot\n') return t.skip('this host has no room for huge pages');
  const { stdout, job } = await finish(api, python(HUGE));
  assert.equal(stdout, `${ENOMEM}\n${ENOMEM}\n`, job.message);
});

test('limits are in force before the first instruction, swap included', { skip }, async () => {
  const { stdout } = await finish(api, python(READ_LIMITS, { maxMemory: 100, maxCpu: 50 }));
  const found = JSON.parse(stdout) as Record<keyof typeof LIMIT_FILES, string>;
  assert.equal(found.memory, String(100 * MB));
  assert.equal(found.cpu.split(' ')[0], '50000');
  // v1 counts memory and swap together, v2 swap alone. A kernel may count no swap: then the job's
  // status must not say that it does.
  const counted = [String(100 * MB), '0'].includes(found.swap);
  const { job } = await finish(api, { command: '/bin/true', maxMemory: 100 });
  const said = job.limitsInForce.find((line) => line.startsWith('memory 100 MB')) ?? '';
  assert.equal(said.includes('swap included'), counted, said);
});

test('a job that starts with too much memory never gets it', { skip }, async () => {
  // The very first thing it does, before Python has read a file: a stack of its own of 64 MB.
  const script = 'exec /usr/bin/python3 -S -E -c "b = bytearray(67108864); print(len(b))"';
  const { job, stdout } = await finish(api, shell(script, { maxMemory: 32 }));
  assert.equal(job.reason, 'OOM_KILLED');
  assert.equal(stdout, '');
});

const FORK_UNTIL_REFUSED = `
import os, errno
children = []
try:
    while True:
        pid = os.fork()
        if pid == 0:
            os.read(os.pipe()[0], 1)
        children.append(pid)
except OSError as error:
    print(len(children), errno.errorcode[error.errno])
for pid in children: os.kill(pid, 9)
`;

test('a job has at most its number of processes', { skip }, async () => {
  const { stdout } = await finish(api, python(FORK_UNTIL_REFUSED, { maxProcesses: 20 }));
  // 20, of which the program itself is one.
  assert.equal(stdout, '19 EAGAIN\n');
});

test('a fork bomb stays inside: the daemon answers and other jobs run', { skip }, async () => {
  const bomb = await start(
    api,
    shell('echo lit; bomb() { bomb | bomb & }; bomb; sleep 600', { maxProcesses: 200 }),
  );
  await printed(api, bomb, 'lit');
  for (let round = 0; round < 10; round += 1) {
    const askedAt = performance.now();
    await api.unary(queryJobs, { limit: 10 });
    const tookMs = performance.now() - askedAt;
    assert.ok(tookMs < ANSWER_MS, `the daemon took ${tookMs} ms to answer`);
  }
  const other = await finish(api, { command: '/bin/true' });
  assert.equal(other.job.status, 'COMPLETED');
  const stopped = await api.unary(stopJob, { uuid: bomb });
  assert.equal(stopped.status, 'STOPPED');
});

test('all jobs together leave the host processes, and go first when its memory runs out', {
  skip,
}, async () => {
  const files = ['pids/', ''].map((tree) => `/sys/fs/cgroup/${tree}${daemon.cgroupName}/pids.max`);
  const file = files.find((each) => existsSync(each)) ?? '';
  const most = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
  assert.ok(Number(readFileSync(file, 'utf8')) <= 0.75 * most);
  const { stdout } = await finish(api, shell('cat /proc/self/oom_score_adj'));
  assert.equal(stdout, '500\n');
});

/** Asks for a filter of system calls as a user without rights; prints what came of it. */
const FILTER = `
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000), 8)
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 1, ctypes.addressof(code)), 16)
os.setuid(65534)
libc.prctl(38, 1, 0, 0, 0)
print(libc.prctl(22, 2, program))
`;

// It changes a setting of the whole host.
const notAlone = isEmulated ? false : 'only in the guest of ./dev vm';

test('jobs that fill the kernel’s room for code of filters keep no other from starting', {
  skip: skip || notAlone,
}, async (t) => {
  const room = '/proc/sys/net/core/bpf_jit_limit';
  const before = readFileSync(room);
  t.after(() => writeFileSync(room, before));
  writeFileSync(room, '1');
  assert.equal(execFileSync('python3', ['-c', FILTER], { encoding: 'utf8' }), '-1\n');
  for (const noInit of [false, true]) {
    const { stdout, job } = await finish(api, shell('echo runs', { noInit }));
    assert.equal(stdout, 'runs\n', job.message);
  }
});

test('a job stays on the cores that it was given', { skip }, async () => {
  const core = String(availableParallelism() - 1);
  const { stdout } = await finish(
    api,
    python('import os; print(sorted(os.sched_getaffinity(0)))', { cpuCores: core }),
  );
  assert.equal(stdout, `[${core}]\n`);
});

test('a job that runs past its timeout is stopped with code 124 (S4-23)', { skip }, async () => {
  const { job } = await finish(api, {
    command: '/usr/bin/sleep',
    args: ['600'],
    timeoutMs: 700n,
  });
  assert.equal(job.status, 'STOPPED');
  assert.equal(job.reason, 'TIMEOUT');
  assert.equal(job.exitCode, 124);
  const tookMs = Date.parse(job.endTime) - Date.parse(job.createdTime);
  assert.ok(tookMs >= 650 && tookMs < 3000, `it took ${tookMs} ms`);
});

const OPEN_UNTIL_REFUSED = `
import errno, os
opened = []
try:
    while True: opened.append(os.open('/dev/null', os.O_RDONLY))
except OSError as error:
    print(len(opened) + 3, errno.errorcode[error.errno])
`;

test('a job runs out of descriptors by itself', { skip }, async () => {
  const { stdout } = await finish(api, python(OPEN_UNTIL_REFUSED));
  assert.equal(stdout, '1024 EMFILE\n');
});

/** Writes zeros into a directory until it refuses, then empty files; says how far it came. */
const FILL = `
import errno, os, sys
block, written = bytes(1 << 16), 0
with open(os.path.join(sys.argv[1], 'big'), 'wb', buffering=0) as file:
    try:
        while True: written += file.write(block)
    except OSError as error: full = errno.errorcode[error.errno]
os.unlink(os.path.join(sys.argv[1], 'big'))
files = 0
try:
    while True:
        os.close(os.open(os.path.join(sys.argv[1], str(files)), os.O_CREAT | os.O_WRONLY))
        files += 1
except OSError as error: print(written, full, files, errno.errorcode[error.errno])
`;

const PLACES = [
  { place: '/work', bytes: 8 * MB },
  { place: '/tmp', bytes: 64 * MB },
  { place: '/dev/shm', bytes: 64 * MB },
] as const;

for (const { place, bytes } of PLACES) {
  test(`${place} takes ${bytes / MB} MB and a bounded number of files`, { skip }, async () => {
    const { stdout, stderr } = await finish(api, {
      command: '/usr/bin/python3',
      args: ['-c', FILL, place],
      workBytes: BigInt(8 * MB),
    });
    const [written, full, files, exhausted] = stdout.trim().split(' ');
    assert.equal(full, 'ENOSPC', stderr);
    assertNear(Number(written), bytes, 0.05, 'bytes written');
    assert.equal(exhausted, 'ENOSPC');
    assert.ok(Number(files) <= bytes / 4096, `${files} files`);
  });
}

/** Writes and reads a disk directly, past all caches, and says how many bytes a second it got. */
const DISK = `
import json, mmap, os, time
BLOCK, BLOCKS = 1 << 20, 8
block = mmap.mmap(-1, BLOCK)
block.write(b'x' * BLOCK)
def rate(move):
    began = time.monotonic()
    for _ in range(BLOCKS): move()
    return BLOCK * BLOCKS / (time.monotonic() - began)
file = os.open('/work/direct', os.O_CREAT | os.O_RDWR | os.O_DIRECT)
written = rate(lambda: os.write(file, block))
os.lseek(file, 0, os.SEEK_SET)
read = rate(lambda: os.readv(file, [block]))
began = time.monotonic()
with open('/work/buffered', 'wb') as buffered:
    for _ in range(BLOCKS): buffered.write(block)
    os.fsync(buffered.fileno())
synced = BLOCK * BLOCKS / (time.monotonic() - began)
print(json.dumps({'written': written, 'read': read, 'synced': synced}))
`;

test('a job reads and writes a disk no faster than its I/O limit', { skip }, async (t) => {
  if (!existsSync('/dev/loop-control')) {
    t.skip('this host has no loop devices, so no work directory lies on disk');
    return;
  }
  const limitBps = 4 * MB;
  // Big uploads lie on disk and not in memory.
  const uploadId = await upload(api, [{ path: 'big', mode: 0, content: Buffer.alloc(17 * MB, 7) }]);
  const { job, stdout, stderr } = await finish(
    api,
    python(DISK, { uploadId, maxIoBps: limitBps, workBytes: BigInt(64 * MB) }),
  );
  assert.equal(job.status, 'COMPLETED', stderr);
  const rates = JSON.parse(stdout) as Record<'written' | 'read' | 'synced', number>;
  t.diagnostic(`bytes/s: ${stdout.trim()}`);
  for (const [what, rate] of Object.entries(rates)) {
    assert.ok(rate <= limitBps * (1 + DISK_TOLERANCE), `${what} ${rate} bytes/s`);
    if (!isEmulated) assertNear(rate, limitBps, DISK_TOLERANCE, `${what}, bytes/s`);
  }
});

test('the status says which limits are in force', { skip }, async () => {
  const uuid = await start(api, {
    command: '/usr/bin/sleep',
    args: ['600'],
    maxCpu: 20,
    maxMemory: 32,
    maxProcesses: 10,
    maxIoBps: MB,
    cpuCores: '0',
  });
  const { limitsInForce } = await statusOf(api, uuid);
  await api.unary(stopJob, { uuid, force: true });
  await ended(api, uuid);
  for (const what of ['CPU 20%', 'memory 32 MB', '10 processes', `I/O ${MB}`, 'cores 0']) {
    assert.ok(
      limitsInForce.some((line) => line.includes(what) && /cgroup v[12]/.test(line)),
      `${what} is not in ${limitsInForce.join('; ')}`,
    );
  }
});
