// What became of jobs of which nobody speaks any more, because the launcher, an earlier daemon or the
// machine was killed. Keepers that live say it themselves; the others have left it in the log.

import { messageOf } from '../../shared/errors.ts';
import type { LostReason, Outcome } from '../../shared/job-state.ts';
import type { End } from '../linux/end-record.ts';
import type { KeeperLink } from '../linux/keeper.ts';
import { RESTORED_BOOT } from '../store/backup.ts';
import type { Active, ActiveJobs } from './active.ts';
import type { Ends } from './ends.ts';
import type { Job } from './job.ts';
import type { Keepers } from './keepers.ts';
import { outcomeOf } from './outcome.ts';
import type { Starts } from './starts.ts';
import type { JobRow } from './store.ts';
import { timeoutUntil } from './timeouts.ts';
import type { Turns, TurnsParts } from './turns.ts';

/** A job is handed over again only if it certainly never ran; what kills the launcher may do so again. */
const MAX_LAUNCHES = 5;

/** What hangs may not keep a daemon from its other jobs: so long its start waits for all keepers. */
const RECOVERY_MS = 2000;

/** The clocks of a daemon and a keeper differ by less; more says that a timeout was moved. */
const CLOCKS_DIFFER_MS = 1000;

export class Recovery {
  readonly #parts: TurnsParts;
  readonly #active: ActiveJobs;
  readonly #keepers: Keepers;
  readonly #ends: Ends;
  readonly #starts: Starts;
  readonly #turns: Turns;

  constructor(
    parts: TurnsParts,
    active: ActiveJobs,
    keepers: Keepers,
    ends: Ends,
    starts: Starts,
    turns: Turns,
  ) {
    this.#parts = parts;
    this.#active = active;
    this.#keepers = keepers;
    this.#ends = ends;
    this.#starts = starts;
    this.#turns = turns;
  }

  /** Takes over what an earlier daemon left: living jobs, ended ones, waiting ones. */
  async recover(): Promise<void> {
    const { store, resources, uploads, logs, clock } = this.#parts;
    const rows = store.unfinished();
    for (const { idRange, job } of rows) {
      if (idRange !== undefined) resources.retakeIdRange(idRange);
      resources.retakeVolumes(job.id, job.spec.volumes);
    }
    const known = new Set(rows.map((row) => row.job.id));
    resources.sweepNetworks(known);
    await uploads.sweep(known);
    await logs.recover((id) => store.find(id) !== undefined);
    const found = Promise.all(rows.map((row) => this.#recoverOne(row)));
    const late = Promise.withResolvers<void>();
    const disarm = clock.at(clock.now() + RECOVERY_MS, late.resolve);
    await Promise.race([found, late.promise]);
    disarm();
    this.#turns.startNext();
  }

  /** Ends jobs that run though the state does not know them: it was restored from before they came. */
  async endStrangers(): Promise<void> {
    const { store, logs, resources, clock, log } = this.#parts;
    for (const id of await logs.ids()) {
      if (store.find(id) !== undefined) continue;
      const link = await this.#keepers.connect(id);
      if (link === undefined) continue;
      log.warn('a job runs that the restored state does not know; it is ended', { jobId: id });
      link.stop(0);
      await link.ended;
      await store.strangerEnded(id, clock.now());
      link.seen();
      link.close();
      await resources.release(id, undefined, undefined, true);
    }
  }

  /**
   * Finds out about a job whose launch is decided by now: there is a keeper that listens, or it left
   * a log, or the command certainly never ran, and then it is started now. Resolves as a start does.
   */
  async findOut(active: Active): Promise<Job> {
    const { bootId, logs, resources } = this.#parts;
    const { id, status } = active.job;
    active.followed = true;
    // One of a restored state may run still.
    const here = active.bootId === bootId || active.bootId === RESTORED_BOOT;
    const link = here ? await this.#keepers.connect(id) : undefined;
    if (link !== undefined) this.#believeTimeout(active, link);
    const startedAtMs = await link?.started;
    if (startedAtMs !== undefined) {
      void link?.ended.then((end) => this.#afterKeeper(active, end, link));
      if (status !== 'RUNNING') return this.#starts.began(active, startedAtMs);
      this.#starts.meter(active);
      if (link !== undefined) void this.#goOnStopping(active, link);
      return active.job;
    }
    // There is none, or it went away again.
    if (!here || status === 'RUNNING' || logs.exists(id)) return this.keeperGone(active);
    if (active.launches >= MAX_LAUNCHES) {
      return this.#ends.refuse(active, 'keeper', 'joblet-launch', 'EPIPE');
    }
    active.followed = false;
    try {
      await resources.release(id, active.idRange, undefined, true);
    } catch (error) {
      return this.#ends.refuse(active, 'resources', messageOf(error), 'EBUSY');
    }
    return this.#starts.start(active);
  }

  /** A job has no keeper any more: its log says what became of it, or nobody knows. */
  keeperGone(active: Active): Promise<Job> {
    return this.#afterKeeper(active, undefined, undefined);
  }

  async #recoverOne(row: JobRow): Promise<void> {
    // Before anything is waited for, so that those of one rank come in their old order.
    this.#turns.comeBack(row.job);
    const active = this.#active.enter(row, undefined);
    const { id, status } = row.job;
    // It runs in the tree that it was started in, whatever lies there by now.
    if (row.job.spec.runtime !== '') {
      this.#parts.runtimes.holdTree(id, this.#parts.store.sandboxOf(id)?.tree ?? '');
    }
    // Whoever asked for its end may have had the record of that, and the keeper not heard of it.
    if (row.job.stoppedBy !== '') active.stopGraceMs = this.#parts.store.stopGraceOf(id);
    if (status !== 'SCHEDULED' && status !== 'PENDING') await this.findOut(active);
  }

  /** The keeper knows best: a timeout may have been moved by a daemon that died before it was recorded. */
  #believeTimeout(active: Active, { state }: KeeperLink): void {
    if (state.timeoutLeftMs === 0) return;
    const { job } = active;
    const atMs = this.#parts.clock.now() + state.timeoutLeftMs;
    if (Math.abs(atMs - (job.timeout?.atMs ?? 0)) <= CLOCKS_DIFFER_MS) return;
    active.job = { ...job, timeout: timeoutUntil(job, atMs) };
  }

  /** Tells the keeper of a job that runs of the stop that a daemon which died was asked for. */
  async #goOnStopping({ stopGraceMs }: Active, link: KeeperLink): Promise<void> {
    // A job that is ending already, because it was told so, has no timeout any more that could be moved.
    if (stopGraceMs !== undefined && (await link.moveTimeout(0))) link.stop(stopGraceMs);
  }

  /** Settles a job whose keeper is not heard through the launcher. */
  async #afterKeeper(
    active: Active,
    heard: End | undefined,
    link: KeeperLink | undefined,
  ): Promise<Job> {
    const { logs, bootId, log } = this.#parts;
    const { id } = active.job;
    if (!this.#active.isWatched) return active.job;
    const found = await logs.findEnd(id).catch((error: unknown) => {
      log.error('the log of a job cannot be read', { jobId: id, error: messageOf(error) });
      return { end: undefined, bytes: 0 };
    });
    const end = heard ?? found.end;
    if (!active.settled) active.job = { ...active.job, logBytes: found.bytes };
    // It was answered as running, perhaps, by a daemon that died before it had recorded so.
    if (!active.settled && active.job.status === 'INITIALIZING' && end && end.startedAtMs > 0) {
      this.#active.change(active, { status: 'RUNNING', startedAtMs: end.startedAtMs });
    }
    // It may have run, and nobody is left who knows it better.
    if (!active.settled && end === undefined && active.job.startedAtMs === 0) {
      active.job = { ...active.job, startedAtMs: logs.begunAtMs(id) };
    }
    const why = lostReason(active.bootId, bootId);
    const outcome: Outcome = end === undefined ? { how: 'lost', why } : outcomeOf(end, active.job);
    const job = await this.#ends.settle(active, outcome, end, true);
    link?.seen();
    link?.close();
    return job;
  }
}

/** Why nobody knows the end of a job that ran in one boot, in another. */
function lostReason(ranIn: string, now: string): LostReason {
  if (ranIn === RESTORED_BOOT) return 'STATE_RESTORED';
  return ranIn === now ? 'KEEPER_LOST' : 'NODE_RESTART';
}
