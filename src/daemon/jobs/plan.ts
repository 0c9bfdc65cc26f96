// From a JobSpec and the facts of this node to a launch plan (docs/launch-plan.md). Pure: the same
// input gives the same plan, so everything that a job is given can be read off here.

import { createHash } from 'node:crypto';
import { isWithin, type VolumeMount } from '../../shared/volume-mount.ts';
import type { GpuPart } from '../gpus/sandbox.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';
import type { LaunchPlan } from '../linux/launcher.ts';
import { type Root, SEARCH_PATH } from '../linux/root.ts';
import type { JobNetwork } from '../networks/network.ts';
import { HOST_NETWORK } from '../networks/network.ts';
import { buildCapabilities, type StoredSpec } from './job.ts';

/** Where the work directory comes from. */
export type WorkSource =
  | { readonly kind: 'memory'; readonly bytes: number; readonly copyFrom: string }
  | { readonly kind: 'disk'; readonly directory: string; readonly device: string };

/** The kind and the size of a work directory, before it is made. */
export interface WorkPlace {
  readonly kind: WorkSource['kind'];
  readonly bytes: number;
}

/** A volume as a job that starts gets it. */
export interface VolumeSource {
  readonly mount: VolumeMount;
  /** Where the host has it. */
  readonly directory: string;
  /** Its block device as `major:minor`; undefined when it lies in memory. */
  readonly device: string | undefined;
}

/** A volume in a sandbox, with what it can hold. */
export interface VolumePlace extends VolumeMount {
  readonly bytes: number;
}

/** A place that a job can write to, with a size that it cannot exceed. */
export interface WritablePlace {
  readonly path: string;
  readonly kind: WorkPlace['kind'] | 'volume';
  readonly bytes: number;
}

export interface PlanFacts {
  readonly id: string;
  readonly root: Root;
  readonly work: WorkSource;
  readonly volumes: readonly VolumeSource[];
  /** First host id of the job's user namespace. */
  readonly idRange: number;
  /** The part that cgroup.ts makes. */
  readonly cgroups: readonly string[];
  /** Undefined is loopback alone. */
  readonly network: JobNetwork | undefined;
  /** What its GPUs bring along. */
  readonly gpuPart?: GpuPart | undefined;
  readonly logDirectory: string;
  readonly logSegmentBytes: number;
  readonly logQuotaBytes: number;
  readonly logReserveBytes: number;
  readonly keeper: KeeperAddress;
  /** What is left of the timeout now; 0 is none. */
  readonly timeoutMs: number;
  readonly tmpBytes: number;
  readonly shmBytes: number;
  /** An id for this run only, as a UUID: the job's machine id and boot id come from it. */
  readonly identity: string;
}

/** The least files a memory file system can hold, whatever its size. */
const LEAST_INODES = 1024;
const BYTES_PER_INODE = 4096;

/** Open files that a program gets at first and may raise to. */
const OPEN_FILES_SOFT = '1024';
const OPEN_FILES_HARD = '524288';

export function makePlan(spec: StoredSpec, facts: PlanFacts): LaunchPlan {
  const hostname = hostnameOf(facts.id);
  const { gpuPart } = facts;
  const root = withMountPoints(withGpus(facts.root, gpuPart), facts.volumes);
  const plan: string[] = [
    'id',
    facts.id,
    'log-dir',
    facts.logDirectory,
    'log-segment',
    String(facts.logSegmentBytes),
    'log-quota',
    String(facts.logQuotaBytes),
    'log-reserve',
    String(facts.logReserveBytes),
    ...(spec.logOverflow === 'block' ? ['log-waits'] : []),
    'socket',
    facts.keeper.socket,
    'proof',
    facts.keeper.proof,
    'timeout',
    String(facts.timeoutMs),
    'grace',
    String(spec.graceMs),
    'ids',
    String(facts.idRange),
    'net',
    facts.network?.key ?? 'pool',
    ...(sharesHostNetwork(spec) ? ['host-net'] : []),
    'hostname',
    hostname,
    ...facts.cgroups,
    'root-key',
    root.key,
    ...root.operations,
    'root-end',
    ...workOperations(facts.work),
    ...tmpfs('/tmp', facts.tmpBytes, '1777'),
    ...tmpfs('/dev/shm', facts.shmBytes, '1777'),
    ...facts.volumes.flatMap(volumeOperations),
    'proc',
    '/proc',
    ...(gpuPart?.operations ?? []),
    // From here on it is said which job it is; see native/rootfs.c.
    'run-file',
    'hostname',
    `${hostname}\n`,
    'run-file',
    'hosts',
    hostsOf(hostname, facts.network),
    'run-file',
    'resolv.conf',
    resolverOf(facts.network),
    'run-file',
    'machine-id',
    `${facts.identity.replaceAll('-', '')}\n`,
    'boot-id',
    facts.identity,
    'sys',
    '/sys',
    ...(spec.build?.mounts ?? []),
    'rlimit',
    'core',
    '0',
    '0',
    'rlimit',
    'nofile',
    OPEN_FILES_SOFT,
    OPEN_FILES_HARD,
    'stdin',
    spec.stdin ? 'pipe' : 'null',
    'cwd',
    spec.workDir,
  ];
  if (!spec.init) plan.push('no-init');
  for (const opening of spec.allow) plan.push('allow', opening);
  if (spec.build?.installs === true) {
    plan.push('allow', 'chroot', ...buildCapabilities.flatMap((name) => ['capability', name]));
  }
  for (const [name, value] of Object.entries(environmentOf(spec, facts.root, hostname, gpuPart))) {
    plan.push('env', `${name}=${value}`);
  }
  for (const arg of [spec.command, ...spec.args]) plan.push('arg', arg);
  return plan;
}

/** Everything that a job can write to. */
export function writablePlaces(sizes: {
  readonly work: WorkPlace;
  readonly tmpBytes: number;
  readonly shmBytes: number;
  readonly volumes: readonly VolumePlace[];
}): WritablePlace[] {
  return [
    { path: '/work', ...sizes.work },
    { path: '/tmp', kind: 'memory', bytes: sizes.tmpBytes },
    { path: '/dev/shm', kind: 'memory', bytes: sizes.shmBytes },
    ...sizes.volumes
      .filter(({ readOnly }) => !readOnly)
      .map(({ path, bytes }) => ({ path, kind: 'volume' as const, bytes })),
  ];
}

/** The whole environment of a job: defaults, then the runtime's, its GPUs', the user's, and the secrets. */
export function environmentOf(
  spec: Pick<StoredSpec, 'environment' | 'secretEnvironment'>,
  root: Pick<Root, 'environment'>,
  hostname: string,
  gpuPart?: Pick<GpuPart, 'environment' | 'programs' | 'libraries'>,
): Record<string, string> {
  const environment: Record<string, string> = {
    PATH: SEARCH_PATH,
    HOME: '/work',
    USER: 'root',
    HOSTNAME: hostname,
    LANG: 'C.UTF-8',
    ...root.environment,
    ...gpuPart?.environment,
    ...spec.environment,
    ...spec.secretEnvironment,
  };
  if (gpuPart === undefined) return environment;
  // Programs of another version of the driver would be of no use. Libraries come behind whatever the
  // runtime or the user has there: it hides nothing of theirs.
  const { PATH: programs = '', LD_LIBRARY_PATH: libraries = '' } = environment;
  return {
    ...environment,
    PATH: joined(gpuPart.programs, programs),
    LD_LIBRARY_PATH: joined(libraries, gpuPart.libraries),
  };
}

function joined(...folders: readonly string[]): string {
  return folders.filter((folder) => folder !== '').join(':');
}

/** Whether a job sees the network of the host. */
export function sharesHostNetwork(spec: Pick<StoredSpec, 'network' | 'build'>): boolean {
  return spec.build?.installs === true || spec.network === HOST_NETWORK;
}

/** The host name inside a job. */
export function hostnameOf(id: string): string {
  return `job-${id.slice(0, 8)}`;
}

function hostsOf(hostname: string, network: JobNetwork | undefined): string {
  const loopback = 'localhost ip6-localhost ip6-loopback';
  if (network === undefined || network.addresses.length === 0)
    return `127.0.0.1 localhost ${hostname}\n::1 ${loopback}\n`;
  const own = network.addresses.map((address) => `${address} ${hostname}\n`).join('');
  return `127.0.0.1 localhost\n::1 ${loopback}\n${own}`;
}

function resolverOf(network: JobNetwork | undefined): string {
  if (network === undefined) return '# This job has no network beyond its own loopback.\n';
  const servers = network.nameServers.map((address) => `nameserver ${address}\n`).join('');
  return network.name === '' ? servers : `search ${network.name}\n${servers}`;
}

function workOperations(work: WorkSource): string[] {
  if (work.kind === 'disk') return ['bind-rw', work.directory, '/work'];
  const copy = work.copyFrom === '' ? [] : ['copy-in', work.copyFrom, '/work'];
  return [...tmpfs('/work', work.bytes, '0755'), ...copy];
}

function volumeOperations({ mount, directory }: VolumeSource): string[] {
  return [mount.readOnly ? 'bind-ro' : 'bind-rw', directory, mount.path];
}

/** Where the job itself can write, the launcher makes a missing directory when it mounts something there. */
const OWN_PLACES = ['/work', '/tmp', '/dev/shm'];

type SharedRoot = Pick<Root, 'key' | 'operations'>;

/** A root with the directories that volumes are mounted on: it is read-only by then. */
function withMountPoints(root: SharedRoot, volumes: readonly VolumeSource[]): SharedRoot {
  const paths = volumes
    .map(({ mount }) => mount.path)
    .filter((path) => !OWN_PLACES.some((own) => isWithin(path, own)));
  if (paths.length === 0) return root;
  return withMore(
    root,
    paths.toSorted().flatMap((path) => ['dir', path, '0755']),
  );
}

/** A root with the devices and the files that belong to GPUs. */
function withGpus(root: SharedRoot, part: GpuPart | undefined): SharedRoot {
  return part === undefined ? root : withMore(root, part.rootOperations);
}

/** A root of its own, which goes with the one that it is made of. */
function withMore({ key, operations }: SharedRoot, more: readonly string[]): SharedRoot {
  const digest = createHash('sha256').update(more.join('\0')).digest('hex').slice(0, 16);
  return { key: `${key}+${digest}`, operations: [...operations, ...more] };
}

function tmpfs(target: string, bytes: number, mode: string): string[] {
  const inodes = Math.max(LEAST_INODES, Math.ceil(bytes / BYTES_PER_INODE));
  return ['tmpfs', target, String(bytes), String(inodes), mode];
}
