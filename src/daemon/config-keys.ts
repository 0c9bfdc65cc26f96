// Every key of joblet-config.yml: its kind, its default and its meaning, in the spelling of the file;
// and every key that other versions knew and that this one refuses, with the reason.

import { X509Certificate } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { parseCidr } from '../shared/cidr.ts';
import { messageOf } from '../shared/errors.ts';
import { formatBytes, formatDuration, parseBytes, parseDuration } from '../shared/units.ts';
import { ruleList, targetList } from './alert-rules.ts';

/** How a value is checked, and how it is written for people. */
interface Kind<T> {
  readonly schema: z.ZodType<T>;
  /** Undefined is not shown. */
  format(value: T): unknown;
}

export interface Key<T> {
  readonly kind: Kind<T>;
  readonly preset: T;
  readonly meaning: string;
}

const MB = 1024 ** 2;
const GB = 1024 ** 3;
const MAX_PORT = 65_535;
/** Longer than anybody's job, short enough for arithmetic in nanoseconds. */
const MAX_DURATION_MS = 365 * 24 * 3600 * 1000;
const MAX_TEXT_CHARS = 1024;
const MAX_LIST = 256;

const same = <T>(value: T): T => value;

function integer(min: number, max: number): Kind<number> {
  const error = `must be a whole number from ${min} to ${max}`;
  return { schema: z.int({ error }).min(min, { error }).max(max, { error }), format: same };
}

/** A value with a unit: what `parse` refuses becomes the problem. */
function measured(
  read: (value: unknown) => number,
  min: number,
  max: number,
  format: (value: number) => string,
): Kind<number> {
  const schema = z.unknown().transform((value, context) => {
    try {
      const result = read(value);
      if (result >= min && result <= max) return result;
      context.addIssue(`must be from ${format(min)} to ${format(max)}`);
    } catch (error) {
      context.addIssue(messageOf(error));
    }
    return z.NEVER;
  });
  return { schema, format };
}

/** A size; a bare number, quoted or not, counts `unitBytes` each. */
function size(min: number, max: number, unitBytes = 1): Kind<number> {
  const read = (value: unknown) => {
    const text = textOf(value);
    return /^\d+$/.test(text) ? Number(text) * unitBytes : parseBytes(text);
  };
  return measured(read, min, max, formatBytes);
}

function duration(minMs: number, maxMs = MAX_DURATION_MS): Kind<number> {
  return measured((value) => parseDuration(textOf(value)), minMs, maxMs, formatDuration);
}

/** What was written, for a message; structures are no values. */
function textOf(value: unknown): string {
  return typeof value === 'object' ? '' : String(value);
}

function text(pattern: RegExp, error: string): Kind<string> {
  return {
    schema: z.string({ error }).max(MAX_TEXT_CHARS, { error }).regex(pattern, { error }),
    format: same,
  };
}

function choice<const T extends string>(...words: readonly [T, ...T[]]): Kind<T> {
  const error = `must be one of ${words.join(', ')}`;
  const schema = z.preprocess(
    (value) => words.find((word) => word.toLowerCase() === String(value).toLowerCase()),
    z.enum(words, { error }),
  ) as unknown as z.ZodType<T>;
  return { schema, format: same };
}

const flag: Kind<boolean> = { schema: z.boolean({ error: 'must be true or false' }), format: same };

/** A range of private IPv4 addresses; empty lets one be found. */
const range: Kind<string> = {
  schema: z
    .string({ error: 'must be a range such as 10.10.0.0/24' })
    .superRefine((value, context) => {
      const problem = value === '' ? undefined : parseCidr(value);
      if (typeof problem === 'string') context.addIssue(problem);
    }),
  format: same,
};

const absolute = text(/^\/[^\0]*$/, 'must be an absolute path');

function listOf(item: Kind<string>): Kind<readonly string[]> {
  const schema = z.array(item.schema, { error: 'must be a list' }).max(MAX_LIST, {
    error: `must have at most ${MAX_LIST} entries`,
  });
  return { schema, format: same };
}

/** PEM text; empty means that it is read from `certs/` beside the file. */
function pem(pattern: RegExp, read: (value: string) => unknown, what: string): Kind<string> {
  const schema = z.string({ error: `must be the PEM text of ${what}` }).refine(
    (value) => {
      if (!pattern.test(value)) return false;
      try {
        read(value);
        return true;
      } catch {
        return false;
      }
    },
    { error: `must be the PEM text of ${what}` },
  );
  return { schema, format: () => undefined };
}

const certificate = pem(
  /BEGIN CERTIFICATE/,
  (value) => new X509Certificate(value),
  'a certificate',
);
const privateKey = pem(/BEGIN [A-Z ]*PRIVATE KEY/, same, 'a private key');

const required = ['memory', 'cpu', 'io', 'pids', 'cpuset'] as const;
const controllers: Kind<readonly string[]> = {
  schema: z
    .array(
      z.enum([...required, 'devices'], { error: `must be one of ${required.join(', ')}, devices` }),
      { error: 'must be a list' },
    )
    .refine((list) => required.every((name) => list.includes(name)), {
      error: `must hold all of ${required.join(', ')}, because each of them keeps a limit`,
    }),
  format: same,
};

const key = <T>(kind: Kind<T>, preset: NoInfer<T>, meaning: string): Key<T> => ({
  kind,
  preset,
  meaning,
});

/** Where the limits of one kind lie, as an operator sets them; 0 sets no bound. */
const bound = (kind: Kind<number>, what: string) => key(kind, 0, `${what}; 0 is no bound`);

const cpu = integer(0, 1_000_000);
const memory = size(0, 1024 * 1024 * GB, MB);
const io = size(0, 1024 * GB);

export const sections = {
  server: {
    address: key(
      text(/^[^\s/]+$/, 'must be a host name or an address'),
      '0.0.0.0',
      'Address to listen on',
    ),
    port: key(integer(0, MAX_PORT), 50_051, 'Port to listen on; 0 takes any free one'),
    nodeId: key(
      text(/^[A-Za-z0-9._-]{0,64}$/, 'must be a UUID or another short word'),
      '',
      'Name of this node, shown with every job it ran',
    ),
  },
  security: {
    serverCert: key(
      certificate,
      '',
      'Certificate of the server, PEM; else certs/server-cert.pem beside this file',
    ),
    serverKey: key(privateKey, '', 'Private key of the server, PEM; else certs/server-key.pem'),
    caCert: key(
      certificate,
      '',
      'Certificate of the authority that signs clients, PEM; else certs/ca-cert.pem',
    ),
    revokedFile: key(
      { schema: absolute.schema, format: (value) => value || undefined },
      '',
      'File of revoked serial numbers; else `revoked` beside this file',
    ),
  },
  joblet: {
    defaultCpuLimit: key(
      cpu,
      100,
      'CPU of a job that names none, percent of one core; 0 is unlimited',
    ),
    defaultMemoryLimit: key(
      memory,
      512 * MB,
      'Memory of a job that names none, in MB; 0 is unlimited',
    ),
    defaultIoLimit: key(
      io,
      0,
      'Disk bandwidth of a job that names none, bytes a second; 0 is unlimited',
    ),
    defaultProcessLimit: key(
      integer(0, 4_194_304),
      1024,
      'Processes and threads of a job that names no limit; 0 is unlimited',
    ),
    minCpuLimit: bound(cpu, 'Least CPU that a job may ask for, percent'),
    maxCpuLimit: bound(cpu, 'Most CPU that a job may ask for, percent'),
    minMemoryLimit: bound(memory, 'Least memory that a job may ask for, in MB'),
    maxMemoryLimit: bound(memory, 'Most memory that a job may ask for, in MB'),
    minIoLimit: bound(io, 'Least disk bandwidth that a job may ask for, bytes a second'),
    maxIoLimit: bound(io, 'Most disk bandwidth that a job may ask for, bytes a second'),
    maxConcurrentJobs: key(
      integer(0, 100_000),
      100,
      'Jobs that run at once, the others wait; 0 is unlimited',
    ),
    maxTotalCpu: bound(cpu, 'CPU that running jobs may reserve together, percent of one core'),
    maxTotalMemory: bound(memory, 'Memory that running jobs may reserve together, in MB'),
    maxWaitingJobs: key(
      integer(1, 100_000),
      10_000,
      'Jobs that may wait for their turn or their time; more are refused',
    ),
    jobTimeout: key(
      duration(0),
      0,
      'Longest time that a job may run, and the timeout of one that names none; 0 is unlimited',
    ),
    cleanupTimeout: key(
      duration(0, 600_000),
      5000,
      'Time that open calls get to finish when the daemon stops',
    ),
    idRangeFirst: key(
      integer(65_536, 0x7fff_0000),
      0x2000_0000,
      'First host user id that jobs are mapped to',
    ),
    idRanges: key(
      integer(1, 32_767),
      4096,
      'How many ranges of 65536 ids there are: one for each running job',
    ),
    validateCommands: key(flag, false, 'Refuse commands that hold shell characters'),
  },
  cgroup: {
    baseDir: key(
      absolute,
      '/sys/fs/cgroup/joblet.slice/joblet.service',
      'Parent of the cgroups of jobs; with v1 controllers the same name under each',
    ),
    enableControllers: key(controllers, [...required], 'Controllers that have to be there'),
    cleanupTimeout: key(
      duration(0, 3_600_000),
      100,
      'Time between SIGTERM and SIGKILL when a job is stopped',
    ),
  },
  filesystem: {
    baseDir: key(
      absolute,
      '/opt/joblet/jobs',
      'Directory for what jobs bring along, until they have ended',
    ),
    tmpBytes: key(size(MB, 64 * GB), 64 * MB, "Size of a job's /tmp"),
    shmBytes: key(size(MB, 64 * GB), 64 * MB, "Size of a job's /dev/shm"),
    keepWork: key(
      duration(0, 30 * 24 * 3_600_000),
      0,
      'How long the work directory of an ended job is kept that does not say so itself; 0 is not at all',
    ),
    keptWorkBytes: key(
      size(0, 1024 * GB),
      10 * GB,
      'Room on disk for all work directories that are kept; the oldest go first',
    ),
    minFreeBytes: key(
      size(0, 1024 * GB),
      256 * MB,
      'Room that logs and uploads leave free on their disks, though no more than a twentieth of each',
    ),
    allowedMounts: key(
      listOf(absolute),
      [
        '/usr',
        '/bin',
        '/sbin',
        '/lib',
        '/lib32',
        '/lib64',
        '/libx32',
        '/etc/alternatives',
        '/etc/ssl/certs',
        '/etc/ssl/openssl.cnf',
        '/etc/pki/ca-trust/extracted',
        '/etc/ca-certificates',
        '/etc/ld.so.cache',
        '/etc/localtime',
        '/etc/os-release',
      ],
      'Host paths that a job without a runtime sees, read-only; those that do not exist are left out',
    ),
  },
  volumes: {
    base_path: key(absolute, '/opt/joblet/volumes', 'Directory of the volumes and their data'),
    default_size_bytes: key(size(MB, 1024 * GB), GB, 'Size of a volume that is made without one'),
    max_size_bytes: key(size(MB, 1024 * 1024 * GB), 1024 * GB, 'Largest size of a volume'),
    max_volumes: key(integer(0, 100_000), 1000, 'Volumes that there may be'),
    max_memory_bytes: key(
      size(0, 1024 * GB),
      0,
      "Sizes of all memory volumes together; 0 is a quarter of the host's memory",
    ),
    default_disk_quota_bytes: key(
      size(4096, 1024 * GB),
      MB,
      'Size of the work directory of a job that brings nothing along',
    ),
  },
  runtime: {
    base_path: key(
      absolute,
      '/opt/joblet/runtimes',
      'Directory of the runtimes; whatever is unpacked there can be used',
    ),
    signingKey: key(
      { schema: absolute.schema, format: (value) => value || undefined },
      '',
      'Private key (Ed25519, PEM) that signs what is installed here; else one is made in state.path',
    ),
    trustedKeys: key(
      listOf(absolute),
      [],
      'Public keys (PEM files) whose signatures count, beside that of runtime.signingKey',
    ),
    registries: key(
      listOf(
        text(
          /^(\/|file:\/\/\/|https:\/\/)/,
          'must be an absolute path, file:///... or https://...',
        ),
      ),
      [],
      'Where runtimes are got from by their names, in this order',
    ),
    registryCa: key(
      { schema: absolute.schema, format: (value) => value || undefined },
      '',
      'Certificate authority of registries (PEM), beside those that are known anyway',
    ),
    requireSignatures: key(
      flag,
      true,
      'Install packs only with a signature of a trusted key; wrong ones are refused in any case',
    ),
    specifications: key(
      absolute,
      path.resolve(import.meta.dirname, '../../runtimes'),
      'Directory of the specifications that can be built by their names',
    ),
    aptSources: key(
      listOf(text(/^deb /, 'must be a source as in sources.list: deb URL SUITE main')),
      [],
      'Sources of packages beside those of this host, such as for a suite of another distribution',
    ),
    maxBuilds: key(integer(1, 64), 2, 'Runtimes that may be built at once'),
    buildBytes: key(size(64 * MB, 1024 * GB), 20 * GB, 'Disk that a build may use'),
    buildMemory: key(size(0, 1024 * GB), 4 * GB, 'Memory that a build may use; 0 is no limit'),
    buildProcesses: key(integer(0, 4_194_304), 2048, 'Processes of a build; 0 is no limit'),
    buildTimeout: key(duration(1000), 3_600_000, 'Longest time of a build'),
    packageCacheBytes: key(
      size(0, 1024 * GB),
      4 * GB,
      'Packages that are kept, so that the next build need not fetch them',
    ),
    maxFiles: key(integer(1, 10_000_000), 500_000, 'Most files, folders and links of a runtime'),
    maxBytes: key(size(MB, 1024 * GB), 20 * GB, 'Most bytes of a runtime, all files together'),
  },
  grpc: {
    maxRecvMsgSize: key(size(4096, GB), 128 * MB, 'Largest message taken, bytes'),
    maxSendMsgSize: key(size(4096, GB), 128 * MB, 'Largest message sent, bytes'),
    maxHeaderListSize: key(
      size(4096, 16 * MB),
      64 * 1024,
      'Largest set of headers of a call, bytes',
    ),
    keepAliveTime: key(
      duration(1000),
      30_000,
      'Quiet time after which a client is asked whether it lives',
    ),
    keepAliveTimeout: key(duration(100), 10_000, 'Time it has to answer that'),
    maxConcurrentStreams: key(integer(1, 100_000), 1000, 'Calls at once on one connection'),
    maxConnectionsPerClient: key(
      integer(1, 10_000),
      2000,
      'Connections of one client certificate; beyond it the one without calls for longest is closed',
    ),
    maxCallsPerClient: key(
      integer(1, 100_000),
      4000,
      'Calls at once of one client certificate, over all its connections',
    ),
    maxHandshakesPerAddress: key(
      integer(1, 10_000),
      2000,
      'Connections of one address (of an IPv6 network) that are in their handshake; beyond it the oldest is closed',
    ),
    connectionTimeout: key(
      duration(100, 600_000),
      10_000,
      'Time that a new connection has for its handshake',
    ),
    maxConnectionIdle: key(
      duration(0),
      300_000,
      'Time after which a connection without calls is closed; 0 is never',
    ),
    maxConnectionAge: key(duration(0), 0, 'Age at which a connection is closed; 0 is never'),
    maxConnectionAgeGrace: key(duration(0), 30_000, 'Time that its calls then have to finish'),
  },
  web: {
    enabled: key(
      flag,
      false,
      'Whether metrics and logs are served by HTTPS too, on a port of its own',
    ),
    address: key(
      text(/^[^\s/]+$/, 'must be a host name or an address'),
      '127.0.0.1',
      'Address that the web port listens on',
    ),
    port: key(integer(0, MAX_PORT), 8443, 'The web port; 0 takes any free one'),
    maxRequestsPerClient: key(
      integer(1, 10_000),
      256,
      'Requests at once of one client certificate, logs that it follows among them',
    ),
  },
  logging: {
    level: key(
      choice('DEBUG', 'INFO', 'WARN', 'ERROR'),
      'INFO',
      'Least important lines that are written: DEBUG, INFO, WARN or ERROR',
    ),
    format: key(choice('text', 'json'), 'text', 'text or json'),
    output: key(
      text(/^(stdout|stderr|\/[^\0]+)$/, 'must be stdout, stderr or an absolute path'),
      'stdout',
      'stdout, stderr or an absolute path',
    ),
  },
  network: {
    default_network: key(
      {
        schema: text(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/, 'must be the name of a network').schema,
        format: same,
      },
      'isolated',
      'Network of a job that names none: isolated, bridge, none or one of your own',
    ),
    isolatedCidr: key(range, '', 'Addresses of the network isolated; else a free private range'),
    bridgeCidr: key(range, '', 'Addresses of the network bridge; else 172.20.0.0/16 or a free one'),
    nameServers: key(
      listOf(text(/^[0-9a-fA-F:.]{2,45}$/, 'must be the address of a resolver')),
      [],
      "Resolvers that jobs' questions go to; else those of the host's /etc/resolv.conf",
    ),
    allow_custom_networks: key(flag, true, 'Whether rnx network create makes more networks'),
    allow_host: key(
      flag,
      false,
      "Whether admins run jobs on the network host: the host's own, without a rule of ours",
    ),
    max_custom_networks: key(integer(0, 500), 50, 'How many of them there may be'),
  },
  state: {
    path: key(absolute, '/opt/joblet/state', 'Directory of the database'),
  },
  logs: {
    directory: key(absolute, '/opt/joblet/logs', "Directory of the jobs' output"),
    segmentBytes: key(size(64 * 1024, GB), 8 * MB, 'Size at which a log goes on in the next file'),
    quotaBytes: key(
      size(64 * 1024, 1024 * GB),
      GB,
      'Output kept of one job; what comes after it is dropped and marked',
    ),
    sealAfter: key(
      duration(100, 24 * 3_600_000),
      60_000,
      'Time after which a file of a log that is complete is compressed',
    ),
    retention: key(
      duration(0),
      0,
      'How long output is kept when its job has ended; 0 is as long as the job is known',
    ),
    retentionBytes: key(
      size(0, 1024 * 1024 * GB),
      20 * GB,
      'Room on disk for the output of all ended jobs; the oldest goes first, 0 is no bound',
    ),
  },
  archive: {
    type: key(
      choice('none', 'local', 's3'),
      'none',
      'Where ended jobs are archived: none, local (a directory) or s3 (a bucket of an S3 store)',
    ),
    directory: key(
      { schema: absolute.schema, format: (value) => value || undefined },
      '',
      'Directory of the type local, best on another disk',
    ),
    endpoint: key(
      text(/^(https?:\/\/[^\s/?#@]+)?$/, 'must be https://HOST or http://HOST, maybe with a port'),
      '',
      'S3 store; else that of AWS in the region',
    ),
    bucket: key(
      text(/^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$/, 'must be the name of a bucket'),
      '',
      'Bucket, which has to be there',
    ),
    prefix: key(
      text(
        /^((?!\.{1,2}\/)[A-Za-z0-9._-]+\/)*$/,
        'must end with / and hold letters, digits and ._- between slashes',
      ),
      '',
      'What keys in the bucket begin with, such as nodes/a/',
    ),
    region: key(
      text(/^[a-z0-9-]{1,64}$/, 'must be the name of a region'),
      'us-east-1',
      'Region that requests are signed for',
    ),
    credentialsFile: key(
      { schema: absolute.schema, format: (value) => value || undefined },
      '',
      'File with aws_access_key_id and aws_secret_access_key, for its owner only; else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment',
    ),
    ca: key(
      { schema: absolute.schema, format: (value) => value || undefined },
      '',
      'Certificate authority of the store (PEM), beside those that are known anyway',
    ),
  },
  gpu: {
    enabled: key(flag, false, 'Give GPUs to jobs that ask for them; else such jobs are refused'),
    cuda_paths: key(
      listOf(absolute),
      ['/usr/local/cuda', '/opt/cuda'],
      'Folders of CUDA that a job with a GPU and without a runtime sees, read-only; those that do not exist are left out',
    ),
    allocation_strategy: key(
      choice('first-fit', 'pack', 'spread', 'best-fit'),
      'first-fit',
      'Which of several free GPUs a job is given: the first, those near each other (pack), those far from each other (spread), or the smallest that are big enough (best-fit)',
    ),
  },
  audit: {
    maxRecords: key(
      integer(1000, 100_000_000),
      1_000_000,
      'Records of the audit log that are kept, about 250 bytes each; the oldest go first',
    ),
    maxAge: key(
      duration(0),
      0,
      'How long records of the audit log are kept; 0 is as long as there is room',
    ),
  },
  alerts: {
    interval: key(duration(1000, 3_600_000), 10_000, 'Time between two looks for alerts'),
    targets: key(targetList, [], 'Whom alerts are told to: each a webhook or a command'),
    rules: key(ruleList, [], 'What is an alert; see docs/guide/alerts.md'),
  },
  monitoring: {
    system_interval: key(
      duration(1000, 3_600_000),
      10_000,
      'Time between two looks at the host, which the rates of a single status are counted from',
    ),
    cloud_detection: key(flag, true, 'Ask in which cloud this host runs, once, behind the start'),
  },
  job_metrics: {
    default_sample_rate: key(
      duration(1000, 3_600_000),
      5000,
      'Time between two looks at what a running job uses',
    ),
  },
  run: {
    directory: key(absolute, '/opt/joblet/run', 'Directory of the pid file and of sockets'),
  },
  uploads: {
    maxBytes: key(size(0, 1024 * GB), 10 * GB, 'Most bytes that one job may bring along'),
    maxFiles: key(integer(0, 10_000_000), 100_000, 'Most files that one job may bring along'),
  },
} as const;

type Sections = typeof sections;

/** The values of all keys, in the spelling of the file. */
export type Values = {
  readonly [S in keyof Sections]: {
    readonly [K in keyof Sections[S]]: Sections[S][K] extends Key<infer T> ? T : never;
  };
};

export const valuesSchema = z.strictObject(
  Object.fromEntries(
    Object.entries(sections).map(([name, section]) => {
      const shape = Object.entries(section as Record<string, Key<unknown>>).map(
        ([word, { kind, preset }]) => [word, kind.schema.default(preset as never)] as const,
      );
      return [name, z.strictObject(Object.fromEntries(shape)).prefault({})];
    }),
  ),
) as unknown as z.ZodType<Values>;

interface Refusal {
  /** Why the key is not offered, as the end of a sentence. */
  readonly because: string;
  /** The one value that says what is so anyway, and is therefore accepted. */
  readonly only?: unknown;
}

const later = { because: 'it arrives with a later version' } as const;
const always = { because: 'it cannot be switched off', only: true } as const;
const ownFile = { because: 'keys stand in a file of their own, archive.credentialsFile' } as const;
const oneDaemon = { because: 'there is one daemon, and nothing between daemons to set' } as const;

/** Keys of other versions, the longest path first where one lies in another. */
export const refusals: Readonly<Record<string, Refusal>> = {
  'server.mode': { because: 'the init process of a job is a program of its own', only: 'server' },
  'server.timeout': { because: 'each client sets the deadline of its calls' },
  'server.tls': { because: 'TLS 1.3 with client certificates is always on' },
  'server.minTlsVersion': { because: 'TLS 1.3 is always asked for', only: '1.3' },
  'security.require_client_cert': always,
  'security.verify_client_cert': always,
  'security.enable_rbac': always,
  'security.default_role': { because: 'a client whose certificate names no role is refused' },
  'security.audit': { because: 'the audit log is always kept; audit.maxRecords bounds it' },
  'joblet.allowedCommands': { because: 'a program that is allowed can start any other' },
  'joblet.preserveFailedJobs': { because: 'what a failed job leaves is its log and its status' },
  'joblet.isolation': { because: 'every job is isolated in the same, complete way' },
  'cgroup.namespaceMount': { because: 'the mount is found by itself', only: '/sys/fs/cgroup' },
  'cgroup.version': { because: 'the version is found by itself' },
  'cgroup.accounting': always,
  'filesystem.workspaceDir': { because: 'programs rely on the name /work', only: '/work' },
  'filesystem.tmpDir': {
    because: "a job's /tmp is its own memory; its size is filesystem.tmpBytes",
  },
  'filesystem.blockDevices': { because: 'no job gets a block device', only: false },
  'filesystem.workspace': { because: 'the size of /work is volumes.default_disk_quota_bytes' },
  'filesystem.enable_chroot': always,
  'filesystem.readonly_rootfs': always,
  'network.enabled': { because: 'a job without network asks for the network none', only: true },
  'network.state_dir': { because: 'networks are kept in SQLite in state.path' },
  'network.storage': { because: 'networks are kept in SQLite in state.path' },
  'network.networks': {
    because:
      'the built-in ones have network.bridgeCidr and network.isolatedCidr, and rnx network create makes others',
  },
  'network.dns': { because: 'the resolvers are network.nameServers' },
  'network.traffic_control': {
    because: 'rnx network create --bandwidth and rnx job run --bandwidth limit it',
  },
  'gpu.scrub_policy': {
    because: 'the driver clears memory of a GPU before anybody else gets it',
  },
  buffers: { because: 'readers are fed from the log files, and there is no buffer to set' },
  'ipc.enabled': { because: 'output is always kept', only: true },
  ipc: oneDaemon,
  volume: { because: 'what there is to set about volumes is in the section volumes' },
  'monitoring.enabled': always,
  'monitoring.process_interval': { because: 'the host is looked at as a whole' },
  'monitoring.bind_address': { because: 'the place of the web port is web.address and web.port' },
  'job_metrics.enabled': always,
  'job_metrics.storage_dir': { because: "samples lie beside the job's log, in logs.directory" },
  'job_metrics.retention_days': { because: 'samples are kept as long as their job' },
  telemetry: later,
  'runtime.common_paths': { because: 'a runtime is whole, and nothing of the host is put into it' },
  'runtime.isolation': { because: 'every build is isolated as a job is' },
  'runtime.installation': { because: 'the longest time of a build is runtime.buildTimeout' },
  'runtime.security': { because: 'what is trusted is set by runtime.trustedKeys' },
  'state.backend': { because: 'jobs are kept in SQLite in state.path', only: 'sqlite' },
  'state.socket': oneDaemon,
  'state.buffer_size': oneDaemon,
  'state.reconnect_delay': oneDaemon,
  'state.pool_size': oneDaemon,
  'state.storage': { because: 'jobs are kept in SQLite in state.path' },
  'archive.accessKeyId': ownFile,
  'archive.secretAccessKey': ownFile,
  'persist.storage': {
    because: 'what the archive is and where it lies is set in the section archive',
  },
  persist: { because: 'output is kept in files; their place is logs.directory' },
  'logging.outputs': { because: 'there is one output, logging.output' },
  'logging.components': { because: 'there is one level, logging.level' },
  process: { because: 'a job is user 0 of a user namespace of its own' },
};

interface Override {
  /** The key that the variable sets. */
  readonly path: readonly [string, string];
  readonly isNumber?: true;
}

/** Environment variables that go before the file. */
export const overrides: Readonly<Record<string, Override>> = {
  JOBLET_SERVER_ADDRESS: { path: ['server', 'address'] },
  JOBLET_SERVER_PORT: { path: ['server', 'port'], isNumber: true },
  JOBLET_NODE_ID: { path: ['server', 'nodeId'] },
  JOBLET_MODE: { path: ['server', 'mode'] },
  JOBLET_MAX_JOBS: { path: ['joblet', 'maxConcurrentJobs'], isNumber: true },
  JOBLET_LOG_LEVEL: { path: ['logging', 'level'] },
  JOBLET_LOG_FORMAT: { path: ['logging', 'format'] },
  JOBLET_DEFAULT_DISK_QUOTA_BYTES: { path: ['volumes', 'default_disk_quota_bytes'] },
  JOBLET_VOLUMES_BASE_PATH: { path: ['volumes', 'base_path'] },
  JOBLET_BRIDGE_NETWORK_CIDR: { path: ['network', 'bridgeCidr'] },
  JOBLET_DEFAULT_NETWORK_CIDR: { path: ['network', 'isolatedCidr'] },
  RUNTIME_MANAGER_PATH: { path: ['runtime', 'base_path'] },
};

/** Turned isolation off elsewhere. Here nothing does, and nobody shall believe that it did. */
export const FORBIDDEN_VARIABLE = 'JOBLET_CI_MODE';
