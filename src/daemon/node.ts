// The life of a node. Its parts (parts.ts) are made from what it remembers (state.ts), take up what an
// earlier daemon left, and are then reached from outside (ways-in.ts). What is started is stopped in
// reverse.

import { existsSync, rmSync } from 'node:fs';
import { JobletError, messageOf } from '../shared/errors.ts';
import type { Config } from './config.ts';
import type { Limits } from './jobs/job.ts';
import { readConditions, requireRights } from './linux/host-conditions.ts';
import type { Log } from './log.ts';
import { openParts, type Parts } from './parts.ts';
import { openState } from './state.ts';
import { Stops } from './stops.ts';
import { restoredFile } from './store/backup.ts';
import { faultOf } from './store/faults.ts';
import { tellOwner } from './store/owner.ts';
import { openWaysIn, type WaysIn } from './ways-in.ts';

export interface Node extends WaysIn {
  /** Also opens the file of the log again. */
  reload(): void;
  /** Answers no more; jobs run on. */
  stop(): Promise<void>;
}

/** Starts a node. Resolves when it answers calls; on any failure nothing of it stays. */
export async function startNode(config: Config, log: Log): Promise<Node> {
  const stops = new Stops();
  const stop = () => stops.run();
  try {
    return { ...(await start(config, log, stops)), stop };
  } catch (error) {
    await stop();
    const { path: file } = error as NodeJS.ErrnoException;
    throw file === undefined ? error : faultOf(error, file);
  }
}

async function start(config: Config, log: Log, stops: Stops): Promise<WaysIn> {
  requireLinux();
  const conditions = readConditions();
  requireRights(conditions);
  const state = await openState(config, log, stops, () => {
    parts.jobs.goOn();
    parts.workflows.goOn();
  });
  const parts: Parts = await openParts(config, state, conditions, log);
  await startSandboxes(parts, stops);
  await takeUp(config, parts, stops, log);
  const ways = await openWaysIn(config, parts, stops, log);
  // A start leaves as much as a burst does.
  parts.memory.used();
  tellOwner(config.state.path, `${config.server.address}:${ways.port}`);
  return { ...ways, reload: () => reload(ways, log) };
}

function requireLinux(): void {
  if (process.platform === 'linux') return;
  const message = `job execution requires Linux server (current: ${process.platform})`;
  throw new JobletError('unsupported', message);
}

/** Starts what makes sandboxes, and makes the host ready for them. */
async function startSandboxes(parts: Parts, stops: Stops): Promise<void> {
  const { memory, samples, launcher, cgroups, volumes, networks, gpus } = parts;
  stops.push(() => gpus.close());
  stops.push(() => memory.stop());
  stops.push(() => samples.stop());
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
}

/** Takes up what an earlier daemon left, and goes on from there. */
async function takeUp(config: Config, parts: Parts, stops: Stops, log: Log): Promise<void> {
  const { jobs, logKeeping, kept, store, workflows, schedules, archive, trees, builds } = parts;
  await endRestored(config, parts);
  workflows.load();
  await jobs.recover();
  stops.push(() => jobs.stopWatching());
  logKeeping.start();
  stops.push(() => logKeeping.stop());
  await kept.recover((id) => store.find(id));
  stops.push(() => kept.stop());
  await workflows.recover(schedules.ids());
  stops.push(() => workflows.stopWatching());
  await schedules.recover();
  stops.push(() => schedules.stop());
  archive?.start();
  stops.push(() => archive?.stop());
  await builds.recover();
  stops.push(() => builds.stop());
  // Behind the builds: what only an unfinished one had of the store is nobody's then.
  void trees.recover().catch((error) => {
    log.warn('what is left of unfinished runtimes stays', { why: messageOf(error) });
  });
  jobs.prepare(defaultLimitsOf(config));
}

/** The limits of a job that asks for none. */
function defaultLimitsOf({ joblet }: Config): Limits {
  return {
    cpuPercent: joblet.defaultCpuLimitPercent,
    memoryBytes: joblet.defaultMemoryLimitBytes,
    ioBps: joblet.defaultIoLimitBps,
    processes: joblet.defaultProcessLimit,
    cpuCores: '',
    workBytes: 0,
  };
}

/** Where the state was put back from a backup, jobs that came behind that backup end. */
async function endRestored(config: Config, { jobs, audit }: Parts): Promise<void> {
  const restored = restoredFile(config.state.path);
  if (!existsSync(restored)) return;
  await audit.record({ atMs: Date.now(), action: 'state.restored', result: 'ok' });
  await jobs.endStrangers();
  rmSync(restored);
}

function reload(ways: WaysIn, log: Log): void {
  try {
    // Also where the configuration is broken: whoever has moved the file counts on it.
    log.change();
  } catch (error) {
    log.error('the file of the log cannot be opened again', { why: messageOf(error) });
  }
  ways.reload();
}
