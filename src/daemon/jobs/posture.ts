// How a job is held. The spec says most of it; what it does not say is recorded when the job starts
// (Sandbox). A launch is all or nothing, so for a job that ran this is what was applied; the kernel is
// asked whether it still is.

import type { GivenGpu } from '../gpus/gpu.ts';
import { type CgroupLayout, describeLimits } from '../linux/cgroup.ts';
import type { JobMount, JobProcess, NamespaceKind } from '../linux/job-process.ts';
import { IDS_PER_RANGE } from './id-ranges.ts';
import { buildCapabilities, type Job } from './job.ts';
import {
  sharesHostNetwork,
  type VolumePlace,
  type WorkPlace,
  type WritablePlace,
  writablePlaces,
} from './plan.ts';

/** What a job's sandbox is made of, as far as its spec does not say it. Kept as JSON. */
export interface Sandbox {
  /** Host id of its user 0. */
  readonly firstId: number;
  /** Paths of the host, or of its runtime, in its root. */
  readonly readOnly: readonly string[];
  /** The tree of its runtime, while it runs; absent or empty is the host. */
  readonly tree?: string;
  readonly work: WorkPlace;
  readonly tmpBytes: number;
  readonly shmBytes: number;
  /** Absent where an earlier version started the job. */
  readonly volumes?: readonly VolumePlace[];
  readonly cgroups: Pick<CgroupLayout, 'kind' | 'swap'> & {
    /** Of its directories. */
    readonly name: string;
  };
  /** Those that it has, and has alone while it runs; absent where it asked for none. */
  readonly gpus?: readonly GivenGpu[];
  /** The version of the daemon. */
  readonly startedBy: string;
}

export interface Posture {
  readonly firstId: number;
  readonly idCount: number;
  readonly capabilities: readonly string[];
  /** Kinds of namespaces that are the host's. */
  readonly shared: readonly NamespaceKind[];
  readonly opened: readonly string[];
  readonly readOnly: readonly string[];
  readonly writable: readonly WritablePlace[];
  readonly limits: readonly string[];
  readonly gpus: readonly GivenGpu[];
  /** Process 1 is ours, and not the command itself. */
  readonly init: boolean;
  readonly startedBy: string;
}

/** The posture of a job that has been started. */
export function postureOf({ spec }: Pick<Job, 'spec'>, sandbox: Sandbox): Posture {
  const { volumes = [] } = sandbox;
  return {
    firstId: sandbox.firstId,
    idCount: IDS_PER_RANGE,
    capabilities: capabilitiesOf(spec),
    shared: sharesHostNetwork(spec) ? ['net'] : [],
    opened: [...spec.allow, ...(spec.build?.installs === true ? ['chroot'] : [])],
    writable: [
      ...writablePlaces({ ...sandbox, volumes }),
      ...(spec.build?.writable ?? []).map((place) => ({ ...place, kind: 'disk' as const })),
    ],
    readOnly: [...sandbox.readOnly, ...volumes.filter(isReadOnly).map(({ path }) => path)],
    limits: describeLimits(sandbox.cgroups, spec.limits),
    gpus: sandbox.gpus ?? [],
    init: spec.init,
    startedBy: sandbox.startedBy,
  };
}

function capabilitiesOf({ allow, build }: Job['spec']): string[] {
  // Without it the kernel lets nobody map user 0 into a namespace of his own; see inside.c.
  const mapping = allow.includes('userns') ? ['CAP_SETFCAP'] : [];
  if (build?.installs !== true) return mapping;
  const words = buildCapabilities.map((name) => name.toUpperCase().replaceAll('-', '_'));
  return [...mapping, ...words.map((word) => `CAP_${word}`)];
}

/** What is looked at in a running job, and what is not as it should be. */
export interface Comparison {
  readonly confirmed: readonly string[];
  readonly deviations: readonly string[];
}

/** Answers what is wrong, or undefined. */
type Look = (posture: Posture, process: JobProcess) => string | undefined;

const FILTER_MODE = 2;

/** Mounts that are not read-only and hold nothing of the job's: devpts, and proc with its sys covered. */
const KERNEL_MOUNTS = ['/proc', '/dev/pts'];
/** The same and the job's own /dev/shm once more, in the root of a tree that is being built. */
const BUILD_MOUNTS = ['/proc', '/dev/pts', '/dev/shm'].map((target) => `/build/root${target}`);

/** Those of every job, and those of every one that has GPUs, beside the cards themselves. */
const DEVICES = ['null', 'zero', 'full', 'tty', 'random', 'urandom'];
const GPU_DEVICES = ['nvidiactl', 'nvidia-uvm', 'nvidia-uvm-tools'];
const CARD = /^nvidia\d+$/;

const looks: Readonly<Record<string, Look>> = {
  'user and group ids': ({ firstId, idCount }, { uidMap, gidMap }) => {
    const wanted = `0 ${firstId} ${idCount}`;
    const other = [uidMap, gidMap].find((map) => map !== wanted);
    return other === undefined ? undefined : `its ids are mapped as "${other}", not "${wanted}"`;
  },
  'namespaces of its own': (posture, process) =>
    some(
      process.shared.filter((kind) => !posture.shared.includes(kind)),
      'it shares namespaces with the host',
    ),
  capabilities: ({ capabilities }, process) =>
    some(
      process.capabilities.filter((name) => !capabilities.includes(name)),
      'it holds capabilities',
    ),
  'no new privileges': (_, { noNewPrivs }) =>
    noNewPrivs ? undefined : 'what it executes may gain rights: no_new_privs is not set',
  'system call filter': (_, { seccompMode }) =>
    seccompMode === FILTER_MODE ? undefined : `no system call filter is in force (${seccompMode})`,
  'read-only root': (_, { mounts }) =>
    mounts.find(({ target }) => target === '/')?.options.includes('ro')
      ? undefined
      : 'its root can be written',
  'writable places': ({ writable }, { mounts }) => {
    const known = [...writable.map(({ path }) => path), ...KERNEL_MOUNTS, ...BUILD_MOUNTS];
    const others = mounts.filter((mount) => isWritable(mount) && !known.includes(mount.target));
    return some(targets(others), 'it can write elsewhere');
  },
  'sizes of writable places': ({ writable }, { mounts }) => {
    const inMemory = writable.filter(({ kind }) => kind === 'memory');
    const wrong = inMemory.filter(({ path, bytes }) => {
      const mount = mounts.findLast(({ target }) => target === path);
      return mount === undefined || sizeOf(mount) !== pages(bytes);
    });
    return some(
      wrong.map(({ path }) => path),
      'the size is another one',
    );
  },
  'no set-uid files, no devices': (_, { mounts }) =>
    some(
      targets(
        mounts.filter(
          ({ target, options }) =>
            !options.includes('nosuid') ||
            (isWritable({ options }) && mayHoldDevices(target, options)),
        ),
      ),
      'mounts honour set-uid bits or devices',
    ),
  devices: ({ gpus }, { devices }) => {
    const others = devices.filter((name) => !DEVICES.includes(name));
    const cards = others.filter((name) => CARD.test(name));
    if (cards.length !== gpus.length) {
      return `it has the devices of ${cards.length} GPUs, not of ${gpus.length}`;
    }
    const rest = others.filter((name) => !cards.includes(name));
    return some(
      gpus.length > 0 ? rest.filter((name) => !GPU_DEVICES.includes(name)) : rest,
      'it has others than every job',
    );
  },
  'no propagation of mounts': (_, { mounts }) =>
    some(targets(mounts.filter(({ propagates }) => propagates)), 'mounts are shared'),
  'no core dumps': (_, { coreBytes }) =>
    coreBytes <= 1 ? undefined : `core dumps of ${coreBytes} bytes are allowed`,
};

/** Holds a running process of a job against its posture. */
export function comparePosture(posture: Posture, process: JobProcess): Comparison {
  const confirmed: string[] = [];
  const deviations: string[] = [];
  for (const [what, look] of Object.entries(looks)) {
    const problem = look(posture, process);
    if (problem === undefined) confirmed.push(what);
    else deviations.push(`${what}: ${problem}`);
  }
  return { confirmed, deviations };
}

function isReadOnly({ readOnly }: VolumePlace): boolean {
  return readOnly;
}

function some(found: readonly string[], problem: string): string | undefined {
  return found.length === 0 ? undefined : `${problem}: ${found.join(', ')}`;
}

function targets(mounts: readonly JobMount[]): string[] {
  return mounts.map(({ target }) => target);
}

function isWritable({ options }: Pick<JobMount, 'options'>): boolean {
  return options.includes('rw');
}

function mayHoldDevices(target: string, options: readonly string[]): boolean {
  return !target.endsWith('/dev/pts') && !options.includes('nodev');
}

const PAGE_BYTES = 4096;

/** A tmpfs is as big as whole pages. */
function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

function sizeOf({ fileSystemOptions }: JobMount): number {
  const size = fileSystemOptions.find((option) => /^size=\d+k$/.test(option)) ?? '';
  return Number(/\d+/.exec(size)?.[0] ?? 0) * 1024;
}
