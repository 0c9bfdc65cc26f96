import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { plainSpec, type StoredSpec } from './job.ts';
import { environmentOf, makePlan, type PlanFacts } from './plan.ts';

const spec: StoredSpec = {
  ...plainSpec,
  command: 'true',
  uploads: [],
  uploadCount: 0,
  network: 'isolated',
  graceMs: 100,
};

const facts: PlanFacts = {
  id: '0b8f3c5e-0000-4000-8000-000000000000',
  root: { key: 'k', operations: ['dir', '/etc', '0755'], readOnly: [], environment: {} },
  work: { kind: 'memory', bytes: 1 << 20, copyFrom: '' },
  volumes: [],
  idRange: 1 << 20,
  cgroups: ['cgroup', 'v2', '/cg/job'],
  network: undefined,
  logDirectory: '/logs/id',
  logSegmentBytes: 1,
  logQuotaBytes: 2,
  logReserveBytes: 3,
  keeper: { socket: 'joblet/s', proof: 'p' },
  timeoutMs: 0,
  tmpBytes: 1 << 20,
  shmBytes: 1 << 20,
  identity: '11111111-2222-4333-8444-555555555555',
};

/** Operands of every occurrence of a one-operand option behind the sandbox's description. */
function operands(plan: readonly string[], option: string): string[] {
  const start = plan.lastIndexOf('cwd');
  return plan
    .slice(start)
    .flatMap((word, at, all) => (word === option && at % 2 === 0 ? [String(all[at + 1])] : []));
}

test('every argument reaches the plan as it is, also empty ones and ones that look like options', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('', 'arg', '--', 'env'))),
      (args) => {
        const plan = makePlan({ ...spec, args }, facts);
        assert.deepEqual(operands(plan, 'arg'), ['true', ...args]);
      },
    ),
  );
});

test("the environment is the defaults, the user's and the secrets, and nothing of the daemon's", () => {
  const own = environmentOf(
    { environment: { A: '1', LANG: 'C' }, secretEnvironment: { S: 'x' } },
    { environment: {} },
    'h',
  );
  assert.deepEqual(own, {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/work',
    USER: 'root',
    HOSTNAME: 'h',
    LANG: 'C',
    A: '1',
    S: 'x',
  });
});

test('the sandbox is the same whatever the environment says', () => {
  const head = (environment: Record<string, string>) => {
    const plan = makePlan({ ...spec, environment }, facts);
    return plan.slice(0, plan.lastIndexOf('cwd'));
  };
  assert.deepEqual(head({ JOB_TYPE: 'runtime-build', JOBLET_CI_MODE: 'true' }), head({}));
});

test('a work directory on disk is bound, one in memory is made and filled', () => {
  const disk = makePlan(spec, {
    ...facts,
    work: { kind: 'disk', directory: '/w/1', device: '7:1' },
  });
  assert.ok(disk.join(' ').includes('bind-rw /w/1 /work'));
  const memory = makePlan(spec, {
    ...facts,
    work: { kind: 'memory', bytes: 8192, copyFrom: '/u/1' },
  });
  assert.ok(memory.join(' ').includes('tmpfs /work 8192 1024 0755 copy-in /u/1 /work'));
});

test('GPUs make a root of their own, and their libraries stand behind those that a job has itself', () => {
  const gpuPart = {
    rootOperations: ['device', 'nvidia0', '195', '0'],
    operations: ['bind-own', '/nvidia/proc', '/proc/driver'],
    environment: { CUDA_VISIBLE_DEVICES: '0' },
    programs: '/nvidia/bin',
    libraries: '/nvidia/lib64',
  };
  const plan = makePlan(spec, { ...facts, gpuPart }).join(' ');
  assert.match(plan, /root-key k\+[0-9a-f]{16} dir \/etc 0755 device nvidia0 195 0 root-end/);
  assert.match(plan, / proc \/proc bind-own \/nvidia\/proc \/proc\/driver run-file /);
  const own = environmentOf(
    { environment: { LD_LIBRARY_PATH: '/mine', CUDA_VISIBLE_DEVICES: '' }, secretEnvironment: {} },
    { environment: { PATH: '/runtime' } },
    'h',
    gpuPart,
  );
  const { PATH, LD_LIBRARY_PATH, CUDA_VISIBLE_DEVICES } = own;
  assert.deepEqual([PATH, LD_LIBRARY_PATH], ['/nvidia/bin:/runtime', '/mine:/nvidia/lib64']);
  assert.equal(CUDA_VISIBLE_DEVICES, '');
});
