// From a RunJobRequest to a JobSpec: every wish checked, every default filled in. All problems are
// collected, so that one answer names them all, and nothing has been created by then.

import path from 'node:path/posix';
import type { RunJobRequest } from '../../gen/joblet/jobs_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import { checkName } from '../../shared/names.ts';
import { runtimeSpecProblem } from '../../shared/runtime-names.ts';
import { formatBytes, formatDuration } from '../../shared/units.ts';
import { pathProblem } from '../../shared/upload-path.ts';
import {
  clashOf,
  isWithin,
  parseVolumeMount,
  type VolumeMount,
} from '../../shared/volume-mount.ts';
import { type GpuWish, MAX_GPUS } from '../gpus/gpu.ts';
import { type JobSpec, type Limits, type Opening, openings, type Upload } from '../jobs/job.ts';
import { PRIORITY_LIMIT } from '../jobs/queue.ts';
import { HOST_NETWORK, MAX_BANDWIDTH, MIN_BANDWIDTH, NO_NETWORK } from '../networks/network.ts';
import { readEgress } from './egress.ts';
import { readPublished } from './published.ts';

/** What a request may carry; a message that came over the wire is more than that. */
export type JobRequest = Omit<RunJobRequest, '$typeName' | '$unknown'>;

/** What this host has to give. */
export interface Host {
  readonly cores: number;
  readonly memoryBytes: number;
  /** Disks whose speed can be limited. */
  readonly disks: number;
}

/** What the operator of this node has set. 0 is no limit, everywhere. */
export interface JobPolicy {
  readonly defaultCpuLimitPercent: number;
  readonly defaultMemoryLimitBytes: number;
  readonly defaultIoLimitBps: number;
  readonly defaultProcessLimit: number;
  readonly minCpuLimitPercent: number;
  readonly maxCpuLimitPercent: number;
  readonly minMemoryLimitBytes: number;
  readonly maxMemoryLimitBytes: number;
  readonly minIoLimitBps: number;
  readonly maxIoLimitBps: number;
  /** What running jobs may reserve together. */
  readonly maxTotalCpuPercent: number;
  readonly maxTotalMemoryBytes: number;
  /** The longest time that a job may run, and the timeout of one that names none. */
  readonly jobTimeoutMs: number;
  readonly graceMs: number;
  /** How long the work directory of an ended job is kept that does not say so. */
  readonly keepWorkMs: number;
  /** Refuse commands that a shell would read as more than a word. */
  readonly validateCommands: boolean;
  readonly defaultNetwork: string;
  readonly networks: NetworkNames;
  readonly maxUploadBytes: number;
  readonly maxUploadFiles: number;
}

/** The networks that there are. */
export interface NetworkNames {
  has(name: string): boolean;
  names(): readonly string[];
}

const MB = 1024 * 1024;

/** What makes a lone command a shell line: white space, and what a shell gives a meaning to. */
const SHELL = /[\s|&;<>()$`\\"'*?[\]{}~#!]/;

/** The kernel takes no longer argument, and no longer NAME=VALUE. */
const ARGUMENT_BYTES = 128 * 1024 - 1;
/** All arguments and variables together, so that a launch plan holds them. */
const PROGRAM_BYTES = 768 * 1024;
const VALUE_BYTES = 32_768;
const VARIABLES = 1024;
/** Problems that are named of a request; nobody reads more. */
const PROBLEMS = 100;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const ALLOWED = 16;
const MAX_PROCESSES = 4_194_304;
const MAX_GRACE_MS = 3_600_000;
const MAX_KEEP_WORK_MS = 30 * 24 * 3_600_000;
const YEAR_MS = 365 * 24 * 3_600_000;
const MAX_VOLUMES = 32;
const MIN_WORK_BYTES = 4096;
const MAX_WORK_BYTES = 1024 ** 4;
const WORK = '/work';
const PATH_BYTES = 1024;
const SHOWN_NETWORKS = 10;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KEY = /^[!-~]{0,128}$/;
const RFC3339 = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})$/i;

/** Reads a request. Throws `invalid` with everything that is wrong with it. */
export function toJobSpec(
  request: JobRequest,
  host: Host,
  policy: JobPolicy,
  nowMs: number,
): JobSpec {
  const problems: Problem[] = [];
  const report: Report = (field, message) => {
    if (problems.length < PROBLEMS) problems.push({ field, message });
  };
  const spec: JobSpec = {
    name: readName(request.name, report),
    ...readProgram(request, policy, report),
    limits: readLimits(request, host, policy, report),
    uploads: readUploads(request.uploads, policy, report),
    uploadId: readUploadId(request.uploadId, report),
    startAtMs: readSchedule(request.schedule, nowMs, report),
    priority: readPriority(request.priority, report),
    network: readNetwork(request.network || policy.defaultNetwork, policy.networks, report),
    bandwidthBytesPerSecond: readBandwidth(request, policy, report),
    egress: readEgress(request.egress, report),
    publish: readPublished(request, policy, report),
    runtime: readRuntime(request.runtime, report),
    volumes: readVolumes(request, report),
    workDir: readWorkDir(request.workDir, report),
    ...readEnvironment(request, report),
    timeoutMs: readTimeout(request.timeoutMs, policy, report),
    graceMs: readGrace(request.graceMs, report) || policy.graceMs,
    keepWorkMs: readKeepWork(request.keepWorkMs, policy, report),
    ...readLogOverflow(request.logOverflow, report),
    stdin: request.stdin,
    init: !request.noInit,
    allow: readAllow(request.allow, report),
    ...readGpus(request, report),
    workflowUuid: '',
  };
  checkKey(request.idempotencyKey, report);
  checkProgramBytes(spec, report);
  refuseRulesOfHost(spec, report);
  refuseWhatIsNotThere(request, report);
  if (problems.length > 0) throw invalid(problems);
  return spec;
}

type Report = (field: string, message: string) => void;

function readName(name: string, report: Report): string {
  const problem = name === '' ? undefined : checkName(name);
  if (problem !== undefined) report('name', problem);
  return name;
}

function readProgram(
  { command, args }: JobRequest,
  policy: JobPolicy,
  report: Report,
): Pick<JobSpec, 'command' | 'args'> {
  // Each takes a byte at least. So many are not even looked at: a request can hold millions.
  if (args.length > PROGRAM_BYTES) {
    report(
      'args',
      `are ${args.length} and have at most ${PROGRAM_BYTES} bytes; upload a file instead`,
    );
    return { command, args: [] };
  }
  if (command.trim() === '') report('command', 'must specify a command to run');
  if (policy.validateCommands && SHELL.test(command)) {
    report('command', 'invalid command: command contains dangerous characters');
  }
  for (const [field, text] of [['command', command], ...args.map(nth('args'))] as const) {
    if (text.includes('\0')) report(field, 'holds a NUL character');
    const bytes = Buffer.byteLength(text);
    if (bytes > ARGUMENT_BYTES) report(field, `has ${bytes} bytes of at most ${ARGUMENT_BYTES}`);
  }
  if (args.length === 0 && SHELL.test(command)) return { command: 'sh', args: ['-c', command] };
  return { command, args };
}

/** Pairs each element with the way to name it. */
function nth(field: string): <T>(value: T, index: number) => readonly [string, T] {
  return (value, index) => [`${field}[${index}]`, value];
}

function readLimits(request: JobRequest, host: Host, policy: JobPolicy, report: Report): Limits {
  return {
    cpuPercent: readCpu(request.maxCpu, host, policy, report),
    memoryBytes: readMemory(request.maxMemory, host, policy, report),
    ioBps: readIo(request.maxIoBps, host, policy, report),
    cpuCores: readCores(request.cpuCores, host, report),
    processes: readProcesses(request.maxProcesses, policy, report),
    workBytes: readWorkBytes(Number(request.workBytes), report),
  };
}

function readCpu(asked: number, host: Host, policy: JobPolicy, report: Report): number {
  const field = 'max_cpu';
  const most = 100 * host.cores;
  if (isNegative(asked, field, report)) return 0;
  if (asked === 0) return policy.defaultCpuLimitPercent;
  if (asked > most) {
    report(field, `is percent of one core: ${asked} is more than the ${most} of this host`);
  }
  const { minCpuLimitPercent: min, maxCpuLimitPercent: max, maxTotalCpuPercent: total } = policy;
  if (total > 0 && asked > total) {
    report(field, `is more than the ${total} that all jobs may reserve here (joblet.maxTotalCpu)`);
  }
  if (max > 0 && asked > max) report(field, `is at most ${max} on this node (joblet.maxCpuLimit)`);
  if (asked < min) report(field, `is at least ${min} on this node (joblet.minCpuLimit)`);
  return asked;
}

function readMemory(askedMb: number, host: Host, policy: JobPolicy, report: Report): number {
  const field = 'max_memory';
  if (isNegative(askedMb, field, report)) return 0;
  if (askedMb === 0) return policy.defaultMemoryLimitBytes;
  const asked = askedMb * MB;
  const { minMemoryLimitBytes: min, maxMemoryLimitBytes: max } = policy;
  const total = policy.maxTotalMemoryBytes;
  const inMb = (bytes: number) => `${Math.floor(bytes / MB)} MB`;
  const tooMuch = 'job creation failed: maxMemory exceeds system limits';
  if (asked > host.memoryBytes) {
    report(field, `${tooMuch}: ${askedMb} MB asked for, this host has ${inMb(host.memoryBytes)}`);
  }
  if (max > 0 && asked > max) {
    report(field, `${tooMuch}: at most ${inMb(max)} on this node (joblet.maxMemoryLimit)`);
  }
  if (total > 0 && asked > total) {
    report(
      field,
      `${tooMuch}: all jobs together may reserve ${inMb(total)} here (joblet.maxTotalMemory)`,
    );
  }
  if (asked < min) {
    report(field, `is at least ${inMb(min)} on this node (joblet.minMemoryLimit)`);
  }
  return asked;
}

function readIo(asked: number, host: Host, policy: JobPolicy, report: Report): number {
  const field = 'max_io_bps';
  if (isNegative(asked, field, report)) return 0;
  if (host.disks === 0 && (asked > 0 || policy.defaultIoLimitBps > 0)) {
    report(field, 'cannot be kept: this host has no disk whose speed could be limited');
  }
  if (asked === 0) return policy.defaultIoLimitBps;
  const { minIoLimitBps: min, maxIoLimitBps: max } = policy;
  if (max > 0 && asked > max) report(field, `is at most ${max} on this node (joblet.maxIoLimit)`);
  if (asked < min) report(field, `is at least ${min} on this node (joblet.minIoLimit)`);
  return asked;
}

/** A range `a-b` or a list `a,b,c`, of cores that the host has. */
function readCores(asked: string, host: Host, report: Report): string {
  if (asked === '') return '';
  const text = asked.trim();
  const field = 'cpu_cores';
  const range = /^(\d{1,4})-(\d{1,4})$/.exec(text);
  if (range === null && !/^\d{1,4}(,\d{1,4})*$/.test(text)) {
    report(field, `${JSON.stringify(text.slice(0, 64))} is no range like 0-3 and no list like 0,2`);
    return '';
  }
  const cores = (range?.slice(1) ?? text.split(',')).map(Number);
  const [first = 0, last = first] = cores;
  if (range !== null && first > last) report(field, `the range ${text} runs backwards`);
  if (range === null && new Set(cores).size < cores.length) report(field, 'names a core twice');
  const most = Math.max(...cores);
  if (most >= host.cores) {
    report(field, `names core ${most}, and this host has the cores 0 to ${host.cores - 1}`);
  }
  return text;
}

function readProcesses(asked: number, policy: JobPolicy, report: Report): number {
  const field = 'max_processes';
  if (isNegative(asked, field, report)) return 0;
  if (asked > MAX_PROCESSES) report(field, `is at most ${MAX_PROCESSES}`);
  return asked || policy.defaultProcessLimit;
}

function readWorkBytes(asked: number, report: Report): number {
  const field = 'work_bytes';
  if (isNegative(asked, field, report) || asked === 0) return 0;
  if (asked < MIN_WORK_BYTES || asked > MAX_WORK_BYTES) {
    report(field, `is from ${formatBytes(MIN_WORK_BYTES)} to ${formatBytes(MAX_WORK_BYTES)}`);
  }
  return asked;
}

function isNegative(value: number, field: string, report: Report): boolean {
  if (value < 0) report(field, `is ${value}; it cannot be negative, and 0 takes the default`);
  return value < 0;
}

function readUploads(uploads: JobRequest['uploads'], policy: JobPolicy, report: Report): Upload[] {
  if (uploads.length > policy.maxUploadFiles) {
    report(
      'uploads',
      `are ${uploads.length} of at most ${policy.maxUploadFiles} (uploads.maxFiles)`,
    );
    return [];
  }
  let bytes = 0;
  /** Each path with whether it is a folder. */
  const seen = new Map<string, boolean>();
  for (const [field, upload] of uploads.map(nth('uploads'))) {
    bytes += upload.content.length;
    const problem = pathProblem(upload.path);
    if (problem !== undefined) report(`${field}.path`, problem);
    else if (seen.has(upload.path)) report(`${field}.path`, `${upload.path} stands there twice`);
    seen.set(upload.path, upload.isDirectory);
    if (upload.isDirectory && upload.content.length > 0) {
      report(`${field}.content`, `${upload.path} is a folder and cannot have content`);
    }
  }
  for (const [at, file] of belowFiles(uploads)) {
    report(`uploads[${at}].path`, `${file} is a file and cannot hold it`);
  }
  if (bytes > policy.maxUploadBytes) {
    report('uploads', `are ${bytes} bytes of at most ${policy.maxUploadBytes} (uploads.maxBytes)`);
  }
  // Whatever a program in the job may be, it is not set-uid.
  return uploads.map(({ path, content, mode, isDirectory }) => ({
    path,
    content,
    mode: mode & 0o777,
    isDirectory,
  }));
}

/** Each upload that lies below a file, by its place in the list, with that file. */
function belowFiles(uploads: JobRequest['uploads']): [at: number, file: string][] {
  // With a slash behind each, everything below a file stands right behind it.
  const inOrder = uploads
    .map((upload, at) => ({ upload, at, key: `${upload.path}/` }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.at - b.at));
  const found: [number, string][] = [];
  let file: string | undefined;
  for (const { upload, at, key } of inOrder) {
    const isBelow =
      file !== undefined && key.length > file.length + 1 && key.startsWith(`${file}/`);
    if (isBelow && file !== undefined) found.push([at, file]);
    else if (!upload.isDirectory) file = upload.path;
  }
  return found.sort(([a], [b]) => a - b);
}

function readUploadId(id: string, report: Report): string {
  if (id !== '' && !UUID.test(id)) {
    report('upload_id', 'is not what UploadFiles answers; send the files again');
  }
  return id;
}

function readSchedule(schedule: string, nowMs: number, report: Report): number {
  if (schedule === '') return 0;
  const atMs = parseRfc3339(schedule);
  if (atMs === undefined) {
    const shown = JSON.stringify(schedule.slice(0, 64));
    report('schedule', `${shown} is no time in RFC 3339; write it as 2030-01-31T12:00:00Z`);
    return 0;
  }
  if (atMs > nowMs + YEAR_MS) report('schedule', 'is more than 365 days ahead');
  return atMs <= nowMs ? 0 : atMs;
}

/** Milliseconds since 1970 of a time in RFC 3339, or undefined. */
export function parseRfc3339(text: string): number | undefined {
  const [, date = '', clock = '', , zone = ''] = RFC3339.exec(text) ?? [];
  const atMs = Date.parse(text.toUpperCase());
  // Date.parse turns the 30th of February into the 1st of March.
  const wall = Date.parse(`${date}T${clock}Z`);
  if (Number.isNaN(atMs) || Number.isNaN(wall)) return undefined;
  const isReal = new Date(wall).toISOString().startsWith(`${date}T${clock}`);
  return isReal && zone !== '' ? atMs : undefined;
}

function checkKey(key: string, report: Report): void {
  if (KEY.test(key)) return;
  report('idempotency_key', 'is up to 128 printable ASCII characters, without a space');
}

function readPriority(asked: number, report: Report): number {
  if (Math.abs(asked) > PRIORITY_LIMIT) {
    report('priority', `is from -${PRIORITY_LIMIT} to ${PRIORITY_LIMIT}`);
  }
  return asked;
}

function readNetwork(network: string, networks: NetworkNames, report: Report): string {
  if (!networks.has(network)) {
    const shown = JSON.stringify(network.slice(0, 64));
    const known = networks.names();
    const some = `${known.slice(0, SHOWN_NETWORKS).join(', ')}${known.length > SHOWN_NETWORKS ? ', ...' : ''}`;
    report(
      'network',
      network === HOST_NETWORK
        ? `${shown} is not offered on this node (network.allow_host); there is ${some}`
        : `${shown} is not there; there is ${some}, and rnx network create makes another`,
    );
  }
  return network;
}

/** What is ruled on networks of ours is not to be wished for where nobody would keep it. */
function refuseRulesOfHost(
  { network, bandwidthBytesPerSecond, egress, publish }: JobSpec,
  report: Report,
): void {
  if (network !== HOST_NETWORK) return;
  const message = 'cannot be kept on the network host; leave it out, or use another network';
  if (bandwidthBytesPerSecond > 0) report('bandwidth_bytes_per_second', message);
  if (egress.closed || egress.deny.length > 0) report('egress', message);
  if (publish.length > 0) report('publish', message);
}

function readRuntime(name: string, report: Report): string {
  const problem = name === '' ? undefined : runtimeSpecProblem(name);
  if (problem !== undefined) report('runtime', `${JSON.stringify(name.slice(0, 64))} ${problem}`);
  return name;
}

function readVolumes(
  { volumes, uploads, uploadId }: Pick<JobRequest, 'volumes' | 'uploads' | 'uploadId'>,
  report: Report,
): VolumeMount[] {
  if (volumes.length > MAX_VOLUMES) {
    report('volumes', `are ${volumes.length} of at most ${MAX_VOLUMES}`);
    return [];
  }
  const mounts: VolumeMount[] = [];
  for (const [field, text] of volumes.map(nth('volumes'))) {
    const mount = parseVolumeMount(text);
    if (typeof mount === 'string') report(field, mount);
    else mounts.push(mount);
  }
  const clash = clashOf(mounts);
  if (clash !== undefined) report('volumes', clash);
  const brings = uploads.length > 0 || uploadId !== '';
  if (brings && mounts.some(({ path }) => isWithin(WORK, path))) {
    report(
      'volumes',
      `one of them stands at ${WORK} and would hide the uploads; give it another path`,
    );
  }
  return mounts;
}

function readBandwidth(request: JobRequest, policy: JobPolicy, report: Report): number {
  const field = 'bandwidth_bytes_per_second';
  const asked = Number(request.bandwidthBytesPerSecond);
  if (isNegative(asked, field, report) || asked === 0) return 0;
  if (asked < MIN_BANDWIDTH || asked > MAX_BANDWIDTH) {
    report(
      field,
      `is from ${formatBytes(MIN_BANDWIDTH)} to ${formatBytes(MAX_BANDWIDTH)} a second`,
    );
  }
  if ((request.network || policy.defaultNetwork) === NO_NETWORK) {
    report(field, 'is for a job on a network; this one is on none');
  }
  return asked;
}

function readWorkDir(asked: string, report: Report): string {
  const field = 'work_dir';
  if (asked.includes('\0')) report(field, 'holds a NUL character');
  if (Buffer.byteLength(asked) > PATH_BYTES) report(field, `is longer than ${PATH_BYTES} bytes`);
  const whole = path.resolve(WORK, asked);
  if (whole !== WORK && !whole.startsWith(`${WORK}/`)) {
    report(field, `leads out of ${WORK}; give a path below it, or relative to it`);
  }
  return whole;
}

function readEnvironment(
  { environment, secretEnvironment }: JobRequest,
  report: Report,
): Pick<JobSpec, 'environment' | 'secretEnvironment'> {
  const count = Object.keys(environment).length + Object.keys(secretEnvironment).length;
  if (count > VARIABLES) {
    report('environment', `has ${count} variables of at most ${VARIABLES}`);
    return { environment: {}, secretEnvironment: {} };
  }
  const maps = { environment, secret_environment: secretEnvironment };
  for (const [field, variables] of Object.entries(maps)) {
    for (const [name, value] of Object.entries(variables)) {
      const problem = variableProblem(name, value);
      if (problem !== undefined) report(field, `${JSON.stringify(name.slice(0, 64))} ${problem}`);
    }
  }
  for (const name of Object.keys(secretEnvironment)) {
    if (!Object.hasOwn(environment, name)) continue;
    report('secret_environment', `${name} stands in environment too; say which is meant`);
  }
  return { environment, secretEnvironment };
}

/** What is wrong with a variable; its value is not repeated, as it may be a secret. */
function variableProblem(name: string, value: string): string | undefined {
  if (!VARIABLE_NAME.test(name)) {
    return 'is an invalid environment variable name: use letters, digits and _, and no digit first';
  }
  if (value.includes('\0')) return 'has a value with a NUL character';
  const bytes = Buffer.byteLength(value);
  if (bytes > VALUE_BYTES) return `has a value of ${bytes} bytes of at most ${VALUE_BYTES}`;
  return undefined;
}

function readTimeout(asked: bigint, policy: JobPolicy, report: Report): number {
  const field = 'timeout_ms';
  const ms = Number(asked);
  if (isNegative(ms, field, report)) return 0;
  if (ms > YEAR_MS) report(field, 'is more than 365 days');
  const most = policy.jobTimeoutMs;
  if (most > 0 && ms > most) {
    report(field, `is at most ${formatDuration(most)} on this node (joblet.jobTimeout)`);
  }
  return ms || most;
}

function readGrace(asked: bigint, report: Report): number {
  const field = 'grace_ms';
  const ms = Number(asked);
  if (isNegative(ms, field, report)) return 0;
  if (ms > MAX_GRACE_MS) report(field, `is at most ${MAX_GRACE_MS}`);
  return ms;
}

/** 0 is the default, and -1 not at all. */
function readKeepWork(asked: bigint, policy: JobPolicy, report: Report): number {
  const ms = Number(asked);
  if (ms < -1 || ms > MAX_KEEP_WORK_MS) {
    report('keep_work_ms', `is at most ${formatDuration(MAX_KEEP_WORK_MS)}`);
    return 0;
  }
  return Math.max(0, ms || policy.keepWorkMs);
}

function readLogOverflow(word: string, report: Report): Pick<JobSpec, 'logOverflow'> {
  if (!['', 'drop', 'block'].includes(word)) report('log_overflow', 'is drop or block');
  return word === 'block' ? { logOverflow: 'block' } : {};
}

function readAllow(words: readonly string[], report: Report): Opening[] {
  if (words.length > ALLOWED) report('allow', `has ${words.length} words of at most ${ALLOWED}`);
  for (const [field, word] of words.slice(0, ALLOWED).map(nth('allow'))) {
    if (openings.some((opening) => opening === word)) continue;
    const shown = JSON.stringify(word.slice(0, 64));
    report(field, `${shown} cannot be allowed; there is ${openings.join(' and ')}`);
  }
  return openings.filter((opening) => words.includes(opening));
}

/** Whether there are so many on this node is for those who have them to say. */
function readGpus(
  { gpuCount, gpuMemoryMb }: JobRequest,
  report: Report,
): { readonly gpus?: GpuWish } {
  if (isNegative(gpuCount, 'gpu_count', report)) return {};
  if (isNegative(gpuMemoryMb, 'gpu_memory_mb', report)) return {};
  if (gpuCount > MAX_GPUS) report('gpu_count', `is at most ${MAX_GPUS}`);
  if (gpuCount > 0) return { gpus: { count: gpuCount, memoryBytes: gpuMemoryMb * MB } };
  if (gpuMemoryMb > 0)
    report('gpu_memory_mb', 'is memory of each GPU; say with gpu_count how many');
  return {};
}

function checkProgramBytes(spec: JobSpec, report: Report): void {
  let bytes = Buffer.byteLength(spec.command);
  for (const arg of spec.args) bytes += Buffer.byteLength(arg) + 1;
  for (const variables of [spec.environment, spec.secretEnvironment]) {
    for (const [name, value] of Object.entries(variables)) {
      bytes += name.length + Buffer.byteLength(value) + 2;
    }
  }
  if (bytes <= PROGRAM_BYTES) return;
  report(
    'args',
    `and the environment have ${bytes} bytes of at most ${PROGRAM_BYTES}; upload a file instead`,
  );
}

/** What belongs elsewhere, and what only the server says. */
function refuseWhatIsNotThere(request: JobRequest, report: Report): void {
  const refused: readonly (readonly [string, boolean, string])[] = [
    ['requirements', request.requirements.length > 0, 'belong to workflows; leave them out'],
    ['workflow_uuid', request.workflowUuid !== '', 'is set by the server; leave it out'],
    ['job_uuid', request.jobUuid !== '', 'is set by the server; leave it out'],
  ];
  for (const [field, isAsked, message] of refused) if (isAsked) report(field, message);
}
