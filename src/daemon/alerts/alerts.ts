// The owner of alerts. An alert that fires is a row from then on until it is over; row, notices and
// record in the audit log are one transaction, so it fires once, whatever is killed when. Without a rule
// nothing is looked at and nothing is followed.

import { randomUUID } from 'node:crypto';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { means, type Rule, type Target } from '../alert-rules.ts';
import type { Audit } from '../audit/audit.ts';
import type { AuditRecord } from '../audit/record.ts';
import type { Clock } from '../jobs/due.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/db.ts';
import type { Outbox } from './outbox.ts';
import { type Phase, step } from './phase.ts';
import type { Reading, Readings } from './readings.ts';
import { type Alert, type AlertStore, HISTORY, type Notice, type Turn } from './store.ts';

export interface AlertsParts {
  readonly db: Db;
  readonly audit: Pick<Audit, 'append' | 'batches' | 'query'>;
  readonly store: AlertStore;
  readonly outbox: Outbox;
  readonly readings: Pick<Readings, 'look'>;
  readonly rules: readonly Rule[];
  readonly targets: readonly Target[];
  readonly intervalMs: number;
  /** The name of a job that has ended; empty when it has none, or is not known. */
  readonly nameOf: (jobId: string) => string;
  readonly clock: Clock;
  readonly log: Log;
}

/** An alert with what became of its notices. */
export interface AlertStory {
  readonly alert: Alert;
  readonly notices: readonly Notice[];
}

/** Alerts that fire at the same time; what there is beyond them is not recorded. */
const MAX_FIRING = 1000;

/** A change of an alert that is being written. */
interface Change {
  readonly alert: Alert;
  readonly turn: Turn;
  /** Targets that hear of it. */
  readonly to: readonly string[];
}

export class Alerts {
  readonly #parts: AlertsParts;
  /** Rules that are followed by looking. */
  readonly #looked: readonly Rule[];
  /** Rules about jobs that fail. */
  readonly #failing: readonly Rule[];
  /** Those that fire, by rule and subject. */
  readonly #firing = new Map<string, Alert>();
  readonly #phases = new Map<string, Phase>();
  readonly #stopped = new AbortController();
  #disarm: () => void = () => {};
  #following: Promise<void> | undefined;
  /** Up to which record jobs have been followed. */
  #position: number | undefined;
  #isCrowded = false;

  constructor(parts: AlertsParts) {
    this.#parts = parts;
    this.#looked = parts.rules.filter(({ when }) => when !== 'job-failed');
    this.#failing = parts.rules.filter(({ when }) => when === 'job-failed');
  }

  /** Takes over what fires, and goes on from there. */
  async start(): Promise<void> {
    const { store, rules, outbox, db, clock } = this.#parts;
    if (this.#failing.length > 0) this.#position = store.position() ?? (await this.#head());
    const gone: Alert[] = [];
    for (const alert of store.firing()) {
      const rule = rules.find(({ name, when }) => name === alert.rule && when === alert.measure);
      if (rule === undefined) gone.push(alert);
      else this.#firing.set(keyOf(alert), alert);
    }
    for (const [key, { firedAtMs }] of this.#firing) {
      this.#phases.set(key, { name: 'firing', sinceMs: firedAtMs });
    }
    const now = clock.now();
    await this.#write(gone.map((alert) => resolved(alert, 'the rule is gone', now, [])));
    if (this.#failing.length === 0 && store.position() !== undefined) {
      await db.write(() => store.setPosition(undefined));
    }
    await outbox.start();
    if (rules.length > 0) await this.#look();
  }

  async stop(): Promise<void> {
    const { db, store, outbox } = this.#parts;
    this.#stopped.abort();
    this.#disarm();
    await this.#following;
    await outbox.stop();
    const position = this.#position;
    if (position === undefined || position === store.position()) return;
    // Without it the next daemon looks at records that mean nothing to it.
    await db.write(() => store.setPosition(position)).catch(() => {});
  }

  /** The newest first; those that are over only when they are wanted. */
  list(isOverToo: boolean, limit: number): AlertStory[] {
    const { store } = this.#parts;
    const alerts = isOverToo ? store.newest(limit) : store.firing().reverse().slice(0, limit);
    return alerts.map((alert) => ({ alert, notices: store.noticesOf(alert.id) }));
  }

  /** Alerts that fire now. */
  get firingCount(): number {
    return this.#firing.size;
  }

  /** Tells a target something that is no alert. */
  async test(name: string): Promise<void> {
    const { targets, outbox } = this.#parts;
    const target = targets.find((each) => each.name === name);
    if (target === undefined) {
      const all = targets.map((each) => each.name).join(', ') || 'none';
      throw new JobletError(
        'not-found',
        `there is no target ${name}; there is ${all} (alerts.targets)`,
      );
    }
    await outbox.test(target).catch((cause: unknown) => {
      throw new JobletError('unavailable', `${name} was not told: ${messageOf(cause)}`, { cause });
    });
  }

  async #look(): Promise<void> {
    const { clock, intervalMs, readings, log } = this.#parts;
    if (this.#failing.length > 0) this.#following ??= this.#follow();
    try {
      const now = clock.now();
      await this.#settle(await readings.look(this.#looked, now), now);
    } catch (error) {
      // The disk of the state may be full; then the next look finds the same.
      log.warn('alerts could not be looked after', { why: messageOf(error) });
    }
    if (this.#stopped.signal.aborted) return;
    this.#disarm = clock.at(clock.now() + intervalMs, () => void this.#look());
  }

  async #settle(readings: readonly Reading[], now: number): Promise<void> {
    const steps = readings.map((reading) => {
      const { rule, subject, isBeyond } = reading;
      const key = keyOf({ rule: rule.name, subject });
      return { key, reading, ...step(this.#phases.get(key), isBeyond, now, rule.for ?? 0) };
    });
    const changes: Change[] = [];
    for (const { key, reading, turn } of steps) {
      const { rule, subject, jobId, text } = reading;
      const alert = this.#firing.get(key);
      if (turn === 'fired') changes.push(...this.#fired(rule, { subject, jobId, text }, now));
      else if (turn === 'resolved' && alert !== undefined) {
        changes.push(resolved(alert, text, now, rule.to));
      }
    }
    const gone = this.#goneFrom(steps);
    for (const key of gone) {
      const alert = this.#firing.get(key);
      const rule = this.#looked.find(({ name }) => name === alert?.rule);
      if (alert === undefined || rule === undefined) continue;
      const why = alert.jobId === '' ? 'it is not there any more' : 'the job has ended';
      changes.push(resolved(alert, why, now, rule.to));
    }
    await this.#write(changes);
    for (const { key, phase } of steps) {
      if (phase === undefined) this.#phases.delete(key);
      else this.#phases.set(key, phase);
    }
    for (const key of gone) this.#phases.delete(key);
  }

  /** What has a phase, was looked for and is not there any more. */
  #goneFrom(steps: readonly { readonly key: string; readonly reading: Reading }[]): string[] {
    const seen = new Set(steps.map(({ key }) => key));
    const answered = new Set(steps.map(({ reading }) => reading.rule.name));
    // A rule about jobs may find none. Any other one that finds nothing could not look.
    const asked = this.#looked.filter(
      ({ name, when }) => answered.has(name) || when === 'job-cpu' || when === 'job-memory',
    );
    return [...this.#phases.keys()].filter(
      (key) =>
        !seen.has(key) &&
        asked.some(({ name }) => key.startsWith(keyOf({ rule: name, subject: '' }))),
    );
  }

  async #head(): Promise<number> {
    const { head } = await this.#parts.audit.query({}, 0, 0, this.#stopped.signal);
    return head;
  }

  /** Follows the ends of jobs until it is stopped, or something is in the way; the next look goes on. */
  async #follow(): Promise<void> {
    const { audit, log } = this.#parts;
    const { signal } = this.#stopped;
    try {
      this.#position ??= await this.#head();
      const filter = { actions: ['job.ended', 'job.deleted'] };
      for await (const { records, through } of audit.batches(
        filter,
        this.#position,
        true,
        signal,
      )) {
        for (const record of records) {
          await this.#write(this.#changesBy(record), record.sequence);
          this.#position = record.sequence;
        }
        this.#position = through;
      }
    } catch (error) {
      if (signal.aborted) return;
      log.warn('ends of jobs could not be followed for alerts', { why: messageOf(error) });
      // What is not kept any more cannot be made up for.
      if (error instanceof JobletError && error.kind === 'wrong-state') this.#position = undefined;
    } finally {
      this.#following = undefined;
    }
  }

  #changesBy({ action, jobId, result, detail, atMs }: AuditRecord): Change[] {
    const about = [...this.#firing.values()].filter(({ rule }) =>
      this.#failing.some(({ name }) => name === rule),
    );
    const over = (why: string, isMeant: (alert: Alert) => boolean) =>
      about.filter(isMeant).map((alert) => resolved(alert, why, atMs, this.#targetsOf(alert)));
    if (action === 'job.deleted') {
      return over('the job was deleted', (alert) => alert.jobId === jobId);
    }
    const jobName = this.#parts.nameOf(jobId);
    const known = jobName === '' ? `job ${jobId}` : `job ${jobName} (${jobId})`;
    if (result === 'COMPLETED') {
      return over(`${known} completed`, ({ subject }) => subject === jobName);
    }
    if (result !== 'FAILED' && !detail.startsWith('TIMEOUT')) return [];
    const text = `${known} ended ${result}: ${detail}`;
    const meant = this.#failing.filter(({ jobs }) => means(jobs, jobName));
    return meant.flatMap((rule) => {
      const subject = jobName === '' ? jobId : jobName;
      const fired = this.#fired(rule, { subject, jobId, text }, atMs);
      // Nothing will ever be heard again of a job without a name.
      const ends = fired.filter(() => jobName === '');
      return [...fired, ...ends.map(({ alert }) => resolved(alert, '', atMs, []))];
    });
  }

  #targetsOf(alert: Alert): readonly string[] {
    return this.#parts.rules.find(({ name }) => name === alert.rule)?.to ?? [];
  }

  /** Nothing, if it fires already or too many do. */
  #fired(
    rule: Rule,
    about: { subject: string; jobId: string; text: string },
    now: number,
  ): Change[] {
    const { subject, jobId, text } = about;
    if (this.#firing.has(keyOf({ rule: rule.name, subject }))) return [];
    if (this.#firing.size >= MAX_FIRING) {
      if (!this.#isCrowded) {
        this.#parts.log.error('more alerts fire than are kept', { kept: MAX_FIRING });
      }
      this.#isCrowded = true;
      return [];
    }
    const alert: Alert = {
      id: randomUUID(),
      rule: rule.name,
      measure: rule.when,
      subject,
      jobId,
      reading: text,
      firedAtMs: now,
      resolvedAtMs: 0,
      resolution: '',
    };
    return [{ alert, turn: 'fired', to: rule.to }];
  }

  /** Writes changes with all that goes with them. Resolves when they are committed. */
  async #write(changes: readonly Change[], position?: number): Promise<void> {
    if (changes.length === 0) return;
    const { db, store, audit, log, outbox } = this.#parts;
    let untold: ReadonlyMap<string, number> = new Map();
    await db.write(() => {
      for (const { alert, turn, to } of changes) {
        const { rule, jobId, firedAtMs, resolvedAtMs } = alert;
        const [atMs, text] =
          turn === 'fired' ? [firedAtMs, alert.reading] : [resolvedAtMs, alert.resolution];
        if (turn === 'fired') store.add(alert);
        else store.resolve(alert);
        for (const target of to) store.addNotice(alert.id, turn, target);
        const detail = `${rule}: ${text}`;
        audit.append({ atMs, action: `alert.${turn}`, jobId, result: 'ok', detail });
      }
      untold = store.forget();
      if (position !== undefined) store.setPosition(position);
    });
    for (const [target, count] of untold) {
      const why = `more than ${HISTORY} alerts are over`;
      log.error('notices of alerts were given up', { target, count, why });
    }
    for (const { alert, turn, to } of changes) {
      const { rule, reading, resolution } = alert;
      if (turn === 'fired') {
        this.#firing.set(keyOf(alert), alert);
        log.warn('alert fired', { rule, why: reading });
      } else {
        this.#firing.delete(keyOf(alert));
        this.#isCrowded = false;
        if (resolution !== '') log.info('alert resolved', { rule, why: resolution });
      }
      for (const target of to) outbox.wake(target);
    }
  }
}

function resolved(
  alert: Alert,
  resolution: string,
  resolvedAtMs: number,
  to: readonly string[],
): Change {
  return { alert: { ...alert, resolution, resolvedAtMs }, turn: 'resolved', to };
}

function keyOf({ rule, subject }: Pick<Alert, 'rule' | 'subject'>): string {
  return `${rule}\0${subject}`;
}
