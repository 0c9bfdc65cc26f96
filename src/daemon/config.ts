// The daemon's configuration: joblet-config.yml, checked as a whole, every problem with its line and
// column. The keys themselves, with defaults and limits, are in config-keys.ts.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import path from 'node:path';
import { type Cidr, parseCidr } from '../shared/cidr.ts';
import { invalid, JobletError, messageOf, type Problem } from '../shared/errors.ts';
import { nearest } from '../shared/nearest.ts';
import { type Part, type Path, parseYamlText } from '../shared/yaml-text.ts';
import { alertKeys, checkRules } from './alert-rules.ts';
import {
  FORBIDDEN_VARIABLE,
  overrides,
  refusals,
  sections,
  type Values,
  valuesSchema,
} from './config-keys.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the parts of the daemon read: times in milliseconds, sizes in bytes. */
export type Config = Readonly<ReturnType<typeof toConfig>>;

/** Where the file is looked for when nobody names it; the first that exists is taken. */
export const searchPaths = [
  '/opt/joblet/config/joblet-config.yml',
  'config/joblet-config.yml',
  'joblet-config.yml',
  '/etc/joblet/joblet-config.yml',
  '/opt/joblet/joblet-config.yml',
] as const;

const VERSION = 3;
/** The key that signs runtimes, in the state directory unless another one is named. */
const SIGNING_KEY = 'runtime-signing-key.pem';
const MAX_FILE_BYTES = 1024 ** 2;
/** Problems that are named; nobody mends more at once. */
const MAX_PROBLEMS = 100;

/**
 * Reads and checks a configuration, with certificates from `certs/` beside it where it holds none.
 * Throws `not-found` without a file, and `invalid` with every problem it has.
 */
export function loadConfig(file: string | undefined, environment: Environment): Config {
  return withCertificates(loadSettings(file, environment));
}

/** The same for whoever needs no certificates: those that the file does not hold stay empty. */
export function loadSettings(file: string | undefined, environment: Environment): Config {
  const read = readConfig(file, environment);
  return toConfig(read.values, read.file);
}

/** The same in the spelling of the file, and without a look at `certs/`. */
export function readConfig(
  file: string | undefined,
  environment: Environment,
): { readonly file: string; readonly values: Values } {
  const found = findConfig(file, environment);
  let text: string;
  try {
    text = readFileSync(found, 'utf8');
  } catch (cause) {
    const message = `the configuration ${found} cannot be read: ${messageOf(cause)}`;
    throw new JobletError('not-found', message, { about: found, cause });
  }
  return { file: found, values: parseValues(text, found, environment) };
}

/** The file that counts: the named one, else JOBLET_CONFIG_PATH, else the first that exists. */
function findConfig(file: string | undefined, environment: Environment): string {
  const named = file ?? environment['JOBLET_CONFIG_PATH'];
  const found = named || searchPaths.find((candidate) => existsSync(candidate));
  if (found !== undefined) return path.resolve(found);
  throw new JobletError(
    'not-found',
    `no configuration was found in ${searchPaths.join(', ')}; make one with \`joblet certs init\`, or name it with --config`,
  );
}

/**
 * Checks the text of a configuration. Certificates that it does not hold stay empty. Throws `invalid`
 * with all problems; the field of each is `file:line:column`, or the variable that was wrong.
 */
export function parseConfig(text: string, file: string, environment: Environment = {}): Config {
  return toConfig(parseValues(text, file, environment), file);
}

function parseValues(text: string, file: string, environment: Environment): Values {
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    throw invalid([{ field: file, message: `is larger than ${MAX_FILE_BYTES} bytes` }]);
  }
  const { root, repeated, placeOf } = parseYamlText(text, file);
  const problems: Problem[] = [...repeated];
  const tree = toTree(root);
  const fromEnvironment = applyOverrides(tree, environment, problems);
  const report: Report = (at, part, message) => {
    // To find the place of each takes as long as the file is.
    if (problems.length >= MAX_PROBLEMS) return;
    const field = fromEnvironment.get(at.slice(0, 2).join('.')) ?? placeOf(at, part);
    problems.push({ field, message: `${at.join('.')}: ${message}` });
  };

  if (tree === undefined) {
    throw invalid([
      ...problems,
      { field: placeOf([], 'value'), message: 'must be a map of sections' },
    ]);
  }
  const { version = VERSION, ...rest } = tree;
  if (Math.floor(Number(version)) !== VERSION) {
    report(['version'], 'value', `must be "${VERSION}.0", the version of this layout`);
  }
  dropRefused(rest, report);
  const result = valuesSchema.safeParse(rest);
  for (const issue of result.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      for (const word of issue.keys) {
        report([...issue.path, word], 'key', unknownKey(issue.path, word));
      }
    } else {
      report(issue.path, 'value', issue.message);
    }
  }
  if (result.success) checkTogether(result.data, report);
  if (!result.success || problems.length > 0) throw invalid(problems);
  return result.data;
}

/** Two levels of plain maps, sections without content being empty; undefined for anything else. */
function toTree(value: unknown): Record<string, unknown> | undefined {
  if (value === null || value === undefined) return {};
  if (!isRecord(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).map(([name, section]) => [
      name,
      section === null ? {} : isRecord(section) ? { ...section } : section,
    ]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Sets what the environment says; the answer maps each key to the variable that set it. */
function applyOverrides(
  tree: Record<string, unknown> | undefined,
  environment: Environment,
  problems: Problem[],
): Map<string, string> {
  const set = new Map<string, string>();
  const forbidden = environment[FORBIDDEN_VARIABLE] ?? '';
  if (!['', '0', 'false'].includes(forbidden)) {
    const message = 'isolation is never off; unset this variable';
    problems.push({ field: FORBIDDEN_VARIABLE, message });
  }
  for (const [variable, override] of Object.entries(overrides)) {
    const text = environment[variable] ?? '';
    if (text === '' || tree === undefined) continue;
    const [name, word] = override.path;
    // A section that only the environment speaks of has no place in the file.
    if (!Object.hasOwn(tree, name)) set.set(name, variable);
    tree[name] ??= {};
    const section = tree[name];
    if (!isRecord(section)) continue;
    section[word] = override.isNumber && /^\d+$/.test(text) ? Number(text) : text;
    set.set(override.path.join('.'), variable);
  }
  return set;
}

type Report = (at: Path, part: Part, message: string) => void;

/** Takes the keys of other versions out, reporting those that ask for what is not so. */
function dropRefused(tree: Record<string, unknown>, report: Report): void {
  for (const [dotted, { because, only }] of Object.entries(refusals)) {
    const [name = '', word] = dotted.split('.');
    const holder = word === undefined ? tree : tree[name];
    const last = word ?? name;
    if (!isRecord(holder) || !Object.hasOwn(holder, last)) continue;
    const value = holder[last];
    delete holder[last];
    const isEmptied = word === undefined && isRecord(value) && Object.keys(value).length === 0;
    if (isEmptied || (only !== undefined && String(value) === String(only))) continue;
    const otherwise = only === undefined ? '' : `, and only ${String(only)} is accepted`;
    report(dotted.split('.'), 'key', `is not offered because ${because}${otherwise}; remove it`);
  }
}

/** What is wrong with a key that nobody knows. */
function unknownKey(section: Path, word: string): string {
  const known = section.length === 0 ? Object.keys(sections) : Object.keys(sectionOf(section));
  const guess = nearest(word, known);
  if (guess !== undefined) return `is not known; did you mean ${guess}?`;
  return `is not known; known here are ${known.join(', ')}`;
}

function sectionOf([name, list]: Path): object {
  if (list !== undefined) return alertKeys[String(list)] ?? {};
  return Object.hasOwn(sections, String(name)) ? sections[name as keyof typeof sections] : {};
}

/** Kernels up to 6.x take no larger id as an option of a mount. */
const ID_LIMIT = 2 ** 31;
const IDS_PER_RANGE = 65_536;

const bounds = [
  ['minCpuLimit', 'maxCpuLimit'],
  ['minMemoryLimit', 'maxMemoryLimit'],
  ['minIoLimit', 'maxIoLimit'],
  ['minCpuLimit', 'maxTotalCpu'],
  ['defaultCpuLimit', 'maxTotalCpu'],
  ['minMemoryLimit', 'maxTotalMemory'],
  ['defaultMemoryLimit', 'maxTotalMemory'],
] as const;

/** Problems that lie between keys. */
function checkTogether({ joblet, archive, alerts, logs }: Values, report: Report): void {
  for (const { path: below, message } of checkRules(alerts.rules, alerts.targets)) {
    report(['alerts', ...below], 'value', message);
  }
  const needed = { none: undefined, local: 'directory', s3: 'bucket' } as const;
  const word = needed[archive.type];
  if (word !== undefined && archive[word] === '') {
    report(['archive', 'type'], 'value', `${archive.type} needs archive.${word}`);
  }
  if (archive.directory !== '' && isWithin(archive.directory, logs.directory)) {
    const message =
      'lies in logs.directory, where jobs write; use another one, best on another disk';
    report(['archive', 'directory'], 'value', message);
  }
  for (const [least, most] of bounds) {
    if (joblet[most] !== 0 && joblet[least] > joblet[most]) {
      report(['joblet', least], 'value', `is more than joblet.${most}; no job could meet both`);
    }
  }
  if (joblet.idRangeFirst + joblet.idRanges * IDS_PER_RANGE > ID_LIMIT) {
    const message = `${joblet.idRanges} ranges from ${joblet.idRangeFirst} go past ${ID_LIMIT}, the last id that every kernel takes; use fewer`;
    report(['joblet', 'idRanges'], 'value', message);
  }
}

function isWithin(directory: string, other: string): boolean {
  return !path.relative(other, directory).startsWith('..');
}

/** The file of the key that signs runtimes. */
function signingKeyOf({ runtime, state }: Pick<Values, 'runtime' | 'state'>): string {
  return runtime.signingKey || path.join(state.path, SIGNING_KEY);
}

/** From the spelling of the file to the spelling of the code. */
function toConfig(values: Values, file: string) {
  const { server, security, joblet, cgroup, filesystem, volumes, grpc, logging } = values;
  return {
    /** The file all this was read from. */
    file,
    server,
    security: {
      ...security,
      revokedFile: security.revokedFile || path.join(path.dirname(file), 'revoked'),
    },
    joblet: {
      defaultCpuLimitPercent: joblet.defaultCpuLimit,
      defaultMemoryLimitBytes: joblet.defaultMemoryLimit,
      defaultIoLimitBps: joblet.defaultIoLimit,
      defaultProcessLimit: joblet.defaultProcessLimit,
      minCpuLimitPercent: joblet.minCpuLimit,
      maxCpuLimitPercent: joblet.maxCpuLimit,
      minMemoryLimitBytes: joblet.minMemoryLimit,
      maxMemoryLimitBytes: joblet.maxMemoryLimit,
      minIoLimitBps: joblet.minIoLimit,
      maxIoLimitBps: joblet.maxIoLimit,
      maxConcurrentJobs: joblet.maxConcurrentJobs,
      maxTotalCpuPercent: joblet.maxTotalCpu,
      maxTotalMemoryBytes: joblet.maxTotalMemory,
      maxWaitingJobs: joblet.maxWaitingJobs,
      jobTimeoutMs: joblet.jobTimeout,
      cleanupTimeoutMs: joblet.cleanupTimeout,
      graceMs: cgroup.cleanupTimeout,
      idRangeFirst: joblet.idRangeFirst,
      idRanges: joblet.idRanges,
      validateCommands: joblet.validateCommands,
    },
    cgroup: { baseDir: cgroup.baseDir },
    filesystem: {
      baseDir: filesystem.baseDir,
      tmpBytes: filesystem.tmpBytes,
      shmBytes: filesystem.shmBytes,
      minFreeBytes: filesystem.minFreeBytes,
      keepWorkMs: filesystem.keepWork,
      keptWorkBytes: filesystem.keptWorkBytes,
      workBytes: volumes.default_disk_quota_bytes,
      allowedMounts: filesystem.allowedMounts,
    },
    grpc: {
      maxRecvBytes: grpc.maxRecvMsgSize,
      maxSendBytes: grpc.maxSendMsgSize,
      maxHeaderBytes: grpc.maxHeaderListSize,
      keepAliveMs: grpc.keepAliveTime,
      keepAliveTimeoutMs: grpc.keepAliveTimeout,
      maxConcurrentStreams: grpc.maxConcurrentStreams,
      maxConnectionsPerClient: grpc.maxConnectionsPerClient,
      maxCallsPerClient: grpc.maxCallsPerClient,
      maxHandshakesPerAddress: grpc.maxHandshakesPerAddress,
      connectionTimeoutMs: grpc.connectionTimeout,
      maxConnectionIdleMs: grpc.maxConnectionIdle,
      maxConnectionAgeMs: grpc.maxConnectionAge,
      maxConnectionAgeGraceMs: grpc.maxConnectionAgeGrace,
    },
    web: values.web,
    logging,
    runtimes: {
      directory: values.runtime.base_path,
      signingKey: signingKeyOf(values),
      trustedKeys: values.runtime.trustedKeys,
      registries: values.runtime.registries,
      registryCa: values.runtime.registryCa,
      requireSignatures: values.runtime.requireSignatures,
      specifications: values.runtime.specifications,
      aptSources: values.runtime.aptSources,
      maxBuilds: values.runtime.maxBuilds,
      buildBytes: values.runtime.buildBytes,
      buildMemoryBytes: values.runtime.buildMemory,
      buildProcesses: values.runtime.buildProcesses,
      buildTimeoutMs: values.runtime.buildTimeout,
      packageCacheBytes: values.runtime.packageCacheBytes,
      maxFiles: values.runtime.maxFiles,
      maxBytes: values.runtime.maxBytes,
    },
    network: {
      defaultNetwork: values.network.default_network,
      nameServers: values.network.nameServers,
      allowHost: values.network.allow_host,
      maxCustom: values.network.allow_custom_networks ? values.network.max_custom_networks : 0,
      cidrs: {
        isolated: rangeOf(values.network.isolatedCidr),
        bridge: rangeOf(values.network.bridgeCidr),
      },
    },
    state: values.state,
    archive: values.archive,
    alerts: { ...values.alerts, intervalMs: values.alerts.interval },
    gpu: {
      enabled: values.gpu.enabled,
      cudaPaths: values.gpu.cuda_paths,
      strategy: values.gpu.allocation_strategy,
    },
    audit: { maxRecords: values.audit.maxRecords, maxAgeMs: values.audit.maxAge },
    logs: {
      directory: values.logs.directory,
      segmentBytes: values.logs.segmentBytes,
      quotaBytes: values.logs.quotaBytes,
      sealAfterMs: values.logs.sealAfter,
      maxAgeMs: values.logs.retention,
      maxBytes: values.logs.retentionBytes,
    },
    monitoring: {
      intervalMs: values.monitoring.system_interval,
      cloudDetection: values.monitoring.cloud_detection,
    },
    jobMetrics: { intervalMs: values.job_metrics.default_sample_rate },
    run: values.run,
    uploads: { directory: filesystem.baseDir, ...values.uploads },
    volumes: {
      directory: volumes.base_path,
      defaultBytes: volumes.default_size_bytes,
      maxBytes: volumes.max_size_bytes,
      maxVolumes: volumes.max_volumes,
      maxMemoryBytes: volumes.max_memory_bytes || Math.floor(totalmem() / 4),
    },
  } as const;
}

/** A range of addresses; undefined lets one be found. */
function rangeOf(text: string): Cidr | undefined {
  const cidr = text === '' ? text : parseCidr(text);
  return typeof cidr === 'string' ? undefined : cidr;
}

const certificateFiles = {
  serverCert: 'server-cert.pem',
  serverKey: 'server-key.pem',
  caCert: 'ca-cert.pem',
} as const;

/** Fills in what lies in `certs/`, and checks that the key belongs to the certificate. */
function withCertificates(config: Config): Config {
  const problems: Problem[] = [];
  const security = { ...config.security };
  for (const [word, name] of Object.entries(certificateFiles)) {
    const part = word as keyof typeof certificateFiles;
    if (security[part] !== '') continue;
    const beside = path.join(path.dirname(config.file), 'certs', name);
    try {
      security[part] = readFileSync(beside, 'utf8');
    } catch (error) {
      const message = `security.${part} is missing, and ${beside} cannot be read (${messageOf(error)}); make certificates with \`joblet certs init\`, or a lost one anew with \`joblet certs rotate server\``;
      problems.push({ field: config.file, message });
    }
  }
  if (problems.length > 0) throw invalid(problems);
  try {
    const certificate = new X509Certificate(security.serverCert);
    const isPair = certificate.checkPrivateKey(createPrivateKey(security.serverKey));
    if (!isPair) throw new Error('the key belongs to another certificate');
  } catch (error) {
    const message = `security.serverCert and security.serverKey are no pair: ${messageOf(error)}`;
    throw invalid([{ field: config.file, message }]);
  }
  return { ...config, security };
}
