// Everything that Prometheus gets to see, put together when it asks. Nothing is named by a job, so that
// there are as many series on a busy node as on a quiet one.

import { X509Certificate } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import type { Alerts } from '../alerts/alerts.ts';
import type { Archive } from '../archive/archive.ts';
import type { Credentials } from '../credentials.ts';
import type { Gpus, ListedGpu } from '../gpus/gpus.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { TICKS_PER_SECOND } from '../linux/host-usage.ts';
import { countDescriptors } from '../linux/own-process.ts';
import type { Networks } from '../networks/networks.ts';
import type { Catalogue } from '../runtimes/catalogue.ts';
import type { CallCounts } from '../telemetry/call-counts.ts';
import type { Family, Labels, Point } from '../telemetry/exposition.ts';
import type { HostWatch } from '../telemetry/host.ts';
import type { JobCounts } from '../telemetry/job-counts.ts';
import type { Samples } from '../telemetry/samples.ts';
import { version } from '../version.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { Schedules } from '../workflows/schedules.ts';
import type { Workflows } from '../workflows/workflows.ts';

export interface MetricsParts {
  readonly jobs: Pick<Jobs, 'census'>;
  readonly jobCounts: JobCounts;
  readonly callCounts: CallCounts;
  readonly samples: Pick<Samples, 'brief'>;
  readonly host: Pick<HostWatch, 'look'>;
  readonly bootedAtMs: number;
  readonly workflows: Pick<Workflows, 'census'>;
  readonly schedules: Pick<Schedules, 'list'>;
  readonly alerts: Pick<Alerts, 'firingCount'>;
  readonly volumes: Pick<Volumes, 'list'>;
  readonly networks: Pick<Networks, 'list'>;
  readonly catalogue: Pick<Catalogue, 'list'>;
  readonly gpus: Pick<Gpus, 'list'>;
  readonly archive: Pick<Archive, 'backlog' | 'isPaused'> | undefined;
  /** Connections of clients to the API. */
  readonly connectionCount: () => number;
  readonly credentials: () => Credentials;
  /** Directories of the daemon, by what they are for. */
  readonly directories: Readonly<Record<string, string>>;
}

/** States of jobs that have not ended; each has its line also when no job is in it. */
const openStatuses = ['PENDING', 'SCHEDULED', 'INITIALIZING', 'RUNNING'] as const;

/** Bridges of networks, and ends of links to jobs, which come and go with them. */
const JOB_LINK = /^(jl[0-9a-z]{4}|veth)/;

/** All metrics as they are now. */
export async function collectMetrics(parts: MetricsParts): Promise<Family[]> {
  const groups = await Promise.all([
    jobFamilies(parts),
    parts.jobCounts.families(),
    parts.callCounts.families(),
    usedFamilies(parts),
    archiveFamilies(parts),
    volumeFamilies(parts),
    gpuFamilies(parts),
    certificateFamilies(parts.credentials()),
    processFamilies(),
    hostFamilies(parts),
    diskFamilies(parts),
  ]);
  return groups.flat();
}

async function jobFamilies({ jobs, samples }: MetricsParts): Promise<Family[]> {
  const { byStatus, waitingSinceMs } = jobs.census();
  const running = [...(await samples.brief()).values()];
  const waitingMs = waitingSinceMs === 0 ? 0 : Math.max(0, Date.now() - waitingSinceMs);
  return [
    gauges(
      'joblet_jobs',
      'Jobs that have not ended, by status.',
      openStatuses.map((status) => [{ status }, byStatus.get(status) ?? 0]),
    ),
    gauge(
      'joblet_queue_oldest_seconds',
      'How long the job has waited that has waited for its turn for longest.',
      waitingMs / 1000,
    ),
    gauge(
      'joblet_jobs_memory_bytes',
      'Memory of all running jobs.',
      sumOf(running.map(({ memoryBytes }) => memoryBytes)),
    ),
    gauge(
      'joblet_jobs_tasks',
      'Processes and threads of all running jobs.',
      sumOf(running.map(({ tasks }) => tasks)),
    ),
  ];
}

function usedFamilies(parts: MetricsParts): Family[] {
  const workflows = parts.workflows.census();
  const schedules = parts.schedules.list();
  const paused = schedules.filter(({ isPaused }) => isPaused).length;
  return [
    gauges(
      'joblet_workflows',
      'Workflows that have not ended, by status.',
      (['PENDING', 'RUNNING'] as const).map((status) => [{ status }, workflows.get(status) ?? 0]),
    ),
    gauges('joblet_schedules', 'Schedules, by whether they are paused.', [
      [{ state: 'active' }, schedules.length - paused],
      [{ state: 'paused' }, paused],
    ]),
    gauge('joblet_alerts_firing', 'Alerts that fire.', parts.alerts.firingCount),
    gauge('joblet_runtimes', 'Runtimes that are installed.', parts.catalogue.list().length),
    gauges(
      'joblet_network_jobs',
      'Jobs that are on a network or wait for it.',
      parts.networks.list().map(({ name, jobCount }) => [{ network: name }, jobCount]),
    ),
    gauge('joblet_api_connections', 'Connections of clients to the API.', parts.connectionCount()),
  ];
}

/** Without an archive there is nothing to say of it. */
function archiveFamilies({ archive }: MetricsParts): Family[] {
  if (archive === undefined) return [];
  return [
    gauge(
      'joblet_archive_waiting_jobs',
      'Jobs that have to be brought into the archive, or removed from it.',
      archive.backlog,
    ),
    gauge(
      'joblet_archive_usable',
      'Whether the archive did its part the last time: 1, or 0 while it is left alone for a while.',
      archive.isPaused ? 0 : 1,
    ),
  ];
}

async function volumeFamilies({ volumes }: MetricsParts): Promise<Family[]> {
  const views = await volumes.list();
  return [
    gauges(
      'joblet_volume_size_bytes',
      'What a volume can hold.',
      views.map(({ name, bytes }) => [{ volume: name }, bytes]),
    ),
    gauges(
      'joblet_volume_used_bytes',
      'What a volume holds; there is none of one that cannot be mounted.',
      views.flatMap(({ name, usedBytes }) =>
        usedBytes === undefined ? [] : [[{ volume: name }, usedBytes] as const],
      ),
    ),
    gauges(
      'joblet_volume_healthy',
      'Whether a volume can be mounted and written: 1 or 0.',
      views.map(({ name, problem }) => [{ volume: name }, problem === '' ? 1 : 0]),
    ),
  ];
}

/** Nothing is said where there is none, nor while they do not answer. */
async function gpuFamilies({ gpus }: MetricsParts): Promise<Family[]> {
  const all = await gpus.list().catch(() => []);
  if (all.length === 0) return [];
  const of = (name: string, help: string, value: (gpu: ListedGpu) => number) =>
    gauges(
      name,
      help,
      all.map((gpu) => [{ gpu: String(gpu.usage.index), uuid: gpu.usage.uuid }, value(gpu)]),
    );
  return [
    of('joblet_gpu_allocated', 'Whether a job has a GPU: 1 or 0.', ({ jobId }) =>
      jobId === '' ? 0 : 1,
    ),
    of('joblet_gpu_usable', 'Whether jobs can have a GPU: 1 or 0.', ({ problem }) =>
      problem === '' ? 1 : 0,
    ),
    of('joblet_gpu_utilization_percent', 'Use of a GPU.', ({ usage }) => usage.utilization),
    of('joblet_gpu_memory_bytes', 'Memory of a GPU.', ({ usage }) => usage.memoryTotal),
    of('joblet_gpu_memory_used_bytes', 'What is in use of it.', ({ usage }) => usage.memoryUsed),
    of('joblet_gpu_temperature_celsius', 'How hot a GPU is.', ({ usage }) => usage.temperature),
    of('joblet_gpu_power_watts', 'What a GPU draws.', ({ usage }) => usage.powerDraw),
    of(
      'joblet_gpu_errors',
      "Errors of a GPU that the kernel's log holds (Xid).",
      ({ usage }) => usage.xidErrors,
    ),
  ];
}

function certificateFamilies({ serverCert, caCert, revoked }: Credentials): Family[] {
  const endOf = (pem: string) => Date.parse(new X509Certificate(pem).validTo) / 1000;
  return [
    gauges('joblet_certificate_expiry_seconds', 'When a certificate expires, since 1970.', [
      [{ certificate: 'server' }, endOf(serverCert)],
      [{ certificate: 'authority' }, endOf(caCert)],
    ]),
    gauge('joblet_certificates_revoked', 'Certificates that are revoked.', revoked.size),
  ];
}

function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const busyMs = performance.eventLoopUtilization().active;
  const build = {
    version: version.version,
    commit: version.gitCommit,
    node: process.versions.node,
  };
  return [
    gauges('joblet_build_info', 'Which daemon this is; always 1.', [[build, 1]]),
    gauge(
      'process_start_time_seconds',
      'When the daemon started, since 1970.',
      performance.timeOrigin / 1000,
    ),
    counter('process_cpu_seconds_total', 'Processor time of the daemon.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Memory of the daemon.', rss),
    gauge('process_open_fds', 'Descriptors that the daemon has open.', countDescriptors()),
    gauge('joblet_heap_bytes', "What the daemon's heap holds.", heapUsed),
    counter(
      'joblet_busy_seconds_total',
      "Time that the daemon's one thread was at work.",
      busyMs / 1000,
    ),
  ];
}

async function hostFamilies({ host, bootedAtMs }: MetricsParts): Promise<Family[]> {
  const { cpu, cores, load, memory, disks, interfaces, processes } = await host.look();
  const links = Object.entries(interfaces).filter(([name]) => !JOB_LINK.test(name));
  const ofMemory = (name: string) => memory.get(name) ?? 0;
  return [
    counters(
      'joblet_host_cpu_seconds_total',
      'Time of all processors of the host, by what they did.',
      Object.entries(cpu).map(([mode, ticks]) => [
        { mode: mode.toLowerCase() },
        ticks / TICKS_PER_SECOND,
      ]),
    ),
    gauge('joblet_host_cpus', 'Processors of the host.', cores.length),
    gauges('joblet_host_load', 'Load of the host over so many minutes.', [
      [{ minutes: '1' }, load[0]],
      [{ minutes: '5' }, load[1]],
      [{ minutes: '15' }, load[2]],
    ]),
    gauge('joblet_host_boot_time_seconds', 'When the host started, since 1970.', bootedAtMs / 1000),
    gauge('joblet_host_memory_bytes', 'Memory of the host.', ofMemory('MemTotal')),
    gauge(
      'joblet_host_memory_available_bytes',
      'Memory of the host that can be had.',
      ofMemory('MemAvailable'),
    ),
    gauge('joblet_host_swap_bytes', 'Swap of the host.', ofMemory('SwapTotal')),
    gauge('joblet_host_swap_free_bytes', 'Swap of the host that is free.', ofMemory('SwapFree')),
    gauge('joblet_host_processes', 'Processes of the host.', processes.length),
    counters(
      'joblet_host_disk_read_bytes_total',
      'What was read from a disk.',
      Object.entries(disks).map(([device, { readBytes }]) => [{ device }, readBytes]),
    ),
    counters(
      'joblet_host_disk_written_bytes_total',
      'What was written to a disk.',
      Object.entries(disks).map(([device, { writeBytes }]) => [{ device }, writeBytes]),
    ),
    counters(
      'joblet_host_disk_busy_seconds_total',
      'Time in which anything was under way with a disk.',
      Object.entries(disks).map(([device, { busyMs }]) => [{ device }, busyMs / 1000]),
    ),
    counters(
      'joblet_host_network_received_bytes_total',
      'What came in by an interface; those of jobs are left out.',
      links.map(([name, { rxBytes }]) => [{ interface: name }, rxBytes]),
    ),
    counters(
      'joblet_host_network_sent_bytes_total',
      'What went out by an interface; those of jobs are left out.',
      links.map(([name, { txBytes }]) => [{ interface: name }, txBytes]),
    ),
  ];
}

async function diskFamilies({ directories }: MetricsParts): Promise<Family[]> {
  const looks = Object.entries(directories).map(async ([directory, place]) => {
    const { blocks, bavail, bsize } = await statfs(place);
    return { labels: { directory }, sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
  });
  const disks = await Promise.all(looks);
  return [
    gauges(
      'joblet_disk_size_bytes',
      'Size of the disk that a directory of the daemon lies on.',
      disks.map(({ labels, sizeBytes }) => [labels, sizeBytes]),
    ),
    gauges(
      'joblet_disk_available_bytes',
      'What is free of it.',
      disks.map(({ labels, freeBytes }) => [labels, freeBytes]),
    ),
  ];
}

type Pair = readonly [labels: Labels, value: number];

const pointsOf = (pairs: readonly Pair[]): Point[] =>
  pairs.map(([labels, value]) => ({ labels, value }));

function gauges(name: string, help: string, pairs: readonly Pair[]): Family {
  return { name, help, type: 'gauge', points: pointsOf(pairs) };
}

function counters(name: string, help: string, pairs: readonly Pair[]): Family {
  return { name, help, type: 'counter', points: pointsOf(pairs) };
}

function gauge(name: string, help: string, value: number): Family {
  return gauges(name, help, [[{}, value]]);
}

function counter(name: string, help: string, value: number): Family {
  return counters(name, help, [[{}, value]]);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}
