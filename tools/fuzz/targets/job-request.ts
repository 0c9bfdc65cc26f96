// A RunJobRequest as bytes: it becomes a spec within its bounds and a plan that a launcher takes, or it
// is refused with fields.

import assert from 'node:assert/strict';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { makePlan } from '../../../src/daemon/jobs/plan.ts';
import { keptNames } from '../../../src/daemon/jobs/uploads.ts';
import { formatFrame, MAX_FRAME_BYTES } from '../../../src/daemon/linux/frames.ts';
import { countFields } from '../../../src/daemon/rpc/field-count.ts';
import { type JobPolicy, toJobSpec } from '../../../src/daemon/rpc/job-spec.ts';
import { type RunJobRequest, RunJobRequestSchema } from '../../../src/gen/joblet/jobs_pb.ts';
import { formatVolumeMount, parseVolumeMount } from '../../../src/shared/volume-mount.ts';
import { orRefused, target } from '../target.ts';

const MB = 1024 ** 2;
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
  jobTimeoutMs: 3_600_000,
  graceMs: 100,
  keepWorkMs: 0,
  validateCommands: false,
  defaultNetwork: 'isolated',
  networks: {
    has: (name) => ['none', 'isolated', 'bridge'].includes(name),
    names: () => ['none', 'isolated', 'bridge'],
  },
  maxUploadBytes: 1000,
  maxUploadFiles: 10,
};

const facts = {
  id: '0f8fad5b-d9cb-469f-a165-70867728950e',
  root: { key: 'host', operations: ['dev', '/dev'], readOnly: [], environment: {} },
  work: { kind: 'memory', bytes: MB, copyFrom: '' },
  idRange: 655_360,
  cgroups: [],
  network: undefined,
  logDirectory: '/logs/x',
  logSegmentBytes: MB,
  logQuotaBytes: 0,
  logReserveBytes: 0,
  keeper: { socket: 'joblet/x', proof: 'p' },
  timeoutMs: 0,
  tmpBytes: MB,
  shmBytes: MB,
  identity: '0f8fad5b-d9cb-469f-a165-70867728950e',
} as const;

function seed(wish: MessageInitShape<typeof RunJobRequestSchema>): Uint8Array {
  return toBinary(RunJobRequestSchema, create(RunJobRequestSchema, wish));
}

/** A message of protobuf, or undefined for bytes that are none: that is the library's to say. */
function read(bytes: Buffer): RunJobRequest | undefined {
  try {
    return fromBinary(RunJobRequestSchema, bytes, { readUnknownFields: false });
  } catch {
    return undefined;
  }
}

export default target({
  seeds: [
    seed({ command: 'echo $HOME' }),
    seed({
      name: 'n-1',
      command: '/bin/true',
      args: ['', '-x'],
      maxCpu: 50,
      cpuCores: '0-3',
      maxMemory: 64,
      maxIoBps: 1000,
      maxProcesses: 3,
      workBytes: 8192n,
      schedule: '2030-01-31T12:00:05Z',
      network: 'none',
      workDir: 'src',
      timeoutMs: 5n,
      graceMs: 7n,
      allow: ['ptrace', 'userns'],
    }),
    seed({ command: 'x', environment: { A: '1', B: '' }, secretEnvironment: { C: 'hush' } }),
    seed({
      command: 'x',
      cpuCores: '0,2',
      uploads: [
        { path: 'a', isDirectory: true },
        { path: 'a/b', content: Buffer.from('hi'), mode: 0o755 },
      ],
      uploadId: facts.id,
    }),
    seed({
      command: '',
      runtime: 'r',
      volumes: ['v'],
      gpuCount: 1,
      jobUuid: 'x',
      workflowUuid: 'y',
    }),
  ],
  words: [
    '..',
    '/',
    '/work',
    '\0',
    'v:/data:ro',
    ':ro',
    '0-1',
    '0,1',
    'ptrace',
    '2030-02-30T12:00:00Z',
    'PATH',
    'isolated',
  ],
  run(input) {
    const fields = countFields(RunJobRequestSchema, input, input.length);
    assert.ok(fields <= input.length);
    const request = read(input);
    if (request === undefined) return;
    const { args, uploads, allow, environment } = request;
    const parts = [args, uploads, allow, Object.keys(environment)];
    // Those that say again what was said are counted too.
    assert.ok(fields >= parts.reduce((sum, list) => sum + list.length, 0));
    const spec = orRefused(() => toJobSpec(request, host, policy, nowMs), 'invalid');
    if (spec === undefined) return;
    const { limits } = spec;
    assert.ok(limits.cpuPercent > 0 && limits.cpuPercent <= 100 * host.cores);
    assert.ok(limits.memoryBytes > 0 && limits.memoryBytes <= host.memoryBytes);
    assert.ok(limits.processes > 0 && limits.ioBps >= 0 && limits.workBytes >= 0);
    assert.match(limits.cpuCores, /^(\d+(-\d+|(,\d+)*))?$/);
    assert.ok(spec.startAtMs === 0 || spec.startAtMs > nowMs);
    assert.ok(spec.timeoutMs >= 0 && spec.timeoutMs <= policy.jobTimeoutMs && spec.graceMs >= 0);
    assert.ok(`${spec.workDir}/`.startsWith('/work/') && !/\/\.\.?(\/|$)/.test(spec.workDir));
    assert.ok(spec.uploads.every(({ mode }) => mode <= 0o777));
    for (const mount of spec.volumes) {
      assert.deepEqual(parseVolumeMount(formatVolumeMount(mount)), mount);
      assert.match(`${mount.path}/`, /^(\/(?!\.\.?\/)[^/\0]+)+\/$/);
    }
    const volumes = spec.volumes.map((mount) => ({ mount, directory: '/v', device: undefined }));
    const kept = keptNames(spec.uploads.map((one) => one.path));
    const plan = makePlan({ ...spec, ...kept }, { ...facts, volumes });
    assert.ok(plan.every((text) => !text.includes('\0')));
    assert.ok(formatFrame(['launch', ...plan]).length <= MAX_FRAME_BYTES);
    // What the user chose stands behind everything that makes the sandbox.
    const own = plan.slice(plan.indexOf('cwd') + 2);
    const options = own.filter((_, at) => at % 2 === 0);
    assert.ok(
      spec.init === false || options.every((word) => ['allow', 'env', 'arg'].includes(word)),
    );
  },
});
