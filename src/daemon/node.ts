// The composition root: the only place that knows all parts of the daemon. Parts are started in the
// order written here and stopped in reverse.

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../shared/errors.ts';
import { openAlerts } from './alerts/open.ts';
import { Archive } from './archive/archive.ts';
import { openStore } from './archive/open.ts';
import { ArchiveRows } from './archive/rows.ts';
import { Audit } from './audit/audit.ts';
import type { BuildConfig } from './builder/build.ts';
import { Builds } from './builder/builds.ts';
import { DebCache } from './builder/deb-cache.ts';
import { type Config, loadConfig } from './config.ts';
import { listenControl } from './control.ts';
import { archiveRecord, followerFor } from './jobs/archive-record.ts';
import { Bells } from './jobs/bells.ts';
import { systemClock } from './jobs/due.ts';
import { JobFiles } from './jobs/files.ts';
import { IdRanges } from './jobs/id-ranges.ts';
import { Jobs } from './jobs/jobs.ts';
import { KeptWork } from './jobs/kept-work.ts';
import { LogKeeping } from './jobs/log-keeping.ts';
import { LogRows } from './jobs/log-rows.ts';
import { Logs } from './jobs/logs.ts';
import { hostnameOf } from './jobs/plan.ts';
import { Postures } from './jobs/postures.ts';
import type { Capacity } from './jobs/queue.ts';
import { Resources } from './jobs/resources.ts';
import { Retention } from './jobs/retention.ts';
import { Room } from './jobs/room.ts';
import { Sealing } from './jobs/sealing.ts';
import { JobStore } from './jobs/store.ts';
import { Uploads } from './jobs/uploads.ts';
import { readBootId } from './linux/boot.ts';
import { listDisks, openCgroups } from './linux/cgroup.ts';
import { CgroupSlots } from './linux/cgroup-slots.ts';
import { reserveOf } from './linux/disk.ts';
import { FlowSource } from './linux/flow-source.ts';
import { readConditions, requireConditions, requireRights } from './linux/host-conditions.ts';
import { HostNetwork } from './linux/host-network.ts';
import { hostRoot } from './linux/host-root.ts';
import { readHostSystem } from './linux/host-usage.ts';
import { keeperAddresses } from './linux/keeper-address.ts';
import { LAUNCH_BINARY } from './linux/launch-binary.ts';
import { Launcher } from './linux/launcher.ts';
import type { Log } from './log.ts';
import { Memory, ownHeap } from './memory.ts';
import { Networks } from './networks/networks.ts';
import { hostNameServers, Resolver } from './networks/resolver.ts';
import { NetworkStore } from './networks/store.ts';
import { CallJournal } from './rpc/call-journal.ts';
import { rules } from './rpc/roles.ts';
import { createRpc } from './rpc/server.ts';
import { openRuntimes } from './runtimes/open.ts';
import { Runtimes } from './runtimes/runtimes.ts';
import { Uses } from './runtimes/uses.ts';
import { restoredFile } from './store/backup.ts';
import { Db } from './store/db.ts';
import { assertTogether, makeWritable } from './store/directories.ts';
import { faultOf } from './store/faults.ts';
import { tellOwner } from './store/owner.ts';
import { CallCounts } from './telemetry/call-counts.ts';
import { type Cloud, detectCloud } from './telemetry/cloud.ts';
import { HostWatch } from './telemetry/host.ts';
import { JobCounts } from './telemetry/job-counts.ts';
import { JobTraces } from './telemetry/job-traces.ts';
import { Samples } from './telemetry/samples.ts';
import { findTracing } from './telemetry/tracing.ts';
import { version } from './version.ts';
import { VolumeStore } from './volumes/store.ts';
import { Volumes } from './volumes/volumes.ts';
import { isWebPath, openWeb } from './web/web.ts';
import { WorkflowFiles } from './workflows/files.ts';
import { RunVolumes } from './workflows/run-volumes.ts';
import { Schedules } from './workflows/schedules.ts';
import { Workflows } from './workflows/workflows.ts';

/** Room in a work directory beside the uploaded files. */
const WORK_ROOM_BYTES = 256 * 1024 * 1024;
/** Uploads up to this size lie in the job's memory; bigger ones on disk. */
const UPLOAD_IN_MEMORY_BYTES = 16 * 1024 * 1024;
/** Room that the disks of the state and of the logs must have for another job. */
const STATE_ROOM_BYTES = 1024 * 1024;
const LOG_ROOM_BYTES = 256 * 1024;

/** Id ranges that keep their cgroups: enough for the jobs that come and go at the same time. */
const CGROUPS_KEPT = 16;

/** Where the node is reached. */
interface Ports {
  readonly port: number;
  /** Undefined when there is none. */
  readonly webPort: number | undefined;
  /** Reads anew what counts at once of the configuration, and opens the file of the log again. */
  reload(): void;
}

export interface Node extends Ports {
  /** Answers no more; jobs run on. */
  stop(): Promise<void>;
}

/** Starts a node. Resolves when it answers calls; on any failure nothing of it stays. */
export async function startNode(config: Config, log: Log): Promise<Node> {
  const stops: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (let last = stops.pop(); last !== undefined; last = stops.pop()) await last();
  };
  try {
    return { ...(await start(config, log, stops)), stop };
  } catch (error) {
    await stop();
    const { path: file } = error as NodeJS.ErrnoException;
    throw file === undefined ? error : faultOf(error, file);
  }
}

async function start(
  config: Config,
  log: Log,
  stops: (() => Promise<void> | void)[],
): Promise<Ports> {
  if (process.platform !== 'linux') {
    throw new JobletError(
      'unsupported',
      `job execution requires Linux server (current: ${process.platform})`,
    );
  }
  const conditions = readConditions();
  requireRights(conditions);
  const work = path.join(config.run.directory, 'work');
  assertTogether(config.state.path, config.logs.directory);
  const places = [
    config.state.path,
    config.logs.directory,
    work,
    config.volumes.directory,
    config.runtimes.directory,
  ];
  for (const directory of places) makeWritable(directory);

  const db = new Db(config.state.path, {
    failed: (why) => log.error('the state cannot be written', { why }),
    recovered: () => {
      log.info('the state can be written again');
      jobs.goOn();
      workflows.goOn();
    },
    noticed: (what) => log.warn(what),
  });
  stops.push(() => db.close());
  tellOwner(config.state.path, '');
  const pidFile = path.join(config.run.directory, 'joblet.pid');
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o644 });

  const audit = new Audit(db, config.state.path, config.audit, log);
  stops.push(() => audit.stop());
  await audit.start(`version ${version.version}, pid ${process.pid}`);
  const store = new JobStore(db, audit);
  const logRows = new LogRows(db, audit);
  const volumeStore = new VolumeStore(db, audit);
  const idRanges = new IdRanges(config.joblet.idRangeFirst, config.joblet.idRanges);
  const layout = openCgroups(config.cgroup.baseDir);
  requireConditions(conditions, layout);
  const { directory } = config.volumes;
  const volumes = new Volumes(directory, config.volumes, volumeStore, log, layout.kind === 'v2');
  const cgroups = new CgroupSlots(layout, idRanges.lowest(CGROUPS_KEPT));
  const disks = listDisks();
  const { minFreeBytes } = config.filesystem;
  const uses = new Uses();
  const { catalogue, trees, installs } = openRuntimes(config.runtimes, minFreeBytes, uses);
  const uploads = new Uploads(config.uploads.directory, {
    ...config.uploads,
    reserveBytes: reserveOf(config.uploads.directory, minFreeBytes),
  });
  const addressOf = keeperAddresses(config.state.path);
  const bells = new Bells(addressOf);
  const archived = openStore(config.archive, process.env);
  const archive =
    archived &&
    new Archive({
      store: archived,
      rows: new ArchiveRows(db),
      directoryOf: (id) => logs.directoryOf(id),
      recordOf: (id) => archiveRecord(store.find(id), config.server.nodeId),
      settle: (id) => sealing.settle(id),
      clock: systemClock,
      log,
    });
  // Reading a log needs to know which jobs are over, and jobs need their logs: the question is asked
  // only when both are there.
  const logs = new Logs(
    config.logs.directory,
    bells,
    {
      isOver: (id) => jobs.isOver(id),
      keptBytes: (id) => jobs.keptBytes(id),
      droppedBytes: (id) => jobs.droppedBytes(id),
      whyRemoved: (id) => logRows.whyRemoved(id),
    },
    archive,
  );
  const memory = new Memory(systemClock, ownHeap(), log);
  stops.push(() => memory.stop());
  const launcher = new Launcher(
    LAUNCH_BINARY,
    {
      lockFile: path.join(config.state.path, 'launcher.lock'),
      claimed: layout.kind === 'v2' ? layout.base : layout.base.memory,
    },
    {
      ended: (id, end) => {
        memory.used();
        jobs.ended(id, end);
      },
      gone: (id) => jobs.gone(id),
      replaced: () => {
        networks.launcherReplaced();
        jobs.launcherReplaced();
      },
      detached: (key, unused, traffic) => networks.detached(key, unused, traffic),
    },
    log,
  );
  const samples = new Samples({
    layout,
    directoryOf: (id) => logs.directoryOf(id),
    textElsewhere: async (id, name) => archive?.textOf(id, name),
    intervalMs: config.jobMetrics.intervalMs,
    clock: systemClock,
    log,
  });
  stops.push(() => samples.stop());
  const runtimes = new Runtimes({
    catalogue,
    uses,
    hostRoot: hostRoot(config.filesystem.allowedMounts),
    forget: (key) => launcher.forget(key),
  });
  const networks = new Networks({
    config: {
      instance: config.state.path,
      defaultNetwork: config.network.defaultNetwork,
      cidrs: config.network.cidrs,
      maxCustom: config.network.maxCustom,
      allowHost: config.network.allowHost,
    },
    store: new NetworkStore(db, audit),
    port: launcher,
    host: new HostNetwork(config.run.directory),
    resolver: new Resolver(
      () =>
        config.network.nameServers.length > 0 ? config.network.nameServers : hostNameServers(),
      log,
    ),
    hostNameServers,
    flowSource: new FlowSource(LAUNCH_BINARY, log),
    directoryOf: (id) => logs.directoryOf(id),
    namesOf: (id) => [jobs.nameOf(id), hostnameOf(id), id],
    usersOf: (name) => jobs.countOn(name),
    sent: (id, traffic) => samples.sent(id, traffic),
    log,
  });
  const kept = new KeptWork(work, config.filesystem.keptWorkBytes, systemClock, log);
  const jobCounts = new JobCounts();
  const tracing = await findTracing();
  const traces = tracing && new JobTraces(tracing);
  const jobs = new Jobs({
    counts: traces === undefined ? jobCounts : traces.behind(jobCounts),
    config: {
      capacity: capacityOf(config),
      maxWaitingJobs: config.joblet.maxWaitingJobs,
      logSegmentBytes: config.logs.segmentBytes,
      logQuotaBytes: config.logs.quotaBytes,
      logReserveBytes: reserveOf(config.logs.directory, minFreeBytes),
      tmpBytes: config.filesystem.tmpBytes,
      shmBytes: config.filesystem.shmBytes,
      version: version.version,
    },
    store,
    resources: new Resources(idRanges, uploads, cgroups, volumes, networks, kept, work, {
      defaultBytes: config.filesystem.workBytes,
      roomBytes: WORK_ROOM_BYTES,
      inMemoryBytes: UPLOAD_IN_MEMORY_BYTES,
    }),
    uploads,
    kept,
    room: new Room([
      { directory: config.state.path, leastBytes: STATE_ROOM_BYTES },
      { directory: config.logs.directory, leastBytes: LOG_ROOM_BYTES },
    ]),
    logs,
    bells,
    samples,
    launcher: traces === undefined ? launcher : traces.around(launcher),
    cgroups: layout,
    disks,
    runtimes,
    addressOf,
    bootId: readBootId(),
    clock: systemClock,
    log,
  });
  const workflowFiles = new WorkflowFiles(
    uploads,
    path.join(config.uploads.directory, 'workflows'),
  );
  const workflows = new Workflows({
    db,
    audit,
    jobs,
    files: workflowFiles,
    volumes: new RunVolumes({
      volumes,
      workspaceBytes: config.volumes.defaultBytes,
      clock: systemClock,
      log,
    }),
    clock: systemClock,
    log,
  });
  store.tell(workflows);
  const sealing = new Sealing({
    directoryOf: (id) => logs.directoryOf(id),
    running: () => jobs.runningIds(),
    rows: logRows,
    log,
  });
  if (archive !== undefined) store.tell(followerFor(archive));
  const logKeeping = new LogKeeping({
    sealing,
    retention: new Retention({
      config: config.logs,
      rows: logRows,
      maySpare: async (id) => archive === undefined || archive.holds(id),
      discard: (id) => sealing.between(() => logs.discard(id)),
      clock: systemClock,
      log,
    }),
    everyMs: config.logs.sealAfterMs,
    clock: systemClock,
    log,
  });
  store.tell(logKeeping.follower);
  const schedules = new Schedules({
    db,
    audit,
    workflows,
    files: workflowFiles,
    clock: systemClock,
    log,
  });
  await launcher.start();
  stops.push(() => launcher.stop());
  // Not before the launcher has its turn: until then keepers of an earlier one may be making theirs.
  cgroups.open();
  stops.push(() => cgroups.close());
  // What a killed daemon was at with a volume has died with it by now.
  await volumes.recover();
  stops.push(() => volumes.close());
  networks.start();
  stops.push(() => networks.stop());
  const restored = restoredFile(config.state.path);
  if (existsSync(restored)) {
    await audit.record({ atMs: Date.now(), action: 'state.restored', result: 'ok' });
    await jobs.endStrangers();
    rmSync(restored);
  }
  workflows.load();
  await jobs.recover();
  stops.push(() => jobs.stopWatching());
  logKeeping.start();
  stops.push(() => logKeeping.stop());
  await kept.recover((id) => store.find(id));
  stops.push(() => kept.stop());
  const files = new JobFiles({
    get: (id) => jobs.get(id),
    store,
    kept,
    addressOf,
    bounds: config.uploads,
    clock: systemClock,
  });
  await workflows.recover(schedules.ids());
  stops.push(() => workflows.stopWatching());
  await schedules.recover();
  stops.push(() => schedules.stop());
  if (archive !== undefined) {
    archive.start();
    stops.push(() => archive.stop());
  }
  void trees.recover().catch((error) => {
    log.warn('what is left of unfinished runtimes stays', { why: messageOf(error) });
  });

  const builds = new Builds({
    config: buildConfigOf(config),
    jobs,
    logs,
    uploads,
    trees,
    catalogue,
    runtimes,
    audit,
    cache: new DebCache(
      path.join(config.runtimes.directory, '.packages'),
      config.runtimes.packageCacheBytes,
    ),
    env: process.env,
    log,
  });
  await builds.recover();
  stops.push(() => builds.stop());

  const postures = new Postures(store, layout, disks, addressOf);
  const copyTo = async (file: string) => {
    await db.copyTo(file);
    await audit.record({ atMs: Date.now(), action: 'state.copied', result: 'ok', detail: file });
    log.info('the state was copied', { file });
  };
  stops.push(await listenControl(config.run.directory, (question) => copyTo(question.copyTo)));
  const host = new HostWatch();
  host.start(config.monitoring.intervalMs);
  stops.push(() => host.stop());
  let cloud: Cloud | undefined;
  if (config.monitoring.cloudDetection) {
    void detectCloud().then((found) => {
      cloud = found;
    });
  }
  const callCounts = new CallCounts((method) => rules.has(method) || isWebPath(method));
  const journal = new CallJournal({ audit, memory, counts: callCounts, log });
  stops.push(() => journal.flush());
  const system = readHostSystem();
  const alerts = openAlerts({
    config: config.alerts,
    db,
    audit,
    host,
    samples,
    waiting: () => jobs.census().byStatus.get('PENDING') ?? 0,
    jobOf: (id) => {
      if (jobs.isOver(id)) return undefined;
      const { name, limits } = jobs.get(id).spec;
      return { name, memoryLimitBytes: limits.memoryBytes };
    },
    nameOf: (id) => store.find(id)?.spec.name ?? '',
    directories: places,
    certificates: () => {
      const { serverCert, caCert } = loadConfig(config.file, process.env).security;
      return { server: serverCert, ca: caCert };
    },
    nodeId: config.server.nodeId,
    clock: systemClock,
    log,
  });
  await alerts.start();
  stops.push(() => alerts.stop());
  const rpc = createRpc({
    alerts,
    jobs,
    logs,
    uploads,
    postures,
    samples,
    layoutKind: layout.kind,
    monitoring: {
      host,
      samples,
      system,
      cloud: () => cloud,
      volumesDirectory: config.volumes.directory,
      nodeId: config.server.nodeId,
    },
    audit,
    volumes,
    files,
    builds,
    workflows,
    schedules,
    networks,
    disks,
    journal,
    tracing,
    catalogue,
    trees,
    installs,
    uses,
    runtimes,
    config,
    log,
  });
  stops.push(() => rpc.stop());
  const port = await rpc.listen();
  const web = config.web.enabled
    ? await openWeb({
        config,
        journal,
        rpc,
        log: { jobs, logs },
        events: audit,
        metrics: {
          jobs,
          jobCounts,
          callCounts,
          samples,
          host,
          bootedAtMs: system.bootedAtMs,
          workflows,
          schedules,
          alerts,
          volumes,
          networks,
          catalogue,
          archive,
        },
      })
    : undefined;
  stops.push(async () => web?.stop());
  const reload = () => {
    try {
      // Also where the configuration is broken: whoever has moved the file counts on it.
      log.change();
    } catch (error) {
      log.error('the file of the log cannot be opened again', { why: messageOf(error) });
    }
    rpc.reload();
  };
  // A start leaves as much as a burst does.
  memory.used();
  tellOwner(config.state.path, `${config.server.address}:${port}`);
  return { port, webPort: web?.port, reload };
}

function buildConfigOf({ runtimes, filesystem }: Config): BuildConfig {
  return {
    directory: path.join(runtimes.directory, '.builds'),
    specifications: runtimes.specifications,
    allowedMounts: filesystem.allowedMounts,
    aptSources: runtimes.aptSources,
    maxBuilds: runtimes.maxBuilds,
    maxBytes: runtimes.buildBytes,
    memoryBytes: runtimes.buildMemoryBytes,
    processes: runtimes.buildProcesses,
    timeoutMs: runtimes.buildTimeoutMs,
    builtWith: `joblet ${version.version}`,
  };
}

/** What running jobs may hold together. Each of them needs a range of ids. */
function capacityOf({ joblet }: Config): Capacity {
  const { maxConcurrentJobs, idRanges, maxTotalCpuPercent, maxTotalMemoryBytes } = joblet;
  const isBounded = maxConcurrentJobs > 0 && maxConcurrentJobs <= idRanges;
  return {
    places: isBounded ? maxConcurrentJobs : idRanges,
    placesKey: isBounded ? 'joblet.maxConcurrentJobs' : 'joblet.idRanges',
    cpuPercent: maxTotalCpuPercent,
    memoryBytes: maxTotalMemoryBytes,
  };
}
