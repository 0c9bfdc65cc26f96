// The owner of recurring schedules. Each tick is a row, with the id of the workflow it starts, before
// anything of it is started; so the next daemon knows which ticks were dealt with, and a tick whose
// workflow is there already is not started again.

import { randomUUID } from 'node:crypto';
import { JobletError, messageOf, unnamed } from '../../shared/errors.ts';
import type { Audit } from '../audit/audit.ts';
import type { Action } from '../audit/record.ts';
import { type Clock, Due } from '../jobs/due.ts';
import type { Identity, Upload } from '../jobs/job.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import type { WorkflowFiles } from './files.ts';
import type { Schedule, ScheduleWish, TickRun } from './schedule.ts';
import { ScheduleStore } from './schedule-store.ts';
import { spread, Ticks } from './ticks.ts';
import { isOver } from './workflow.ts';
import type { Workflows } from './workflows.ts';

export interface SchedulesParts {
  readonly db: Db;
  readonly audit: Pick<Audit, 'append'>;
  readonly workflows: Pick<Workflows, 'runAs' | 'find' | 'stop' | 'changed' | 'delete'>;
  readonly files: WorkflowFiles;
  readonly clock: Clock;
  readonly log: Log;
}

const MAX_SCHEDULES = 1000;
/** Ticks that wait for the run before them. */
const MAX_QUEUED = 10;
/** Runs that may be under way where they may overlap: of more the oldest are not looked at. */
const LOOKED_AT = 100;

export class Schedules {
  readonly #parts: SchedulesParts;
  readonly #store: ScheduleStore;
  readonly #due: Due;
  readonly #stopped = new AbortController();
  /** Schedules whose ticks are being started one by one. */
  readonly #busy = new Map<string, Promise<void>>();

  constructor(parts: SchedulesParts) {
    this.#parts = parts;
    this.#store = new ScheduleStore(parts.db);
    this.#due = new Due(parts.clock, (name) => void this.#ring(name));
  }

  /** The ids by which files of schedules are kept. */
  ids(): string[] {
    return this.#store.all().map(({ id }) => id);
  }

  /**
   * Goes on with what an earlier daemon left, and with what came due meanwhile. Of a state that was
   * restored nothing is caught up: what came due since may have run.
   */
  async recover(): Promise<void> {
    const restored = this.#store.all().filter(({ nextAtMs }) => nextAtMs < 0);
    if (restored.length > 0) {
      const nowMs = this.#parts.clock.now();
      await this.#parts.db.write(() => {
        for (const { id, cron, timeZone } of restored) {
          this.#store.setNext(id, new Ticks(cron, timeZone).after(nowMs));
        }
      });
    }
    for (const { name, isPaused } of this.#store.all()) if (!isPaused) void this.#ring(name);
  }

  stop(): void {
    this.#stopped.abort();
    this.#due.stop();
  }

  /** Makes a schedule. Resolves when it is safe. */
  async create(
    wish: ScheduleWish,
    files: { readonly uploads: readonly Upload[]; readonly uploadId: string },
    who: Identity,
  ): Promise<Schedule> {
    const { db, clock } = this.#parts;
    const nowMs = clock.now();
    const nextAtMs = new Ticks(wish.cron, wish.timeZone).after(nowMs);
    if (nextAtMs === 0) {
      throw new JobletError('invalid', `cron: ${wish.cron} never comes`, { about: 'cron' });
    }
    this.#checkName(wish.name);
    const { plan, ...rest } = wish;
    const id = randomUUID();
    await this.#parts.files.keep(id, files.uploads, files.uploadId, who);
    const schedule = { ...rest, id, owner: who, isPaused: false, createdAtMs: nowMs, nextAtMs };
    try {
      this.#checkName(wish.name);
      await db.write(() => {
        this.#record('schedule.created', id, `${wish.name}: ${wish.cron} ${wish.timeZone}`, who);
        this.#store.add(schedule, plan);
      });
      await db.durable();
    } catch (error) {
      await this.#parts.files.drop(id);
      throw error;
    }
    this.#parts.log.info('schedule created', { schedule: wish.name, cron: wish.cron });
    this.#arm(schedule);
    return schedule;
  }

  get(name: string): Schedule {
    this.#parts.db.flush();
    const found = this.#store.find(name);
    if (found !== undefined) return found;
    if (name === '') throw unnamed('name', 'the name of a schedule');
    throw new JobletError('not-found', `schedule not found: ${name}`, { about: 'name' });
  }

  /** By their names. */
  list(): Schedule[] {
    this.#parts.db.flush();
    return this.#store.all();
  }

  /** The newest first. */
  historyOf({ id }: Schedule): TickRun[] {
    return this.#store.runsOf(id);
  }

  /** The next ticks of a schedule; none while it is paused. */
  nextOf(schedule: Schedule, count: number): number[] {
    const { cron, timeZone, nextAtMs, isPaused } = schedule;
    if (isPaused || nextAtMs === 0) return [];
    return [nextAtMs, ...new Ticks(cron, timeZone).next(nextAtMs, count - 1)];
  }

  /** Lets nothing more start, until it is resumed; what passes meanwhile is not caught up. */
  async pause(name: string, isPaused: boolean, who: Identity): Promise<Schedule> {
    const { db, clock } = this.#parts;
    const { id, cron, timeZone, nextAtMs, isPaused: was } = this.get(name);
    if (was === isPaused) {
      const words = isPaused ? 'paused already' : 'not paused';
      throw new JobletError('wrong-state', `schedule ${name} is ${words}`, { about: 'name' });
    }
    const next = isPaused ? nextAtMs : new Ticks(cron, timeZone).after(clock.now());
    await db.write(() => {
      this.#record(isPaused ? 'schedule.paused' : 'schedule.resumed', id, name, who);
      this.#store.setPaused(id, isPaused, next);
    });
    await db.durable();
    this.#parts.log.info(`schedule ${isPaused ? 'paused' : 'resumed'}`, { schedule: name });
    const schedule = this.get(name);
    if (isPaused) this.#due.remove(name);
    else this.#arm(schedule);
    return schedule;
  }

  /** Deletes a schedule; what it has started goes on. */
  async delete(name: string, who: Identity): Promise<void> {
    const { db, files } = this.#parts;
    const { id } = this.get(name);
    await db.write(() => {
      this.#record('schedule.deleted', id, name, who);
      this.#store.remove(id);
    });
    await db.durable();
    this.#parts.log.info('schedule deleted', { schedule: name });
    this.#due.remove(name);
    await files.drop(id);
  }

  /** Deals with what is due, and waits for what comes next. */
  async #ring(name: string): Promise<void> {
    const { db, clock, log } = this.#parts;
    const schedule = this.#store.find(name);
    if (schedule === undefined || schedule.isPaused || this.#stopped.signal.aborted) return;
    const { id, cron, timeZone, catchUp, jitterMs, nextAtMs } = schedule;
    const nowMs = clock.now();
    const due = new Ticks(cron, timeZone).due(
      nextAtMs,
      nowMs - jitterOf(schedule, jitterMs),
      catchUp,
    );
    if (due.nextMs !== nextAtMs) {
      try {
        await db.write(() => {
          for (const tickMs of due.run) {
            const workflowId = randomUUID();
            this.#store.addRun(id, {
              tickMs,
              workflowId,
              state: 'WAITING',
              message: '',
              atMs: nowMs,
            });
          }
          this.#store.setNext(id, due.nextMs);
        });
        await db.durable();
      } catch (error) {
        log.error('a tick cannot be recorded, so nothing of it starts', {
          schedule: name,
          why: messageOf(error),
        });
        this.#due.add(name, nowMs + RETRY_MS);
        return;
      }
      if (due.skipped > 0) log.warn('ticks were missed', { schedule: name, ticks: due.skipped });
    }
    this.#arm({ ...schedule, nextAtMs: due.nextMs });
    this.#startWaiting(schedule);
  }

  #arm(schedule: Schedule): void {
    const { name, nextAtMs, jitterMs } = schedule;
    if (nextAtMs === 0 || this.#stopped.signal.aborted) return;
    this.#due.add(name, spread(name, nextAtMs, jitterMs));
  }

  /** Starts what waits, one schedule's ticks in their order. */
  #startWaiting(schedule: Schedule): void {
    const { id } = schedule;
    const before = this.#busy.get(id) ?? Promise.resolve();
    const mine = before
      .then(() => this.#startAll(schedule))
      .catch((error) => {
        const why = messageOf(error);
        this.#parts.log.error('a schedule could not go on', { schedule: schedule.name, why });
      })
      .finally(() => {
        if (this.#busy.get(id) === mine) this.#busy.delete(id);
      });
    this.#busy.set(id, mine);
  }

  async #startAll(schedule: Schedule): Promise<void> {
    const { id, overlap } = schedule;
    const waiting = this.#store.waitingOf(id);
    for (const [at, run] of waiting.entries()) {
      const running = this.#runningOf(id);
      if (this.#parts.workflows.find(run.workflowId) !== undefined || running === undefined) {
        await this.#start(schedule, run);
      } else if (overlap === 'allow') await this.#start(schedule, run);
      else if (overlap === 'replace') {
        await this.#parts.workflows
          .stop(running, { ending: 'stop', force: false }, schedule.owner)
          .catch(unlessOver);
        await this.#start(schedule, run);
      } else if (overlap === 'forbid' || waiting.length - at > MAX_QUEUED) {
        const why =
          overlap === 'forbid'
            ? 'the run before it was not over'
            : `${MAX_QUEUED} ticks wait already`;
        await this.#settle(schedule, { ...run, state: 'SKIPPED', message: why });
      } else {
        await this.#forgetOld(schedule);
        // It is looked at again when that run is over.
        void this.#afterEnd(running).then(() => this.#startWaiting(schedule));
        return;
      }
    }
    await this.#forgetOld(schedule);
  }

  /** Deletes the runs that are more than are kept; one that is not over is looked at again later. */
  async #forgetOld(schedule: Schedule): Promise<void> {
    const { db, workflows } = this.#parts;
    for (const run of this.#store.oldRunsOf(schedule)) {
      const workflow = workflows.find(run.workflowId);
      if (workflow !== undefined && !isOver(workflow.status)) continue;
      if (workflow !== undefined) await workflows.delete(workflow.id, schedule.owner);
      await db.write(() => this.#store.forgetRun(schedule.id, run));
    }
  }

  async #afterEnd(workflowId: string): Promise<void> {
    const { workflows } = this.#parts;
    const { signal } = this.#stopped;
    for (;;) {
      const changed = workflows.changed(workflowId, signal);
      const workflow = workflows.find(workflowId);
      if (workflow === undefined || isOver(workflow.status) || signal.aborted) return;
      await changed;
    }
  }

  async #start(schedule: Schedule, run: TickRun): Promise<void> {
    const { workflows, files, log } = this.#parts;
    const { id, owner, name } = schedule;
    if (this.#stopped.signal.aborted) return;
    try {
      // An earlier daemon may have come as far as that.
      if (workflows.find(run.workflowId) === undefined) {
        const plan = this.#store.planOf(id);
        if (plan === undefined) return;
        await files.copy(id, run.workflowId);
        await workflows.runAs(run.workflowId, plan, owner);
      }
      await this.#settle(schedule, { ...run, state: 'STARTED', message: '' });
    } catch (error) {
      const why = messageOf(error);
      log.error('a tick could not be started', { schedule: name, why });
      await this.#settle(schedule, { ...run, state: 'FAILED', message: why });
    }
  }

  async #settle({ id }: Schedule, run: TickRun): Promise<void> {
    const atMs = this.#parts.clock.now();
    await this.#parts.db.write(() => this.#store.setRun(id, { ...run, atMs }));
  }

  /** The last run of a schedule that is not over. */
  #runningOf(id: string): string | undefined {
    const { workflows } = this.#parts;
    return this.#store
      .startedOf(id, LOOKED_AT)
      .map(({ workflowId }) => workflows.find(workflowId))
      .find((workflow) => workflow !== undefined && !isOver(workflow.status))?.id;
  }

  #checkName(name: string): void {
    if (this.#store.find(name) !== undefined) {
      throw new JobletError('exists', `schedule ${name} exists already; delete it first`, {
        about: 'name',
      });
    }
    if (this.#store.all().length < MAX_SCHEDULES) return;
    throw new JobletError('exhausted', `there are ${MAX_SCHEDULES} schedules already; delete some`);
  }

  #record(action: Action, id: string, detail: string, who: Identity): void {
    const atMs = this.#parts.clock.now();
    this.#parts.audit.append({ atMs, action, jobId: id, who, result: 'ok', detail });
  }
}

/** How long it waits for a disk that does not take a tick. */
const RETRY_MS = 10_000;

/** How much later than its time the next tick of a schedule is acted upon. */
function jitterOf({ name, nextAtMs }: Schedule, jitterMs: number): number {
  return spread(name, nextAtMs, jitterMs) - nextAtMs;
}

/** A run that is over by itself is as well ended. */
function unlessOver(error: unknown): void {
  if (!(error instanceof JobletError) || error.kind !== 'wrong-state') throw error;
}
