// The parts of a node, made from its configuration and what it remembers. Nothing of them runs yet.

import path from 'node:path';
import { openBuilds } from './builder/open.ts';
import type { Config } from './config.ts';
import type { Gpus } from './gpus/gpus.ts';
import { openGpus } from './gpus/open.ts';
import { Bells } from './jobs/bells.ts';
import { systemClock } from './jobs/due.ts';
import { JobFiles } from './jobs/files.ts';
import { IdRanges } from './jobs/id-ranges.ts';
import type { Jobs } from './jobs/jobs.ts';
import { KeptWork } from './jobs/kept-work.ts';
import { openJobs } from './jobs/open.ts';
import { openLogs } from './jobs/open-logs.ts';
import { hostnameOf } from './jobs/plan.ts';
import { Postures } from './jobs/postures.ts';
import { Uploads } from './jobs/uploads.ts';
import { listDisks, openCgroups } from './linux/cgroup.ts';
import { CgroupSlots } from './linux/cgroup-slots.ts';
import { reserveOf } from './linux/disk.ts';
import { type Conditions, requireConditions } from './linux/host-conditions.ts';
import { hostRoot } from './linux/host-root.ts';
import { keeperAddresses } from './linux/keeper-address.ts';
import { LAUNCH_BINARY } from './linux/launch-binary.ts';
import { Launcher, type LauncherEvents } from './linux/launcher.ts';
import type { Log } from './log.ts';
import { Memory, ownHeap } from './memory.ts';
import type { Networks } from './networks/networks.ts';
import { openNetworks } from './networks/open.ts';
import { NetworkStore } from './networks/store.ts';
import { openRuntimes } from './runtimes/open.ts';
import { Runtimes } from './runtimes/runtimes.ts';
import { Uses } from './runtimes/uses.ts';
import { type State, workDirectoryOf } from './state.ts';
import { JobCounts } from './telemetry/job-counts.ts';
import { JobTraces } from './telemetry/job-traces.ts';
import { Samples } from './telemetry/samples.ts';
import { findTracing } from './telemetry/tracing.ts';
import { VolumeStore } from './volumes/store.ts';
import { Volumes } from './volumes/volumes.ts';
import { openWorkflows } from './workflows/open.ts';

export type Parts = Awaited<ReturnType<typeof openParts>>;
type Supplies = ReturnType<typeof openSupplies> & { readonly gpus: Gpus };
type Execution = Awaited<ReturnType<typeof openExecution>>;

/** Id ranges that keep their cgroups: enough for the jobs that come and go at the same time. */
const CGROUPS_KEPT = 16;

/** @throws JobletError unavailable: this host, as it is set up, cannot keep what jobs are promised */
export async function openParts(config: Config, state: State, conditions: Conditions, log: Log) {
  const gpus = await openGpus(config, log);
  const supplies = { ...openSupplies(config, state, conditions, log), gpus };
  const execution = await openExecution(config, state, supplies, log);
  const work = openWork(config, state, supplies, execution, log);
  return { ...state, ...supplies, ...execution, ...work };
}

/** What jobs are given of the host and of what the operator has put there. */
function openSupplies(config: Config, { db, audit }: State, conditions: Conditions, log: Log) {
  const { joblet, volumes, runtimes, uploads } = config;
  const { minFreeBytes } = config.filesystem;
  const idRanges = new IdRanges(joblet.idRangeFirst, joblet.idRanges);
  const layout = openCgroups(config.cgroup.baseDir);
  requireConditions(conditions, layout);
  const uses = new Uses();
  const volumeStore = new VolumeStore(db, audit);
  const mayUseQuotas = layout.kind === 'v2';
  return {
    idRanges,
    layout,
    cgroups: new CgroupSlots(layout, idRanges.lowest(CGROUPS_KEPT)),
    disks: listDisks(),
    volumes: new Volumes(volumes.directory, volumes, volumeStore, log, mayUseQuotas),
    uses,
    ...openRuntimes(runtimes, minFreeBytes, uses),
    uploads: new Uploads(uploads.directory, {
      ...uploads,
      reserveBytes: reserveOf(uploads.directory, minFreeBytes),
    }),
    addressOf: keeperAddresses(config.state.path),
  };
}

/**
 * What runs jobs. Its parts need each other: reading a log needs to know which jobs are over, and jobs
 * need their logs. Such questions are functions, and asked only when all of them are there.
 */
async function openExecution(config: Config, state: State, supplies: Supplies, log: Log) {
  const clock = systemClock;
  const { layout, catalogue, uses, gpus } = supplies;
  const bells = new Bells(supplies.addressOf);
  const memory = new Memory(clock, ownHeap(), log);
  const launcher = openLauncher(config, supplies, log, () => ({ memory, jobs, networks }));
  const keeping = openLogs(config, { ...state, bells, jobs: () => jobs, clock, log });
  const { logs, archive } = keeping;
  const directoryOf = (id: string) => logs.directoryOf(id);
  const samples = new Samples({
    layout,
    directoryOf,
    textElsewhere: async (id, name) => archive?.textOf(id, name),
    gpusOf: async (id, pidsOf) => gpus.usageOf(gpus.pool.of(id), jobs.get(id).startedAtMs, pidsOf),
    intervalMs: config.jobMetrics.intervalMs,
    clock,
    log,
  });
  const runtimes = new Runtimes({
    catalogue,
    uses,
    hostRoot: hostRoot(config.filesystem.allowedMounts),
    forget: (key) => launcher.forget(key),
  });
  const networks = openNetworks(config, {
    store: new NetworkStore(state.db, state.audit),
    port: launcher,
    directoryOf,
    namesOf: (id) => [jobs.nameOf(id), hostnameOf(id), id],
    usersOf: (name) => jobs.countOn(name),
    sent: (id, traffic) => samples.sent(id, traffic),
    log,
  });
  const workDirectory = workDirectoryOf(config);
  const kept = new KeptWork(workDirectory, config.filesystem.keptWorkBytes, clock, log);
  const jobCounts = new JobCounts();
  const tracing = await findTracing(log);
  const traces = tracing && new JobTraces(tracing);
  const jobs = openJobs(config, {
    ...supplies,
    counts: traces?.behind(jobCounts) ?? jobCounts,
    launcher: traces?.around(launcher) ?? launcher,
    store: state.store,
    networks,
    kept,
    workDirectory,
    logs,
    bells,
    samples,
    runtimes,
    clock,
    log,
  });
  return {
    memory,
    launcher,
    ...keeping,
    samples,
    runtimes,
    networks,
    kept,
    jobCounts,
    tracing,
    jobs,
  };
}

/** What is made of jobs: workflows, builds, a look at their files and at what holds them. */
function openWork(
  config: Config,
  state: State,
  supplies: Supplies,
  execution: Execution,
  log: Log,
) {
  const clock = systemClock;
  const { db, audit, store } = state;
  const { uploads, volumes, trees, catalogue, layout, disks, addressOf } = supplies;
  const { jobs, logs, kept, runtimes } = execution;
  const workflows = openWorkflows(config, { db, audit, jobs, uploads, volumes, clock, log });
  for (const follower of [workflows.workflows, ...execution.followers]) store.tell(follower);
  return {
    ...workflows,
    builds: openBuilds(config, { jobs, logs, uploads, trees, catalogue, runtimes, audit, log }),
    files: new JobFiles({
      get: (id) => jobs.get(id),
      store,
      kept,
      addressOf,
      bounds: config.uploads,
      clock,
    }),
    postures: new Postures(store, layout, disks, addressOf),
  };
}

function openLauncher(
  config: Config,
  { layout }: Pick<Supplies, 'layout'>,
  log: Log,
  /** Who hears of it. */
  parts: () => { memory: Memory; jobs: Jobs; networks: Networks },
): Launcher {
  const places = {
    lockFile: path.join(config.state.path, 'launcher.lock'),
    claimed: layout.kind === 'v2' ? layout.base : layout.base.memory,
  };
  const events: LauncherEvents = {
    ended: (id, end) => {
      parts().memory.used();
      parts().jobs.ended(id, end);
    },
    gone: (id) => parts().jobs.gone(id),
    replaced: () => {
      parts().networks.launcherReplaced();
      parts().jobs.launcherReplaced();
    },
    detached: (key, unused, traffic) => parts().networks.detached(key, unused, traffic),
  };
  return new Launcher(LAUNCH_BINARY, places, events, log);
}
