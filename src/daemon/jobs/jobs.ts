// The only owner of job state. A job is a row; every change is the row and its audit record in one
// transaction, and only then known to anybody.
//
//   run -> [SCHEDULED | PENDING] -> INITIALIZING -> RUNNING -> final
//
// A start is answered when the command was exec'd or could not be. An end comes from the keeper and
// is settled once; stop, timeout and the kernel's own kills all arrive by that one way.
//
// What is asked of jobs from outside is here; turns.ts, starts.ts, ends.ts and recovery.ts do it.

import { randomUUID } from 'node:crypto';
import { JobletError, messageOf, unnamed } from '../../shared/errors.ts';
import { isFinal } from '../../shared/job-state.ts';
import type { GivenGpu } from '../gpus/gpu.ts';
import { describeLimits } from '../linux/cgroup.ts';
import type { End } from '../linux/end-record.ts';
import { type Active, ActiveJobs, type Census } from './active.ts';
import { Ends } from './ends.ts';
import type { Identity, Job, JobKey, JobSpec, Limits } from './job.ts';
import type { JobQuery, ListedJob } from './job-lists.ts';
import { Keepers } from './keepers.ts';
import type { KeptWork } from './kept-work.ts';
import { Keys } from './keys.ts';
import { outcomeOf } from './outcome.ts';
import type { Turn } from './queue.ts';
import { Recovery } from './recovery.ts';
import type { Room } from './room.ts';
import { Starts } from './starts.ts';
import { timeoutFrom, timeoutUntil } from './timeouts.ts';
import { type Place, Turns, type TurnsParts } from './turns.ts';
import { keptNames, type Staged } from './uploads.ts';

export interface JobsParts extends TurnsParts {
  readonly kept: Pick<KeptWork, 'remove'>;
  readonly room: Room;
}

const NO_GPUS: readonly GivenGpu[] = [];

/** Jobs deleted before the event loop gets its turn. */
const DELETES_AT_ONCE = 50;

export class Jobs {
  readonly #parts: JobsParts;
  readonly #active: ActiveJobs;
  readonly #keys: Keys;
  readonly #keepers: Keepers;
  readonly #ends: Ends;
  readonly #starts: Starts;
  readonly #turns: Turns;
  readonly #recovery: Recovery;
  #isGoingOn = false;

  constructor(parts: JobsParts) {
    this.#parts = parts;
    const active = new ActiveJobs(parts);
    const keepers = new Keepers(parts);
    this.#active = active;
    this.#keepers = keepers;
    this.#keys = new Keys((owner, key) => parts.store.findByKey(owner, key));
    // An end makes room for the next start, and a start may have to be found out about.
    this.#ends = new Ends(parts, active, keepers, (id) => this.#turns.leave(id));
    this.#starts = new Starts(parts, active, keepers, this.#ends, (lost) =>
      this.#recovery.findOut(lost),
    );
    this.#turns = new Turns(parts, active, this.#ends, this.#starts);
    this.#recovery = new Recovery(parts, active, keepers, this.#ends, this.#starts, this.#turns);
  }

  /**
   * Accepts a job that is to be made once, however often it is asked for. Resolves as `run` does, or
   * with the job that is there already.
   */
  async runOnce(
    key: JobKey,
    uploadId: string,
    who: Identity,
    read: () => JobSpec,
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const { id, isNew } = await this.#keys.once(key, who, async () => this.run(read(), who, key));
    // What was sent ahead for it once more, nobody will use.
    if (!isNew) await this.#parts.uploads.drop(uploadId, who);
    return { job: this.get(id), isNew };
  }

  /** Accepts a job. Resolves when it runs, has ended, or waits for its time or its turn. */
  async run(spec: JobSpec, who: Identity, key?: JobKey): Promise<Job> {
    const { store, uploads, resources, room, clock } = this.#parts;
    this.goOn();
    room.check();
    // Said before there is a job of it; of one that waits nobody knows yet.
    if (spec.publish.length > 0 && spec.startAtMs === 0) await resources.checkPorts(spec.publish);
    const id = randomUUID();
    resources.takeVolumes(id, spec.volumes);
    let staged: Staged | undefined;
    let createdAtMs: number;
    let place: Place;
    try {
      // A job without files has its row in this very turn.
      if (spec.uploads.length > 0 || spec.uploadId !== '') {
        staged = await uploads.stage(id, spec.uploads, spec.uploadId, who);
      }
      createdAtMs = clock.now();
      place = this.#turns.arrive(id, spec, createdAtMs);
    } catch (error) {
      await resources.forget(id, undefined, staged !== undefined);
      throw error;
    }
    // Nothing is waited for from here until it is known: whose turn it is must be found.
    const { queuedAtMs, starts } = place;
    const job: Job = {
      id,
      spec: { ...spec, ...keptNames(staged?.names ?? []) },
      status: queuedAtMs === 0 ? 'SCHEDULED' : starts ? 'INITIALIZING' : 'PENDING',
      createdAtMs,
      queuedAtMs,
      startedAtMs: 0,
      endedAtMs: 0,
      timeout: starts ? timeoutFrom(spec, createdAtMs) : undefined,
      stoppedBy: '',
      outcome: undefined,
      usage: undefined,
      logBytes: 0,
      logDroppedBytes: 0,
    };
    const active = await this.#add(job, staged, who, key);
    // The row is made safe while the sandbox is being made; the answer waits for both.
    const started = starts ? this.#starts.start(active) : active.job;
    try {
      await store.durable();
    } catch (error) {
      await started;
      if (!active.settled) void this.stop(id, { force: true }, who).catch(() => {});
      throw error;
    }
    return started;
  }

  /** The job of an id or of a unique beginning of one. */
  get(idOrPrefix: string): Job {
    const { store } = this.#parts;
    this.goOn();
    const job = this.#active.find(idOrPrefix)?.job ?? store.find(idOrPrefix);
    if (job !== undefined) return job;
    const ids = /^[0-9a-f-]+$/i.test(idOrPrefix) ? store.idsByPrefix(idOrPrefix.toLowerCase()) : [];
    const [id, second] = ids;
    if (second !== undefined) {
      throw new JobletError(
        'invalid',
        `job id ${idOrPrefix} is ambiguous: it begins ${ids.join(' and ')}; give more of it`,
        { about: 'uuid' },
      );
    }
    const found = id === undefined ? undefined : (this.#active.find(id)?.job ?? store.find(id));
    if (found === undefined) {
      if (idOrPrefix === '') throw unnamed('uuid', 'the id of a job, or a beginning of one');
      throw new JobletError('not-found', `job not found: ${idOrPrefix}`, { about: 'uuid' });
    }
    return found;
  }

  /** Newest first. */
  query(query: JobQuery): ListedJob[] {
    this.goOn();
    return this.#parts.store.query(query).map((job) => this.#active.find(job.id)?.job ?? job);
  }

  /** The name of a job that has not ended; empty when it has none. */
  nameOf(id: string): string {
    return this.#active.find(id)?.job.spec.name ?? '';
  }

  /** The jobs that have not ended, as numbers. */
  census(): Census {
    return this.#active.census();
  }

  /** How many jobs are on a network, or wait for it. */
  countOn(network: string): number {
    let count = 0;
    for (const { job } of this.#active.all()) if (job.spec.network === network) count += 1;
    return count;
  }

  /** Whether a job has ended, or is not known. */
  isOver(id: string): boolean {
    const active = this.#active.find(id);
    return active === undefined || isFinal(active.job.status);
  }

  /** Those that have been started and have not ended. */
  *runningIds(): Generator<string> {
    for (const { job } of this.#active.all()) if (job.status === 'RUNNING') yield job.id;
  }

  /** How much output of an ended job was kept; 0 when it is not known. */
  keptBytes(id: string): number {
    return (this.#active.find(id)?.job ?? this.#parts.store.find(id))?.logBytes ?? 0;
  }

  /** How much output of an ended job was dropped. */
  droppedBytes(id: string): number {
    return (this.#active.find(id)?.job ?? this.#parts.store.find(id))?.logDroppedBytes ?? 0;
  }

  /** Ends a job: SIGTERM, then after the grace SIGKILL. Resolves with the job as it ended. */
  async stop(
    idOrPrefix: string,
    options: { readonly graceMs?: number; readonly force?: boolean },
    who: Identity,
  ): Promise<Job> {
    const { id } = this.get(idOrPrefix);
    const active = this.#active.find(id);
    if (active === undefined || isFinal(active.job.status)) {
      const { status } = this.get(id);
      throw new JobletError(
        'wrong-state',
        `job is not running: ${id} (current status: ${status})`,
        {
          about: 'uuid',
        },
      );
    }
    const withdrawn = this.#turns.withdraw(active, `stopped by ${who.name} before it ran`, who);
    if (withdrawn !== undefined) return withdrawn;
    const graceMs = options.force === true ? 0 : (options.graceMs ?? active.job.spec.graceMs);
    // It has ended by itself, and that is being recorded.
    if (active.settled) return active.over.promise;
    if (active.job.stoppedBy === '') active.job = { ...active.job, stoppedBy: who.name };
    const recorded = this.#active.markStop(active, graceMs, who);
    // Recorded first, so that a crash does not lose who it was. A job is stopped also where nothing
    // can be recorded any more; then the caller hears of that.
    await recorded.catch(() => {});
    if (active.launched) await this.#keepers.stop(active, graceMs);
    else active.stopGraceMs = graceMs;
    const [job] = await Promise.all([active.over.promise, recorded]);
    return job;
  }

  /** Lets a running job time out so long from now, instead of when it would have; 0 is never. */
  async extend(idOrPrefix: string, timeoutMs: number, who: Identity): Promise<Job> {
    const { store, clock } = this.#parts;
    const { id, status } = this.get(idOrPrefix);
    const active = this.#active.find(id);
    if (active === undefined || status !== 'RUNNING') {
      throw new JobletError(
        'wrong-state',
        `job is not running: ${id} (current status: ${status}); only a running job can be extended`,
        { about: 'uuid' },
      );
    }
    const link = await this.#keepers.linkOf(active);
    const atMs = clock.now() + timeoutMs;
    const isMoved = await link?.moveTimeout(timeoutMs);
    if (isMoved !== true || active.settled) {
      throw new JobletError('wrong-state', `job is ending already: ${id}`, { about: 'uuid' });
    }
    const { job } = active;
    const timeout = timeoutMs === 0 ? undefined : timeoutUntil(job, atMs);
    active.job = { ...job, timeout };
    const words = timeout === undefined ? 'no timeout' : `until ${new Date(atMs).toISOString()}`;
    await this.#active.mark(active, 'job.extend', words, who);
    await store.durable();
    return active.job;
  }

  /** Takes back a job that waits for its time. */
  async cancel(idOrPrefix: string, who: Identity): Promise<Job> {
    const { id, status } = this.get(idOrPrefix);
    const active = this.#active.find(id);
    const withdrawn = active && this.#turns.withdraw(active, `canceled by ${who.name}`, who);
    if (withdrawn === undefined) {
      throw new JobletError(
        'wrong-state',
        `job is not scheduled: ${id} (current status: ${status}); a running job is ended by stop`,
        { about: 'uuid' },
      );
    }
    return withdrawn;
  }

  /** Deletes an ended job with its log. */
  async delete(idOrPrefix: string, who: Identity): Promise<Job> {
    const job = this.get(idOrPrefix);
    if (this.#active.has(job.id) || !isFinal(job.status)) {
      throw new JobletError(
        'wrong-state',
        `cannot delete job ${job.id}: it is ${job.status} - stop the job first`,
        { about: 'uuid' },
      );
    }
    await this.#remove([job.id], who);
    return job;
  }

  /** Deletes all ended jobs with their logs. */
  async deleteAll(who: Identity): Promise<{ deleted: number; skipped: number }> {
    const ids = this.#parts.store.finishedIds().filter((id) => !this.#active.has(id));
    for (let at = 0; at < ids.length; at += DELETES_AT_ONCE) {
      await this.#remove(ids.slice(at, at + DELETES_AT_ONCE), who);
    }
    return { deleted: ids.length, skipped: this.#active.size };
  }

  /** Resolves when the job has ended. */
  async wait(idOrPrefix: string, signal: AbortSignal): Promise<Job> {
    const job = this.get(idOrPrefix);
    const active = this.#active.find(job.id);
    if (active === undefined) return job;
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([active.over.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** The standard input of a running job that was started with one. */
  async input(
    idOrPrefix: string,
    signal: AbortSignal,
    who: Identity,
  ): Promise<{ write(data: Uint8Array): Promise<void>; end(): Promise<void> }> {
    const { store, clock } = this.#parts;
    const { id, spec } = this.get(idOrPrefix);
    if (!spec.stdin) {
      throw new JobletError('wrong-state', `job ${id} was started without standard input`);
    }
    const link = await this.#keepers.feed(id, this.#active.find(id), signal);
    try {
      await store.act(id, 'job.input', '', clock.now(), who);
    } catch (error) {
      link.close();
      throw error;
    }
    return {
      write: (data) => link.input(data),
      end: async () => link.endInput(),
    };
  }

  /** The limits of a job as sentences, with what keeps them. */
  limitsInForce(job: Job): string[] {
    // It may have run on another host, or before this one was set up anew.
    const layout = this.#parts.store.sandboxOf(job.id)?.cgroups ?? this.#parts.cgroups;
    return describeLimits(layout, job.spec.limits);
  }

  /** The GPUs that a job has, or had. */
  gpusOf({ id, spec }: Pick<Job, 'id' | 'spec'>): readonly GivenGpu[] {
    if (spec.gpus === undefined) return NO_GPUS;
    const { gpus, store } = this.#parts;
    const own = gpus.pool.of(id);
    return own.length > 0 ? own : (store.sandboxOf(id)?.gpus ?? NO_GPUS);
  }

  /** Where a PENDING job stands; undefined when it does not wait for its turn. */
  turnOf(job: Pick<Job, 'id'>): Turn | undefined {
    return this.#turns.turnOf(job.id);
  }

  /** Takes over what an earlier daemon left: living jobs, ended ones, waiting ones. */
  recover(): Promise<void> {
    return this.#recovery.recover();
  }

  /** Readies what can be made ahead for the first jobs that ask for nothing but these limits. */
  prepare(limits: Limits): void {
    this.#starts.prepare(limits);
  }

  /** Ends jobs that run though the state does not know them: it was restored from before they came. */
  endStrangers(): Promise<void> {
    return this.#recovery.endStrangers();
  }

  /** Records nothing more; jobs run on, and the next daemon learns what became of them. */
  stopWatching(): void {
    this.#active.stopWatching();
    this.#turns.stop();
  }

  /** The launcher says that a job has ended. */
  ended(id: string, end: End): void {
    const active = this.#active.find(id);
    if (active === undefined || !this.#active.isWatched) return;
    if (active.launched) void this.#ends.settle(active, outcomeOf(end, active.job), end, false);
    else active.earlyEnd = end;
  }

  /** The launcher says that a job's keeper was killed, and the job with it. */
  gone(id: string): void {
    const active = this.#active.find(id);
    if (active !== undefined) void this.#recovery.keeperGone(active);
  }

  /** The launcher died. Its keepers live on; from now on they are listened to one by one. */
  launcherReplaced(): void {
    for (const active of this.#active.all()) {
      if (active.launched && !active.followed && !active.settled) {
        void this.#recovery.findOut(active);
      }
    }
  }

  /** Tries again what could not be recorded: something was written at last, or somebody asks. */
  goOn(): void {
    if (this.#isGoingOn || !this.#active.isWatched) return;
    if (this.#ends.unrecordedCount + this.#turns.heldCount === 0) return;
    this.#isGoingOn = true;
    const tries = [...this.#ends.recordAgain(), ...this.#turns.startAgain()];
    void Promise.allSettled(tries).then(() => {
      this.#isGoingOn = false;
    });
  }

  /** Writes the row of a new job, or leaves nothing of it. */
  async #add(
    job: Job,
    staged: Staged | undefined,
    who: Identity,
    key: JobKey | undefined,
  ): Promise<Active> {
    const { store, resources, bootId } = this.#parts;
    const starts = job.status === 'INITIALIZING';
    const idRange = starts ? resources.takeIdRange() : undefined;
    const row = { job, idRange, bootId: starts ? bootId : '' };
    // It is known from now on, so that its place counts for jobs which arrive meanwhile.
    const active = this.#active.enter(row, staged);
    try {
      const sandbox = starts ? this.#starts.sandboxOf(active) : undefined;
      active.recorded = store.add(row, sandbox, who, key);
      await active.recorded;
    } catch (cause) {
      this.#active.leave(job.id);
      await resources.forget(job.id, idRange, staged !== undefined);
      this.#turns.leave(job.id);
      throw new JobletError(
        'unavailable',
        `the job could not be recorded, so it was not started: ${messageOf(cause)}`,
        { cause },
      );
    }
    this.#active.say(job);
    return active;
  }

  /** Deletes jobs with their logs: none is left without the other, also when this stops half way. */
  async #remove(ids: readonly string[], who: Identity): Promise<void> {
    const { logs, store, kept, clock, log } = this.#parts;
    await Promise.all(ids.map((id) => logs.putAside(id)));
    try {
      await Promise.all(ids.map((id) => store.remove(id, clock.now(), who)));
    } catch (error) {
      await Promise.all(ids.map((id) => logs.bringBack(id)));
      throw error;
    }
    await store.durable();
    for (const jobId of ids) log.info('job deleted', { jobId });
    await Promise.all(ids.flatMap((id) => [logs.remove(id), kept.remove(id)]));
  }
}
