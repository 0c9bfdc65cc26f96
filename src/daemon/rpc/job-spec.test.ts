import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import { JobletError } from '../../shared/errors.ts';
import type { JobSpec } from '../jobs/job.ts';
import { type JobPolicy, parseRfc3339, toJobSpec } from './job-spec.ts';

type Wish = MessageInitShape<typeof RunJobRequestSchema>;

const MB = 1024 * 1024;
const host = { cores: 4, memoryBytes: 4096 * MB, disks: 1 };
const nowMs = Date.parse('2030-01-31T12:00:00Z');
const policy: JobPolicy = {
  defaultCpuLimitPercent: 100,
  defaultMemoryLimitBytes: 512 * MB,
  defaultIoLimitBps: 0,
  defaultProcessLimit: 1024,
  minCpuLimitPercent: 0,
  maxCpuLimitPercent: 0,
  minMemoryLimitBytes: 0,
  maxMemoryLimitBytes: 0,
  minIoLimitBps: 0,
  maxIoLimitBps: 0,
  maxTotalCpuPercent: 0,
  maxTotalMemoryBytes: 0,
  jobTimeoutMs: 0,
  keepWorkMs: 0,
  graceMs: 100,
  validateCommands: false,
  defaultNetwork: 'isolated',
  networks: {
    has: (name) => ['none', 'isolated', 'bridge'].includes(name),
    names: () => ['none', 'isolated', 'bridge'],
  },
  maxUploadBytes: 1000,
  maxUploadFiles: 10,
};

function read(wish: Wish, set: Partial<JobPolicy> = {}): JobSpec {
  const request = create(RunJobRequestSchema, { command: '/bin/true', ...wish });
  return toJobSpec(request, host, { ...policy, ...set }, nowMs);
}

/** The fields that a request is refused for, with the messages. */
function problems(wish: Wish, set: Partial<JobPolicy> = {}): string[] {
  try {
    read(wish, set);
    return [];
  } catch (error) {
    assert.ok(error instanceof JobletError && error.kind === 'invalid');
    return error.problems.map(({ field, message }) => `${field}: ${message}`);
  }
}

test('S4-24, S4-62: a command alone takes every default', () => {
  assert.deepEqual(read({ command: 'make' }), {
    name: '',
    command: 'make',
    args: [],
    limits: {
      cpuPercent: 100,
      memoryBytes: 512 * MB,
      ioBps: 0,
      cpuCores: '',
      processes: 1024,
      workBytes: 0,
    },
    uploads: [],
    uploadId: '',
    startAtMs: 0,
    priority: 0,
    network: 'isolated',
    bandwidthBytesPerSecond: 0,
    egress: { closed: false, allow: [], deny: [] },
    publish: [],
    volumes: [],
    runtime: '',
    workDir: '/work',
    environment: {},
    secretEnvironment: {},
    timeoutMs: 0,
    graceMs: 100,
    keepWorkMs: 0,
    stdin: false,
    init: true,
    allow: [],
    workflowUuid: '',
  });
});

test('S4-9: what is asked for is what the job gets', () => {
  const spec = read({
    name: 'nightly_build-7',
    args: ['', '-x', '*'],
    maxCpu: 250,
    maxMemory: 1024,
    maxIoBps: 1_000_000,
    cpuCores: '0-3',
    maxProcesses: 64,
    workBytes: 8192n,
    network: 'none',
    workDir: 'src/lib',
    timeoutMs: 90_000n,
    graceMs: 5000n,
    stdin: true,
    noInit: true,
    allow: ['userns', 'ptrace', 'userns'],
  });
  assert.deepEqual(spec.limits, {
    cpuPercent: 250,
    memoryBytes: 1024 * MB,
    ioBps: 1_000_000,
    cpuCores: '0-3',
    processes: 64,
    workBytes: 8192,
  });
  assert.deepEqual(
    [spec.args, spec.workDir, spec.timeoutMs, spec.graceMs, spec.stdin, spec.init, spec.allow],
    [['', '-x', '*'], '/work/src/lib', 90_000, 5000, true, false, ['ptrace', 'userns']],
  );
});

test('S0-3: a lone command runs in a shell when a shell would read more than a word in it', () => {
  const shell = (command: string) => read({ command });
  for (const line of ['a && b', 'echo $HOME', 'ls *.c', "printf '%s'", 'a;b', 'a\tb', 'a\nb']) {
    const { command, args } = shell(line);
    assert.deepEqual([command, ...args], ['sh', '-c', line]);
  }
  for (const word of ['make', '/usr/bin/python3.11', './service-a', 'c++', 'a=b', 'x@y:z,%+']) {
    const { command, args } = shell(word);
    assert.deepEqual([command, ...args], [word]);
  }
  const withArguments = read({ command: '/opt/my app/run', args: [''] });
  assert.deepEqual([withArguments.command, ...withArguments.args], ['/opt/my app/run', '']);
});

test('S4-32: an operator can have shell lines refused', () => {
  const strict = { validateCommands: true };
  assert.deepEqual(problems({ command: 'rm -rf /; true' }, strict), [
    'command: invalid command: command contains dangerous characters',
  ]);
  assert.deepEqual(problems({ command: 'bash', args: ['-c', 'sleep 10 && echo'] }, strict), []);
});

/** A wish, the field it is refused for, and a part of the message. */
const refused: readonly (readonly [Wish, string, RegExp])[] = [
  [{ command: '' }, 'command', /must specify a command to run/],
  [{ command: ' \t' }, 'command', /must specify a command to run/],
  [{ command: 'a\0b' }, 'command', /NUL/],
  [{ args: ['ok', 'a\0'] }, 'args[1]', /NUL/],
  [{ args: ['x'.repeat(128 * 1024)] }, 'args[0]', /131072 bytes of at most 131071/],
  [{ args: Array(8).fill('x'.repeat(100 * 1024)) }, 'args', /at most 786432; upload a file/],
  [{ name: 'a b' }, 'name', /must start with/],
  [{ name: 'x'.repeat(64) }, 'name', /at most 63/],
  [{ maxCpu: -1 }, 'max_cpu', /cannot be negative/],
  [{ maxCpu: 401 }, 'max_cpu', /401 is more than the 400 of this host/],
  [{ maxMemory: -5 }, 'max_memory', /cannot be negative/],
  [
    { maxMemory: 4097 },
    'max_memory',
    /^max_memory: job creation failed: maxMemory exceeds system limits/,
  ],
  [{ maxIoBps: -1 }, 'max_io_bps', /cannot be negative/],
  [{ maxProcesses: -1 }, 'max_processes', /cannot be negative/],
  [{ maxProcesses: 5_000_000 }, 'max_processes', /at most/],
  [{ workBytes: -1n }, 'work_bytes', /cannot be negative/],
  [{ workBytes: 100n }, 'work_bytes', /from 4 KB to 1 TB/],
  [{ timeoutMs: -1n }, 'timeout_ms', /cannot be negative/],
  [{ timeoutMs: 2n ** 60n }, 'timeout_ms', /more than 365 days/],
  [{ graceMs: -1n }, 'grace_ms', /cannot be negative/],
  [{ graceMs: 3_600_001n }, 'grace_ms', /at most/],
  [{ cpuCores: 'x' }, 'cpu_cores', /no range like 0-3/],
  [{ cpuCores: ' ' }, 'cpu_cores', /no range like 0-3/],
  [{ cpuCores: '-1' }, 'cpu_cores', /no range like 0-3/],
  [{ cpuCores: '0-1,3' }, 'cpu_cores', /no range like 0-3/],
  [{ cpuCores: '0,,1' }, 'cpu_cores', /no range like 0-3/],
  [{ cpuCores: '2-1' }, 'cpu_cores', /runs backwards/],
  [{ cpuCores: '1,1' }, 'cpu_cores', /names a core twice/],
  [{ cpuCores: '0,4' }, 'cpu_cores', /names core 4, and this host has the cores 0 to 3/],
  [{ schedule: 'tomorrow' }, 'schedule', /RFC 3339/],
  [{ schedule: '2030-02-30T12:00:00Z' }, 'schedule', /RFC 3339/],
  [{ schedule: '2031-02-01T12:00:00Z' }, 'schedule', /more than 365 days ahead/],
  [
    { network: 'elsewhere' },
    'network',
    /"elsewhere" is not there; there is none, isolated, bridge/,
  ],
  [{ network: 'host' }, 'network', /not offered on this node/],
  [{ bandwidthBytesPerSecond: -1n }, 'bandwidth_bytes_per_second', /cannot be negative/],
  [
    { bandwidthBytesPerSecond: 1n },
    'bandwidth_bytes_per_second',
    /is from 1 KB to 128 GB a second/,
  ],
  [
    { network: 'none', bandwidthBytesPerSecond: 4096n },
    'bandwidth_bytes_per_second',
    /is for a job on a network/,
  ],
  [{ runtime: 'python@../x' }, 'runtime', /must start with a letter or a digit/],
  [{ volumes: ['data:relative'] }, 'volumes[0]', /the path has to be absolute/],
  [{ volumes: ['data', 'a/b'] }, 'volumes[1]', /the name must start with/],
  [{ volumes: ['a:/data', 'b:/data/b'] }, 'volumes', /\/data\/b lies within \/data/],
  [{ gpuCount: -1 }, 'gpu_count', /cannot be negative/],
  [{ gpuCount: 65 }, 'gpu_count', /is at most 64/],
  [{ gpuCount: 1, gpuMemoryMb: -1 }, 'gpu_memory_mb', /cannot be negative/],
  [{ gpuMemoryMb: 1 }, 'gpu_memory_mb', /say with gpu_count how many/],
  [{ workflowUuid: 'x' }, 'workflow_uuid', /set by the server/],
  [{ jobUuid: 'x' }, 'job_uuid', /set by the server/],
  [{ requirements: [{ jobUuid: 'x' }] }, 'requirements', /belong to workflows/],
  [{ workDir: '/etc' }, 'work_dir', /leads out of \/work/],
  [{ workDir: '../etc' }, 'work_dir', /leads out of \/work/],
  [{ workDir: '/work/../etc' }, 'work_dir', /leads out of \/work/],
  [{ workDir: '/workshop' }, 'work_dir', /leads out of \/work/],
  [{ workDir: 'a\0' }, 'work_dir', /NUL/],
  [{ allow: ['mount'] }, 'allow[0]', /"mount" cannot be allowed; there is ptrace and userns/],
  [
    { environment: { '123_INVALID': 'x' } },
    'environment',
    /"123_INVALID" is an invalid environment variable name/,
  ],
  [{ environment: { '': 'x' } }, 'environment', /invalid environment variable name/],
  [{ environment: { 'A=B': 'x' } }, 'environment', /invalid environment variable name/],
  [{ environment: { A: 'x\0' } }, 'environment', /NUL/],
  [{ environment: { A: 'x'.repeat(32_769) } }, 'environment', /32769 bytes of at most 32768/],
  [
    { secretEnvironment: { 'a b': 'hush' } },
    'secret_environment',
    /invalid environment variable name/,
  ],
  [
    { environment: { A: '1' }, secretEnvironment: { A: '2' } },
    'secret_environment',
    /A stands in environment too/,
  ],
  [{ uploadId: '../x' }, 'upload_id', /send the files again/],
  [{ uploads: [{ path: '../up' }] }, 'uploads[0].path', /\.\./],
  [{ uploads: [{ path: '/etc/passwd' }] }, 'uploads[0].path', /absolute/],
  [{ uploads: [{ path: 'a' }, { path: 'a' }] }, 'uploads[1].path', /a stands there twice/],
  [
    { uploads: [{ path: 'a' }, { path: 'a/b' }] },
    'uploads[1].path',
    /a is a file and cannot hold it/,
  ],
  [
    { uploads: [{ path: 'a/b' }, { path: 'a' }] },
    'uploads[0].path',
    /a is a file and cannot hold it/,
  ],
  [
    { uploads: [{ path: 'd', isDirectory: true, content: new Uint8Array(1) }] },
    'uploads[0].content',
    /folder and cannot have content/,
  ],
  [
    { uploads: [{ path: 'a', content: new Uint8Array(1001) }] },
    'uploads',
    /1001 bytes of at most 1000/,
  ],
  [
    { uploads: Array.from({ length: 11 }, (_, at) => ({ path: `f${at}` })) },
    'uploads',
    /11 of at most 10/,
  ],
];

for (const [wish, field, message] of refused) {
  const shown = JSON.stringify(wish, (_, value) =>
    typeof value === 'bigint' ? Number(value) : value,
  ).slice(0, 60);
  test(`refused, naming ${field}: ${shown}`, () => {
    const [found = '', ...more] = problems(wish);
    assert.deepEqual(more, []);
    assert.ok(found.startsWith(`${field}: `), found);
    assert.match(found, message);
  });
}

test('S4-33: limits of the operator are kept, above and below', () => {
  const set = {
    minCpuLimitPercent: 10,
    maxCpuLimitPercent: 200,
    minMemoryLimitBytes: 16 * MB,
    maxMemoryLimitBytes: 1024 * MB,
    minIoLimitBps: 100,
    maxIoLimitBps: 1000,
    jobTimeoutMs: 60_000,
  };
  assert.deepEqual(
    problems({ maxCpu: 201, maxMemory: 1025, maxIoBps: 1001, timeoutMs: 60_001n }, set),
    [
      'max_cpu: is at most 200 on this node (joblet.maxCpuLimit)',
      'max_memory: job creation failed: maxMemory exceeds system limits: at most 1024 MB on this node (joblet.maxMemoryLimit)',
      'max_io_bps: is at most 1000 on this node (joblet.maxIoLimit)',
      'timeout_ms: is at most 1m on this node (joblet.jobTimeout)',
    ],
  );
  const totals = { maxTotalCpuPercent: 300, maxTotalMemoryBytes: 1024 * MB };
  assert.deepEqual(problems({ maxCpu: 301, maxMemory: 1025 }, totals), [
    'max_cpu: is more than the 300 that all jobs may reserve here (joblet.maxTotalCpu)',
    'max_memory: job creation failed: maxMemory exceeds system limits: all jobs together may reserve 1024 MB here (joblet.maxTotalMemory)',
  ]);
  assert.deepEqual(problems({ maxCpu: 300, maxMemory: 1024 }, totals), []);
  assert.equal(problems({ maxCpu: 9, maxMemory: 15, maxIoBps: 99 }, set).length, 3);
  assert.deepEqual(problems({ maxCpu: 200, maxMemory: 1024, timeoutMs: 60_000n }, set), []);
  assert.equal(read({}, set).timeoutMs, 60_000);
});

test('everything that is wrong is said at once', () => {
  const found = problems({
    command: '',
    maxCpu: -1,
    cpuCores: 'x',
    schedule: 'soon',
    network: '?',
  });
  const fields = found.map((text) => text.split(':')[0]);
  assert.deepEqual(fields.toSorted(), ['command', 'cpu_cores', 'max_cpu', 'network', 'schedule']);
});

test('a file holds no other file, wherever both stand in the list', () => {
  const name = fc.constantFrom('a', 'a/b', 'a/b/c', 'a!', 'a!/b', 'ab', 'b');
  const upload = fc.record({ path: name, isDirectory: fc.boolean() });
  const uploads = fc.uniqueArray(upload, { selector: ({ path }) => path, maxLength: 7 });
  fc.assert(
    fc.property(uploads, (some) => {
      const below = some.filter(({ path }) =>
        some.some((other) => !other.isDirectory && path.startsWith(`${other.path}/`)),
      );
      const expected = below.map((one) => `uploads[${some.indexOf(one)}].path`);
      const found = problems({ uploads: some }).map((text) => text.split(':')[0]);
      assert.deepEqual(found, expected);
    }),
  );
});

test('the biggest of bad requests is answered soon, and in few words', () => {
  const deep = 'd/'.repeat(99);
  const wishes: Wish[] = [
    { args: Array(2_000_000).fill('') },
    { allow: Array(200_000).fill('mount') },
    { args: Array(200_000).fill('\0') },
    {
      environment: Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`${at}`, ''])),
    },
    { uploads: Array.from({ length: 100_000 }, (_, at) => ({ path: `${deep}${at}/../x` })) },
    { uploads: Array.from({ length: 20_000 }, (_, at) => ({ path: `${deep}${at}/x` })) },
  ];
  const cpu = process.cpuUsage();
  for (const wish of wishes) {
    const request = create(RunJobRequestSchema, { command: 'x', ...wish });
    let found: string[] = [];
    try {
      toJobSpec(request, host, { ...policy, maxUploadFiles: 100_000 }, nowMs);
    } catch (error) {
      assert.ok(error instanceof JobletError);
      found = error.problems.map(({ message }) => message);
    }
    assert.ok(found.length <= 100);
  }
  const { user, system } = process.cpuUsage(cpu);
  // Of processor time, so that it holds on a busy machine too; it was minutes once.
  assert.ok((user + system) / 1e6 < 20, `${(user + system) / 1e6} s`);
});

test('no refusal repeats the value of a secret', () => {
  const secretEnvironment = {
    'bad name': 'hush-hush',
    LONG: 'hush-hush'.repeat(9000),
    A: 'hush-hush\0',
  };
  const text = problems({ secretEnvironment, environment: { A: '' } }).join('\n');
  assert.match(text, /bad name/);
  assert.doesNotMatch(text, /hush/);
});

test('set-uid, set-gid and sticky bits of uploads are dropped', () => {
  const { uploads } = read({ uploads: [{ path: 'tool', mode: 0o7755 }] });
  assert.equal(uploads[0]?.mode, 0o755);
});

test('a future time is kept, and a past one means now', () => {
  assert.equal(read({ schedule: '2030-01-31T12:00:05Z' }).startAtMs, nowMs + 5000);
  assert.equal(read({ schedule: '2030-01-31T13:00:05+01:00' }).startAtMs, nowMs + 5000);
  assert.equal(read({ schedule: '2030-01-31t12:00:05.123456789z' }).startAtMs, nowMs + 5123);
  assert.equal(read({ schedule: '2030-01-31T12:00:00Z' }).startAtMs, 0);
  assert.equal(read({ schedule: '1999-01-01T00:00:00Z' }).startAtMs, 0);
});

test('every time that can be written is read back, and nothing else is a time', () => {
  const moment = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true });
  fc.assert(
    fc.property(moment, (date) => {
      assert.equal(parseRfc3339(date.toISOString()), date.getTime());
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      const atMs = parseRfc3339(text);
      assert.ok(atMs === undefined || Number.isInteger(atMs));
    }),
  );
  for (const text of [
    '2030-01-31',
    '2030-01-31T12:00:00',
    '2030-13-01T00:00:00Z',
    '2030-01-01T24:00:01Z',
    '2030-01-01T00:00:00+99:00',
  ]) {
    assert.equal(parseRfc3339(text), undefined, text);
  }
});

test('whatever a client sends, it is refused as invalid or becomes a spec within its bounds', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  const wish = fc.record(
    {
      name: text,
      command: text,
      args: fc.array(text, { maxLength: 5 }),
      maxCpu: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      cpuCores: fc.oneof(text, fc.stringMatching(/^[0-9,-]{0,8}$/)),
      maxMemory: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      maxIoBps: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      schedule: text,
      network: fc.constantFrom('', 'none', 'isolated', 'bridge', 'host'),
      workDir: fc.oneof(text, fc.stringMatching(/^[./work]{0,12}$/)),
      environment: fc.dictionary(text, text),
      secretEnvironment: fc.dictionary(text, text),
      timeoutMs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      graceMs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      workBytes: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      maxProcesses: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      allow: fc.array(fc.oneof(text, fc.constant('ptrace'))),
      uploads: fc.array(fc.record({ path: text, mode: fc.nat() }), { maxLength: 3 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(wish, (some) => {
      let spec: JobSpec;
      try {
        spec = read(some as Wish);
      } catch (error) {
        assert.ok(error instanceof JobletError, String(error));
        assert.equal(error.kind, 'invalid');
        return;
      }
      const { limits } = spec;
      assert.ok(limits.cpuPercent > 0 && limits.cpuPercent <= 400);
      assert.ok(limits.memoryBytes > 0 && limits.memoryBytes <= host.memoryBytes);
      assert.ok(limits.processes > 0);
      assert.ok(`${spec.workDir}/`.startsWith('/work/'));
      assert.doesNotMatch(spec.workDir, /\/\.\.(\/|$)/);
      assert.ok(Number.isSafeInteger(spec.timeoutMs) && spec.timeoutMs >= 0);
      for (const piece of [spec.command, ...spec.args, spec.workDir]) {
        assert.ok(!piece.includes('\0'));
      }
    }),
    { numRuns: 300 },
  );
});

test('the environment of a request reaches nothing but the environment', () => {
  const names = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,20}$/);
  fc.assert(
    fc.property(
      fc.dictionary(
        names,
        fc.string({ maxLength: 20 }).filter((v) => !v.includes('\0')),
      ),
      (environment) => {
        const plain = read({});
        const { environment: kept, ...rest } = read({
          environment: { ...environment, JOB_TYPE: 'runtime-build' },
        });
        const { environment: _, ...expected } = plain;
        assert.deepEqual(rest, expected);
        assert.equal(kept['JOB_TYPE'], 'runtime-build');
      },
    ),
  );
});

test('a speed of disks is refused where there is no disk to limit', () => {
  const request = create(RunJobRequestSchema, { command: 'true', maxIoBps: 1000 });
  const none = { ...host, disks: 0 };
  assert.throws(() => toJobSpec(request, none, policy, nowMs), /max_io_bps: cannot be kept/);
  const plain = create(RunJobRequestSchema, { command: 'true' });
  assert.equal(toJobSpec(plain, none, policy, nowMs).limits.ioBps, 0);
  const byDefault = { ...policy, defaultIoLimitBps: 1000 };
  assert.throws(() => toJobSpec(plain, none, byDefault, nowMs), /max_io_bps: cannot be kept/);
});
