// The sandbox, checked in a real job: made by the launcher from the plan that every job gets, looked at
// from outside while it runs and by a program inside that tries what no job may do. It has directories,
// cgroups and ids of its own, and leaves nothing.

import { randomBytes, randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { plainSpec, type StoredSpec } from '../jobs/job.ts';
import { hostnameOf, makePlan } from '../jobs/plan.ts';
import { postureOf } from '../jobs/posture.ts';
import { type KernelView, lookAtKernel } from '../jobs/postures.ts';
import { type CgroupLayout, cgroupNameOf, cgroupPlan, clearCgroups } from '../linux/cgroup.ts';
import type { End } from '../linux/end-record.ts';
import { hostRoot } from '../linux/host-root.ts';
import { readOutput } from '../linux/job-output.ts';
import { KeeperLink } from '../linux/keeper.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';
import { LAUNCH_BINARY } from '../linux/launch-binary.ts';
import { Launcher } from '../linux/launcher.ts';
import type { Log } from '../log.ts';
import { fromInside, type Promised, parseInspection } from './inspection.ts';

export interface SelfCheckWanted {
  readonly cgroups: CgroupLayout;
  readonly disks: readonly string[];
  /** A core that this host lets us use. */
  readonly core: string;
  /** First id of a range that no job has. */
  readonly firstId: number;
  /** Paths of the host that jobs see. */
  readonly mounts: readonly string[];
}

/** The one job. */
interface Attempt {
  readonly id: string;
  readonly spec: StoredSpec;
  readonly wanted: SelfCheckWanted;
  readonly tools: string;
  readonly logs: string;
  readonly keeper: KeeperAddress;
  /** Its machine id and boot id come from it. */
  readonly identity: string;
}

const MB = 1 << 20;
const SIZES = { work: { kind: 'memory', bytes: 4 * MB }, tmpBytes: MB, shmBytes: MB } as const;
/** A check that takes longer than this is not going to end. */
const TIMEOUT_MS = 60_000;

/** Asks for every limit there is, so that each is set and read back. */
function specOf({ disks, core }: SelfCheckWanted): StoredSpec {
  return {
    ...plainSpec,
    name: 'doctor',
    command: '/work/joblet-launch',
    args: ['inspect'],
    limits: {
      ...plainSpec.limits,
      cpuPercent: 50,
      memoryBytes: 32 * MB,
      ioBps: disks.length > 0 ? 8 * MB : 0,
      cpuCores: core,
      processes: 16,
    },
    uploads: [],
    uploadCount: 0,
    timeoutMs: TIMEOUT_MS,
    stdin: true,
  };
}

/** Runs the job and answers what was seen of each promise. What fails to start is a finding, too. */
export async function selfCheck(wanted: SelfCheckWanted): Promise<Promised[]> {
  const id = randomUUID();
  let home = '';
  try {
    home = mkdtempSync(path.join(tmpdir(), `joblet-doctor-${process.pid}-`));
    const tools = path.join(home, 'tools');
    mkdirSync(tools);
    copyFileSync(LAUNCH_BINARY, path.join(tools, 'joblet-launch'));
    return await runJob(path.join(home, 'launcher.lock'), {
      id,
      spec: specOf(wanted),
      wanted,
      tools,
      logs: path.join(home, 'log'),
      keeper: { socket: `joblet-doctor/${id}`, proof: randomBytes(16).toString('hex') },
      identity: randomUUID(),
    });
  } catch (error) {
    return [{ name: 'a job starts', state: 'missing', found: messageOf(error) }];
  } finally {
    await clearCgroups(wanted.cgroups, cgroupNameOf(id));
    if (home !== '') rmSync(home, { recursive: true, force: true });
  }
}

async function runJob(lockFile: string, attempt: Attempt): Promise<Promised[]> {
  const ended = Promise.withResolvers<End | undefined>();
  const launcher = new Launcher(
    LAUNCH_BINARY,
    { lockFile },
    {
      ended: (_, end) => ended.resolve(end),
      gone: () => ended.resolve(undefined),
      replaced: () => ended.resolve(undefined),
      detached() {},
    },
    silent,
  );
  await launcher.start();
  try {
    const launched = await launcher.launch(attempt.id, planOf(attempt));
    if (launched === undefined) throw new JobletError('unavailable', 'its keeper was killed');
    if (!launched.ok) {
      const { step, object, errno } = launched;
      throw new JobletError('unavailable', `${step}: ${object}: ${errno}`);
    }
    const kernel = look(attempt, launched.initPid, launched.keeperPid);
    // It has been waiting to be looked at.
    const link = await KeeperLink.connect(attempt.keeper);
    link?.endInput();
    const end = await ended.promise;
    link?.close();
    return [
      { name: 'a job starts', state: 'ok', found: 'with every limit there is' },
      ...fromOutside(kernel),
      ...fromInside(
        parseInspection(readOutput(attempt.logs)),
        attempt.identity,
        hostnameOf(attempt.id),
      ),
      end?.how === 'exited' && end.code === 0
        ? { name: 'its end is known', state: 'ok', found: 'exit code 0' }
        : { name: 'its end is known', state: 'missing', found: JSON.stringify(end ?? 'no end') },
    ];
  } finally {
    await launcher.stop();
  }
}

function planOf({ id, spec, wanted, tools, logs, keeper, identity }: Attempt) {
  return makePlan(spec, {
    id,
    root: hostRoot(wanted.mounts),
    work: { ...SIZES.work, copyFrom: tools },
    volumes: [],
    idRange: wanted.firstId,
    cgroups: cgroupsOf({ id, spec, wanted }),
    network: undefined,
    logDirectory: logs,
    logSegmentBytes: MB,
    logQuotaBytes: 0,
    logReserveBytes: 0,
    keeper,
    timeoutMs: TIMEOUT_MS,
    tmpBytes: SIZES.tmpBytes,
    shmBytes: SIZES.shmBytes,
    identity,
  });
}

function look({ id, spec, wanted }: Attempt, initPid: number, keeperPid: number) {
  const sandbox = {
    ...SIZES,
    firstId: wanted.firstId,
    readOnly: wanted.mounts,
    cgroups: { ...wanted.cgroups, name: cgroupNameOf(id) },
    startedBy: '',
  };
  const posture = postureOf({ spec }, sandbox);
  return lookAtKernel(posture, cgroupsOf({ id, spec, wanted }), initPid, keeperPid);
}

function cgroupsOf({ id, spec, wanted }: Pick<Attempt, 'id' | 'spec' | 'wanted'>): string[] {
  return cgroupPlan(wanted.cgroups, cgroupNameOf(id), spec.limits, wanted.disks, spec.init);
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, change() {} };

function fromOutside(kernel: KernelView | undefined): Promised[] {
  if (kernel === undefined) {
    return [{ name: 'as its posture says', state: 'missing', found: 'the job ended at once' }];
  }
  return [
    ...kernel.confirmed.map((name) => ({ name, state: 'ok' as const, found: 'as it should be' })),
    { name: 'limits in force', state: 'ok', found: kernel.limits.join(', ') },
    ...kernel.deviations.map((found) => ({
      name: 'as its posture says',
      state: 'missing' as const,
      found,
    })),
  ];
}
