// The only owner of job state. A job is a row; every change is the row and its audit record in one
// transaction, and only then known to anybody.
//
//   run -> [SCHEDULED | PENDING] -> INITIALIZING -> RUNNING -> final
//
// A start is answered when the command was exec'd or could not be. An end comes from the keeper and
// is settled once; stop, timeout and the kernel's own kills all arrive by that one way.

import { randomUUID } from 'node:crypto';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { isFinal, type LostReason, type Outcome, viewOutcome } from '../../shared/job-state.ts';
import type { Action } from '../audit/record.ts';
import { type CgroupLayout, describeLimits } from '../linux/cgroup.ts';
import type { End } from '../linux/end-record.ts';
import type { Root } from '../linux/host-root.ts';
import { KeeperLink } from '../linux/keeper.ts';
import type { KeeperAddress } from '../linux/keeper-address.ts';
import type { Launched, LaunchPort } from '../linux/launcher.ts';
import type { Log } from '../log.ts';
import { RESTORED_BOOT } from '../store/backup.ts';
import type { Bells } from './bells.ts';
import { type Clock, Due } from './due.ts';
import type { Identity, Job, JobKey, JobSpec, Timeout } from './job.ts';
import { Keys } from './keys.ts';
import type { Logs } from './logs.ts';
import { outcomeOf } from './outcome.ts';
import { makePlan } from './plan.ts';
import type { Sandbox } from './posture.ts';
import { type Capacity, Queue, type Turn, type Waiting } from './queue.ts';
import type { Resources } from './resources.ts';
import type { Room } from './room.ts';
import type { JobQuery, JobRow, JobStore } from './store.ts';
import { keptNames, type Staged, type Uploads } from './uploads.ts';

export interface JobsConfig {
  /** What jobs that run at once may hold together. */
  readonly capacity: Capacity;
  /** Jobs that may wait for their turn or their time. */
  readonly maxWaitingJobs: number;
  readonly logSegmentBytes: number;
  readonly logQuotaBytes: number;
  /** What logs leave free of their disk. */
  readonly logReserveBytes: number;
  readonly tmpBytes: number;
  readonly shmBytes: number;
  /** Of this daemon; a job's posture says who started it. */
  readonly version: string;
}

export interface JobsParts {
  readonly config: JobsConfig;
  readonly store: JobStore;
  readonly resources: Resources;
  readonly uploads: Uploads;
  readonly room: Room;
  readonly logs: Logs;
  readonly bells: Bells;
  readonly launcher: LaunchPort;
  readonly cgroups: CgroupLayout;
  readonly disks: readonly string[];
  readonly root: Root;
  /** Where the keeper of a job listens. */
  readonly addressOf: (id: string) => KeeperAddress;
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A job that has not ended. */
interface Active {
  job: Job;
  idRange: number | undefined;
  bootId: string;
  staged: Staged | undefined;
  /** Set when a stop came before the command ran. */
  stopGraceMs: number | undefined;
  /** The connection to its keeper that stops and the like go by, while there is one. */
  link: Promise<KeeperLink | undefined> | undefined;
  /** The calls that feed its standard input. */
  readonly inputs: Set<AbortSignal>;
  /** An end that overtook the news of its start. */
  earlyEnd: End | undefined;
  /** Resolves when its row has been written. */
  recorded: Promise<void>;
  /** How often this daemon has handed it to the launcher. */
  launches: number;
  /** The start has been answered. */
  launched: boolean;
  /** Its keeper is heard by a connection of its own, not through the launcher. */
  followed: boolean;
  /** Its end is known and being recorded: no second one counts. */
  settled: boolean;
  readonly over: PromiseWithResolvers<Job>;
}

function waitingOf({
  id,
  spec,
  queuedAtMs,
}: Pick<Job, 'id' | 'queuedAtMs'> & { spec: Pick<JobSpec, 'priority' | 'limits'> }): Waiting {
  return { id, queuedAtMs, priority: spec.priority, limits: spec.limits };
}

/** Why nobody knows the end of a job that ran in one boot, in another. */
function lostReason(ranIn: string, now: string): LostReason {
  if (ranIn === RESTORED_BOOT) return 'STATE_RESTORED';
  return ranIn === now ? 'KEEPER_LOST' : 'NODE_RESTART';
}

function rowOf({ job, idRange, bootId }: Active): JobRow {
  return { job, idRange, bootId };
}

/** When a job times out whose start is requested now. */
function timeoutFrom(
  { timeoutMs }: Pick<JobSpec, 'timeoutMs'>,
  nowMs: number,
): Timeout | undefined {
  return timeoutMs === 0 ? undefined : { ms: timeoutMs, atMs: nowMs + timeoutMs };
}

/** When a job times out that may run until then. */
function timeoutUntil({ timeout, startedAtMs }: Job, atMs: number): Timeout {
  const requestedAtMs = timeout === undefined ? startedAtMs : timeout.atMs - timeout.ms;
  return { ms: atMs - requestedAtMs, atMs };
}

/** A job is handed over again only if it certainly never ran; what kills the launcher may do so again. */
const MAX_LAUNCHES = 5;

/** What hangs may not keep a daemon from its other jobs: so long its start waits for all keepers. */
const RECOVERY_MS = 2000;

/** Streams that feed one job at a time: a keeper serves few, and is to hear a stop as well. */
const MAX_INPUTS = 4;

/** The clocks of a daemon and a keeper differ by less; more says that a timeout was moved. */
const CLOCKS_DIFFER_MS = 1000;

/** An end that the state could not take yet. */
interface Unrecorded {
  readonly record: () => Promise<void>;
  readonly recorded: PromiseWithResolvers<void>;
}

/** Jobs deleted before the event loop gets its turn. */
const DELETES_AT_ONCE = 50;

export class Jobs {
  readonly #parts: JobsParts;
  readonly #active = new Map<string, Active>();
  readonly #queue: Queue;
  readonly #keys: Keys;
  readonly #due: Due;
  /** Ends that wait for the state to be written again, by job; their logs or keepers hold them. */
  readonly #unrecorded = new Map<string, Unrecorded>();
  /** Whose turn it was when their start could not be recorded. */
  readonly #held = new Set<Active>();
  #isGoingOn = false;
  #stopped = false;

  constructor(parts: JobsParts) {
    this.#parts = parts;
    this.#queue = new Queue(parts.config.capacity);
    this.#keys = new Keys((owner, key) => parts.store.findByKey(owner, key));
    this.#due = new Due(parts.clock, (id) => this.#startDue(id));
  }

  /**
   * Accepts a job that is to be made once, however often it is asked for. Resolves as `run` does, or
   * with the job that is there already.
   */
  async runOnce(
    key: JobKey,
    spec: JobSpec,
    who: Identity,
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const { id, isNew } = await this.#keys.once(key, who, () => this.run(spec, who, key));
    // What was sent ahead for it once more, nobody will use.
    if (!isNew) await this.#parts.uploads.drop(spec.uploadId, who);
    return { job: this.get(id), isNew };
  }

  /** Accepts a job. Resolves when it runs, has ended, or waits for its time or its turn. */
  async run(spec: JobSpec, who: Identity, key?: JobKey): Promise<Job> {
    const { store, uploads, room, clock } = this.#parts;
    this.goOn();
    room.check();
    const id = randomUUID();
    const staged = await uploads.stage(id, spec.uploads, spec.uploadId, who);
    const createdAtMs = clock.now();
    const isScheduled = spec.startAtMs > createdAtMs;
    const queuedAtMs = isScheduled ? 0 : this.#queue.timeOf(createdAtMs);
    if (isScheduled) this.#due.add(id, spec.startAtMs);
    else this.#queue.join(waitingOf({ id, spec, queuedAtMs }));
    // There is no room for any other of those that wait, so that it is this one or none.
    const starts = this.#queue.next() === id;
    if (!starts && this.#isCrowded()) {
      this.#due.remove(id);
      this.#queue.leave(id);
      await uploads.release(id);
      throw this.#tooMany();
    }
    const job: Job = {
      id,
      spec: { ...spec, ...keptNames(staged?.names ?? []) },
      status: isScheduled ? 'SCHEDULED' : starts ? 'INITIALIZING' : 'PENDING',
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
    const started = starts ? this.#start(active) : active.job;
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
    const job = this.#active.get(idOrPrefix)?.job ?? store.find(idOrPrefix);
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
    const found = id === undefined ? undefined : (this.#active.get(id)?.job ?? store.find(id));
    if (found === undefined) {
      throw new JobletError('not-found', `job not found: ${idOrPrefix}`, { about: 'uuid' });
    }
    return found;
  }

  /** Newest first. */
  query(query: JobQuery): Job[] {
    this.goOn();
    return this.#parts.store.query(query).map((job) => this.#active.get(job.id)?.job ?? job);
  }

  /** Whether a job has ended, or is not known. */
  isOver(id: string): boolean {
    const active = this.#active.get(id);
    return active === undefined || isFinal(active.job.status);
  }

  /** How much output of an ended job was kept; 0 when it is not known. */
  keptBytes(id: string): number {
    return (this.#active.get(id)?.job ?? this.#parts.store.find(id))?.logBytes ?? 0;
  }

  /** How much output of an ended job was dropped. */
  droppedBytes(id: string): number {
    return (this.#active.get(id)?.job ?? this.#parts.store.find(id))?.logDroppedBytes ?? 0;
  }

  /** Ends a job: SIGTERM, then after the grace SIGKILL. Resolves with the job as it ended. */
  async stop(
    idOrPrefix: string,
    options: { readonly graceMs?: number; readonly force?: boolean },
    who: Identity,
  ): Promise<Job> {
    const { id } = this.get(idOrPrefix);
    const active = this.#active.get(id);
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
    const withdrawn = this.#withdraw(active, `stopped by ${who.name} before it ran`, who);
    if (withdrawn !== undefined) return withdrawn;
    const graceMs = options.force === true ? 0 : (options.graceMs ?? active.job.spec.graceMs);
    // It has ended by itself, and that is being recorded.
    if (active.settled) return active.over.promise;
    if (active.job.stoppedBy === '') active.job = { ...active.job, stoppedBy: who.name };
    const recorded = this.#mark(active, 'job.stop', `grace ${graceMs} ms`, who);
    // Recorded first, so that a crash does not lose who it was. A job is stopped also where nothing
    // can be recorded any more; then the caller hears of that.
    await recorded.catch(() => {});
    if (active.launched) await this.#stopKeeper(active, graceMs);
    else active.stopGraceMs = graceMs;
    const [job] = await Promise.all([active.over.promise, recorded]);
    return job;
  }

  /** Lets a running job time out so long from now, instead of when it would have; 0 is never. */
  async extend(idOrPrefix: string, timeoutMs: number, who: Identity): Promise<Job> {
    const { store, clock } = this.#parts;
    const { id, status } = this.get(idOrPrefix);
    const active = this.#active.get(id);
    if (active === undefined || status !== 'RUNNING') {
      throw new JobletError(
        'wrong-state',
        `job is not running: ${id} (current status: ${status}); only a running job can be extended`,
        { about: 'uuid' },
      );
    }
    const link = await this.#linkOf(active);
    const atMs = clock.now() + timeoutMs;
    const isMoved = await link?.moveTimeout(timeoutMs);
    if (isMoved !== true || active.settled) {
      throw new JobletError('wrong-state', `job is ending already: ${id}`, { about: 'uuid' });
    }
    const { job } = active;
    const timeout = timeoutMs === 0 ? undefined : timeoutUntil(job, atMs);
    active.job = { ...job, timeout };
    const words = timeout === undefined ? 'no timeout' : `until ${new Date(atMs).toISOString()}`;
    await this.#mark(active, 'job.extend', words, who);
    await store.durable();
    return active.job;
  }

  /** Takes back a job that waits for its time. */
  async cancel(idOrPrefix: string, who: Identity): Promise<Job> {
    const { id, status } = this.get(idOrPrefix);
    const active = this.#active.get(id);
    const withdrawn = active && this.#withdraw(active, `canceled by ${who.name}`, who);
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
    const active = this.#active.get(job.id);
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
    const job = this.get(idOrPrefix);
    if (!job.spec.stdin) {
      throw new JobletError('wrong-state', `job ${job.id} was started without standard input`);
    }
    const inputs = this.#active.get(job.id)?.inputs ?? new Set();
    if (inputs.size >= MAX_INPUTS) {
      throw new JobletError(
        'exhausted',
        `${MAX_INPUTS} calls write to the standard input of job ${job.id} already; one is enough`,
      );
    }
    inputs.add(signal);
    signal.addEventListener('abort', () => inputs.delete(signal), { once: true });
    const link = await KeeperLink.connect(this.#parts.addressOf(job.id));
    if (link === undefined) {
      inputs.delete(signal);
      throw new JobletError('wrong-state', `job is not running: ${job.id}`, { about: 'uuid' });
    }
    signal.addEventListener('abort', () => link.close(), { once: true });
    try {
      await this.#act(job.id, 'job.input', '', who);
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
    return describeLimits(this.#parts.cgroups, job.spec.limits);
  }

  /** Where a PENDING job stands; undefined when it does not wait for its turn. */
  turnOf(job: Job): Turn | undefined {
    return this.#queue.turnOf(job.id);
  }

  /** Takes over what an earlier daemon left: living jobs, ended ones, waiting ones. */
  async recover(): Promise<void> {
    const { store, resources, uploads, logs, clock } = this.#parts;
    const rows = store.unfinished();
    for (const row of rows) if (row.idRange !== undefined) resources.retakeIdRange(row.idRange);
    await uploads.sweep(new Set(rows.map((row) => row.job.id)));
    await logs.recover((id) => store.find(id) !== undefined);
    const found = Promise.all(rows.map((row) => this.#recoverOne(row)));
    const late = Promise.withResolvers<void>();
    const disarm = clock.at(clock.now() + RECOVERY_MS, late.resolve);
    await Promise.race([found, late.promise]);
    disarm();
    this.#startNext();
  }

  /** Ends jobs that run though the state does not know them: it was restored from before they came. */
  async endStrangers(): Promise<void> {
    const { store, logs, resources, addressOf, clock, log } = this.#parts;
    for (const id of await logs.ids()) {
      if (store.find(id) !== undefined) continue;
      const link = await KeeperLink.connect(addressOf(id));
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

  /** Records nothing more; jobs run on, and the next daemon learns what became of them. */
  stopWatching(): void {
    this.#stopped = true;
    this.#due.stop();
  }

  /** The launcher says that a job has ended. */
  ended(id: string, end: End): void {
    const active = this.#active.get(id);
    if (active === undefined || this.#stopped) return;
    if (active.launched) void this.#settle(active, outcomeOf(end, active.job), end, false);
    else active.earlyEnd = end;
  }

  /** The launcher says that a job's keeper was killed, and the job with it. */
  gone(id: string): void {
    const active = this.#active.get(id);
    if (active !== undefined) void this.#afterKeeper(active, undefined, undefined);
  }

  /** The launcher died. Its keepers live on; from now on they are listened to one by one. */
  launcherReplaced(): void {
    for (const active of this.#active.values()) {
      if (active.launched && !active.followed && !active.settled) void this.#findOut(active);
    }
  }

  /** Whether more jobs wait than may. */
  #isCrowded(): boolean {
    return this.#queue.waitingCount + this.#due.size > this.#parts.config.maxWaitingJobs;
  }

  #tooMany(): JobletError {
    const { maxWaitingJobs } = this.#parts.config;
    return new JobletError(
      'exhausted',
      `${maxWaitingJobs} jobs wait already (joblet.maxWaitingJobs); try again when some have started, or take some back`,
    );
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
    const active = this.#enter(row, staged);
    try {
      const sandbox = starts ? this.#sandboxOf(active) : undefined;
      active.recorded = store.add(row, sandbox, who, key);
      await active.recorded;
    } catch (cause) {
      this.#active.delete(job.id);
      await resources.forget(job.id, idRange, staged !== undefined);
      this.#due.remove(job.id);
      this.#leaveQueue(job.id);
      throw new JobletError(
        'unavailable',
        `the job could not be recorded, so it was not started: ${messageOf(cause)}`,
        { cause },
      );
    }
    this.#say(job);
    return active;
  }

  #enter(row: JobRow, staged: Staged | undefined): Active {
    const active: Active = {
      job: row.job,
      idRange: row.idRange,
      bootId: row.bootId,
      staged,
      stopGraceMs: undefined,
      link: undefined,
      inputs: new Set(),
      earlyEnd: undefined,
      recorded: Promise.resolve(),
      launches: 0,
      launched: row.job.status === 'RUNNING',
      followed: false,
      settled: false,
      over: Promise.withResolvers<Job>(),
    };
    this.#active.set(row.job.id, active);
    return active;
  }

  #startDue(id: string): void {
    const active = this.#active.get(id);
    if (active === undefined) return;
    const { spec } = active.job;
    // Its time came when it was due, also where no daemon ran then.
    const queuedAtMs = spec.startAtMs;
    this.#queue.join(waitingOf({ id, spec, queuedAtMs }));
    this.#change(active, { status: 'PENDING', queuedAtMs });
    this.#startNext();
  }

  /** Gives back the place of a job, and starts those that waited for it. */
  #leaveQueue(id: string): void {
    this.#queue.leave(id);
    this.#startNext();
  }

  /** Starts jobs that wait, in their order, while there is room. */
  #startNext(): void {
    for (let id = this.#queue.next(); id !== undefined; id = this.#queue.next()) {
      const active = this.#active.get(id);
      if (active !== undefined) void this.#startWaiting(active);
    }
  }

  /** Starts a job that has waited: its row says so before there is anything to be lost. */
  async #startWaiting(active: Active): Promise<void> {
    const { store, resources, uploads, bootId, clock } = this.#parts;
    const { id, spec } = active.job;
    const timeout = timeoutFrom(spec, clock.now());
    active.job = { ...active.job, status: 'INITIALIZING', timeout };
    try {
      await active.recorded;
      // A job that was found again has files that an earlier daemon staged.
      active.staged ??= await uploads.restage(id, spec.uploads);
      active.idRange ??= resources.takeIdRange();
    } catch (error) {
      await this.#refuse(active, 'uploads', messageOf(error), 'EIO');
      return;
    }
    active.bootId = bootId;
    try {
      await store.start(rowOf(active), this.#sandboxOf(active), clock.now());
      // It was acknowledged before: after a power cut its row must not say that it still waits.
      await store.durable();
    } catch {
      // It has waited so far, and waits on for the state, in its place.
      active.job = { ...active.job, status: 'PENDING', timeout: undefined };
      this.#held.add(active);
      return;
    }
    this.#say(active.job);
    await this.#start(active);
  }

  /** What the sandbox of a job that starts is made of. */
  #sandboxOf({ job, idRange, staged }: Active): Sandbox {
    const { config, resources, root, cgroups } = this.#parts;
    return {
      firstId: idRange ?? 0,
      readOnly: root.readOnly,
      work: resources.planWork(job.spec.limits, staged),
      tmpBytes: config.tmpBytes,
      shmBytes: config.shmBytes,
      cgroups: {
        kind: cgroups.kind,
        swap: cgroups.swap,
        name: resources.cgroupNameOf(job.id, idRange),
      },
      startedBy: config.version,
    };
  }

  /** Makes the sandbox and runs the command. Resolves with the job RUNNING or ended; never rejects. */
  async #start(active: Active): Promise<Job> {
    const launched = await this.#launch(active);
    if (launched === undefined) return this.#findOut(active);
    if (!launched.ok) return this.#refuse(active, launched.step, launched.object, launched.errno);
    return this.#began(active, launched.startedAtMs);
  }

  /** What the launcher answers; undefined when it, or the keeper, was killed before it could. */
  async #launch(active: Active): Promise<Launched | undefined> {
    const { id, spec, timeout } = active.job;
    const { config, resources, uploads, launcher, logs, clock } = this.#parts;
    active.launches += 1;
    try {
      active.staged ??= await uploads.restage(id, spec.uploads);
      const work = await resources.takeWork(id, spec.limits, active.staged);
      const disks = work.kind === 'disk' ? [...this.#parts.disks, work.device] : this.#parts.disks;
      const plan = makePlan(spec, {
        id,
        root: this.#parts.root,
        work,
        idRange: active.idRange ?? 0,
        cgroups: resources.takeCgroups(id, active.idRange ?? 0, spec, disks),
        logDirectory: logs.directoryOf(id),
        logSegmentBytes: config.logSegmentBytes,
        logQuotaBytes: config.logQuotaBytes,
        logReserveBytes: config.logReserveBytes,
        keeper: this.#parts.addressOf(id),
        timeoutMs: timeout === undefined ? 0 : Math.max(1, timeout.atMs - clock.now()),
        tmpBytes: config.tmpBytes,
        shmBytes: config.shmBytes,
        identity: randomUUID(),
      });
      return await launcher.launch(id, plan);
    } catch (error) {
      return { ok: false, step: 'resources', object: messageOf(error), errno: 'EFAULT' };
    }
  }

  /** The command runs. Answers the job as it started, also when the end came along with the news. */
  async #began(active: Active, startedAtMs: number): Promise<Job> {
    active.launched = true;
    this.#change(active, { status: 'RUNNING', startedAtMs });
    this.#parts.bells.start(active.job.id);
    const started = active.job;
    const end = active.earlyEnd;
    if (end !== undefined) void this.#settle(active, outcomeOf(end, active.job), end, false);
    else if (active.stopGraceMs !== undefined) await this.#stopKeeper(active, active.stopGraceMs);
    return started;
  }

  /** The command did not come to run. */
  #refuse(active: Active, step: string, object: string, errno: string): Promise<Job> {
    return this.#settle(active, { how: 'not-started', step, object, errno }, undefined, true);
  }

  /**
   * Finds out about a job that nobody speaks of any more, because the launcher or an earlier daemon
   * was killed. Its launch is decided by now: there is a keeper that listens, or it left a log, or the
   * command certainly never ran, and then it is started now. Resolves as #start does.
   */
  async #findOut(active: Active): Promise<Job> {
    const { bootId, addressOf, logs, resources } = this.#parts;
    const { id, status } = active.job;
    active.followed = true;
    // One of a restored state may run still.
    const here = active.bootId === bootId || active.bootId === RESTORED_BOOT;
    const link = here ? await KeeperLink.connect(addressOf(id)) : undefined;
    if (link !== undefined) this.#believeTimeout(active, link);
    const startedAtMs = await link?.started;
    if (startedAtMs !== undefined) {
      void link?.ended.then((end) => this.#afterKeeper(active, end, link));
      return status === 'RUNNING' ? active.job : this.#began(active, startedAtMs);
    }
    // There is none, or it went away again.
    if (!here || status === 'RUNNING' || logs.exists(id)) {
      return this.#afterKeeper(active, undefined, undefined);
    }
    if (active.launches >= MAX_LAUNCHES) {
      return this.#refuse(active, 'keeper', 'joblet-launch', 'EPIPE');
    }
    active.followed = false;
    try {
      await resources.release(id, active.idRange, undefined, true);
    } catch (error) {
      return this.#refuse(active, 'resources', messageOf(error), 'EBUSY');
    }
    return this.#start(active);
  }

  /** Ends a job that has not been started; undefined when it has. Where that cannot be recorded it waits on. */
  #withdraw(active: Active, why: string, who: Identity): Promise<Job> | undefined {
    const { id, spec, status } = active.job;
    if (status !== 'PENDING' && status !== 'SCHEDULED') return undefined;
    this.#held.delete(active);
    this.#due.remove(id);
    this.#leaveQueue(id);
    return this.#settle(active, { how: 'canceled', why }, undefined, false, who).catch((error) => {
      active.settled = false;
      if (status === 'SCHEDULED') this.#due.add(id, spec.startAtMs);
      else this.#queue.join(waitingOf(active.job));
      this.#startNext();
      throw error;
    });
  }

  /** The keeper knows best: a timeout may have been moved by a daemon that died before it was recorded. */
  #believeTimeout(active: Active, { state }: KeeperLink): void {
    if (state.timeoutLeftMs === 0) return;
    const { job } = active;
    const atMs = this.#parts.clock.now() + state.timeoutLeftMs;
    if (Math.abs(atMs - (job.timeout?.atMs ?? 0)) <= CLOCKS_DIFFER_MS) return;
    active.job = { ...job, timeout: timeoutUntil(job, atMs) };
  }

  async #stopKeeper(active: Active, graceMs: number): Promise<void> {
    // No keeper: its end is on the way by the launcher.
    (await this.#linkOf(active))?.stop(graceMs);
  }

  /** The connection to a job's keeper, one for all that is asked of it; undefined when there is none. */
  #linkOf(active: Active): Promise<KeeperLink | undefined> {
    if (active.link !== undefined) return active.link;
    const link = KeeperLink.connect(this.#parts.addressOf(active.job.id));
    active.link = link;
    void link.then(async (found) => {
      await found?.ended;
      found?.close();
      // One that was cut off before the end is made anew by whoever needs it next.
      if (active.link === link) active.link = undefined;
    });
    return link;
  }

  /** Records an end, once, and tells everybody who waits for it. */
  async #settle(
    active: Active,
    outcome: Outcome,
    end: End | undefined,
    orphaned: boolean,
    who?: Identity,
  ): Promise<Job> {
    if (active.settled) return active.over.promise;
    active.settled = true;
    const { store, resources, bells, clock, log } = this.#parts;
    const { id } = active.job;
    const ended: Job = {
      ...active.job,
      status: viewOutcome(outcome).status,
      startedAtMs: end?.startedAtMs || active.job.startedAtMs,
      endedAtMs: end?.endedAtMs || clock.now(),
      outcome,
      usage:
        end === undefined
          ? undefined
          : { cpuUsec: end.cpuUsec, memoryPeakBytes: end.memoryPeakBytes },
      logBytes: end?.logBytes ?? active.job.logBytes,
      logDroppedBytes: end?.droppedBytes ?? 0,
    };
    const row = { job: ended, idRange: undefined, bootId: active.bootId };
    const record = async () => {
      await store.change(row, ended.endedAtMs, who);
      await Promise.all([
        store.durable(),
        resources.forget(id, active.idRange, ended.spec.uploads.length > 0),
      ]);
      this.#active.delete(id);
    };
    try {
      await resources.release(id, active.idRange, end, orphaned);
      await record();
    } catch (error) {
      // Nothing has happened that would have to be kept.
      if (outcome.how === 'canceled') throw error;
      const why = messageOf(error);
      log.error('the end of a job cannot be recorded yet; it is kept', { jobId: id, why });
      await this.#recordLater(id, record);
    }
    // Nobody has seen the end before it was safe.
    active.job = ended;
    if (end?.isHeld === true) void this.#letKeeperGo(id);
    this.#say(active.job);
    bells.end(id);
    active.over.resolve(active.job);
    this.#leaveQueue(id);
    return active.job;
  }

  /**
   * Keeps an end until the state takes it. Resolves when it is safe all the same: in the log, where a
   * later daemon finds it. Where the log could not take it either, the keeper waits with it, and so do
   * we.
   */
  async #recordLater(id: string, record: () => Promise<void>): Promise<void> {
    const recorded = Promise.withResolvers<void>();
    this.#unrecorded.set(id, { record, recorded });
    if (!(await this.#parts.logs.keepEnd(id))) await recorded.promise;
  }

  /** Tries again what could not be recorded: something was written at last, or somebody asks. */
  goOn(): void {
    if (this.#isGoingOn || this.#stopped || this.#unrecorded.size + this.#held.size === 0) return;
    this.#isGoingOn = true;
    const ends = [...this.#unrecorded].map(async ([id, { record, recorded }]) => {
      await record();
      this.#unrecorded.delete(id);
      this.#parts.log.info('the end of a job is recorded now', { jobId: id });
      recorded.resolve();
    });
    const held = [...this.#held];
    this.#held.clear();
    void Promise.allSettled([...ends, ...held.map((each) => this.#startWaiting(each))]).then(() => {
      this.#isGoingOn = false;
    });
  }

  /** The keeper of an ended job stays while the log could not take the end: it need not any more. */
  async #letKeeperGo(id: string): Promise<void> {
    const link = await KeeperLink.connect(this.#parts.addressOf(id));
    link?.seen();
    void link?.ended.then(() => link.close());
  }

  /** A change that the next daemon would find out by itself, so that nothing waits for its row. */
  #change(active: Active, change: Partial<Job>): void {
    const { store, clock } = this.#parts;
    active.job = { ...active.job, ...change };
    store.changeSoon(rowOf(active), clock.now());
    this.#say(active.job);
  }

  /** Deletes jobs with their logs: none is left without the other, also when this stops half way. */
  async #remove(ids: readonly string[], who: Identity): Promise<void> {
    const { logs, store, clock } = this.#parts;
    await Promise.all(ids.map((id) => logs.putAside(id)));
    try {
      await Promise.all(ids.map((id) => store.remove(id, clock.now(), who)));
    } catch (error) {
      await Promise.all(ids.map((id) => logs.bringBack(id)));
      throw error;
    }
    await store.durable();
    await Promise.all(ids.map((id) => logs.remove(id)));
  }

  /** Records an act that changed the row. */
  #mark(active: Active, action: Action, detail: string, who: Identity): Promise<void> {
    const { store, clock } = this.#parts;
    return store.mark(rowOf(active), action, detail, clock.now(), who);
  }

  #act(id: string, action: Action, detail: string, who: Identity): Promise<void> {
    const { store, clock } = this.#parts;
    return store.act(id, action, detail, clock.now(), who);
  }

  async #recoverOne(row: JobRow): Promise<void> {
    const { id, status, spec } = row.job;
    // Before anything is waited for, so that those of one rank come in their old order.
    if (status === 'PENDING') this.#queue.join(waitingOf(row.job));
    else if (status !== 'SCHEDULED') this.#queue.resume(id, spec.limits);
    const active = this.#enter(row, undefined);
    if (status === 'SCHEDULED') this.#due.add(id, spec.startAtMs);
    else if (status !== 'PENDING') await this.#findOut(active);
  }

  /** What became of a job whose keeper is not heard through the launcher. */
  async #afterKeeper(
    active: Active,
    heard: End | undefined,
    link: KeeperLink | undefined,
  ): Promise<Job> {
    const { logs, bootId, log } = this.#parts;
    const { id } = active.job;
    if (this.#stopped) return active.job;
    const found = await logs.findEnd(id).catch((error: unknown) => {
      log.error('the log of a job cannot be read', { jobId: id, error: messageOf(error) });
      return { end: undefined, bytes: 0 };
    });
    const end = heard ?? found.end;
    if (!active.settled) active.job = { ...active.job, logBytes: found.bytes };
    // It was answered as running, perhaps, by a daemon that died before it had recorded so.
    if (!active.settled && active.job.status === 'INITIALIZING' && end && end.startedAtMs > 0) {
      this.#change(active, { status: 'RUNNING', startedAtMs: end.startedAtMs });
    }
    const why = lostReason(active.bootId, bootId);
    const outcome: Outcome = end === undefined ? { how: 'lost', why } : outcomeOf(end, active.job);
    const job = await this.#settle(active, outcome, end, true);
    link?.seen();
    link?.close();
    return job;
  }

  /** One line in the daemon's log for each state that a job takes. */
  #say(job: Job): void {
    const fields: Record<string, string | number> = { jobId: job.id };
    if (job.status === 'RUNNING') fields['duration'] = `${job.startedAtMs - job.createdAtMs}ms`;
    if (job.outcome !== undefined) {
      const { exitCode, reason, message } = viewOutcome(job.outcome);
      Object.assign(fields, { exitCode, reason });
      if (message !== '') fields['why'] = message;
    }
    this.#parts.log.info(`job ${job.status}`, fields);
  }
}
