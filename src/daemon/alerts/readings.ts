// Looks at what the rules are about. Only what some rule asks for is looked at.

import { X509Certificate } from 'node:crypto';
import { messageOf } from '../../shared/errors.ts';
import { formatDuration } from '../../shared/units.ts';
import { type Measure, means, measures, type Rule } from '../alert-rules.ts';
import { diskUseOf } from '../linux/disk.ts';
import type { HostUsage } from '../linux/host-usage.ts';
import type { Log } from '../log.ts';
import { cpuShares, type HostWatch, rateOf } from '../telemetry/host.ts';
import type { Samples } from '../telemetry/samples.ts';

/** What a job that runs is known by. */
export interface KnownJob {
  readonly name: string;
  /** 0 is no limit. */
  readonly memoryLimitBytes: number;
}

export interface ReadingParts {
  readonly host: Pick<HostWatch, 'look'>;
  readonly samples: Pick<Samples, 'brief'>;
  /** How many jobs wait for their turn. */
  readonly waiting: () => number;
  readonly jobOf: (id: string) => KnownJob | undefined;
  /** Directories of the daemon's. */
  readonly directories: readonly string[];
  /** Certificates in PEM, by what they are of; read anew each time. */
  readonly certificates: () => Readonly<Record<string, string>>;
  readonly log: Pick<Log, 'warn'>;
}

/** How it stands with one thing that a rule is about. */
export interface Reading {
  readonly rule: Rule;
  /** Which thing; empty where there is only one. */
  readonly subject: string;
  readonly jobId: string;
  readonly isBeyond: boolean;
  /** A sentence. */
  readonly text: string;
}

interface Value {
  readonly subject: string;
  /** For people, where that is something else. */
  readonly known?: string;
  readonly jobId?: string;
  readonly value: number;
}

type BriefJobs = Awaited<ReturnType<Samples['brief']>>;

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** What is shorter is said in hours and minutes. */
const SOME_DAYS_MS = 3 * DAY_MS;
/** Certificates are looked at so often. */
const CERTIFICATES_MS = 3_600_000;

export class Readings {
  readonly #parts: ReadingParts;
  #host: HostUsage | undefined;
  #jobs: { readonly atMs: number; readonly all: BriefJobs } | undefined;
  /** When each of them runs out. */
  #certificates:
    | { readonly atMs: number; readonly ends: readonly (readonly [string, number])[] }
    | undefined;
  /** Rules that could not be looked at, which was said. */
  readonly #blind = new Set<string>();

  constructor(parts: ReadingParts) {
    this.#parts = parts;
  }

  /** How it stands with all that some rules are about. What cannot be looked at is left out, and said once. */
  async look(rules: readonly Rule[], nowMs: number): Promise<Reading[]> {
    const readings: Reading[] = [];
    const isWanted = (...wanted: Measure[]) => rules.some(({ when }) => wanted.includes(when));
    const before = this.#host;
    if (isWanted('cpu', 'memory', 'load')) this.#host = await this.#parts.host.look();
    const jobs = isWanted('job-cpu', 'job-memory') ? await this.#lookAtJobs(nowMs) : [];
    for (const rule of rules) {
      try {
        const values = await this.#valuesOf(rule, before, jobs, nowMs);
        readings.push(...values.map((value) => toReading(rule, value, nowMs)));
        this.#blind.delete(rule.name);
      } catch (error) {
        if (!this.#blind.has(rule.name)) {
          const why = messageOf(error);
          this.#parts.log.warn('what an alert is about cannot be looked at', {
            rule: rule.name,
            why,
          });
        }
        this.#blind.add(rule.name);
      }
    }
    return readings;
  }

  async #valuesOf(
    rule: Rule,
    before: HostUsage | undefined,
    jobs: readonly JobUse[],
    nowMs: number,
  ): Promise<readonly Value[]> {
    const host = this.#host;
    const one = (value: number | undefined) =>
      value === undefined ? [] : [{ subject: '', value }];
    switch (rule.when) {
      case 'cpu':
        // The first look has nothing to count from.
        return one(
          before && host && before !== host ? cpuShares(host.cpu, before.cpu).busy : undefined,
        );
      case 'memory':
        return one(host && usedMemory(host));
      case 'load':
        return one(host?.load[0]);
      case 'disk':
        return this.#disks(rule.path === undefined ? this.#parts.directories : [rule.path]);
      case 'jobs-waiting':
        return one(this.#parts.waiting());
      case 'job-cpu':
      case 'job-memory':
        return jobs
          .filter(({ name }) => means(rule.jobs, name))
          .map(({ id, name, cpuPercent, memoryPercent }) => {
            const value = rule.when === 'job-cpu' ? cpuPercent : memoryPercent;
            const known = name === '' ? id : `${name}, ${id}`;
            return { subject: id, known, jobId: id, value };
          });
      case 'certificate':
        return this.#timesLeft(nowMs);
      case 'job-failed':
        return [];
    }
  }

  /** Each file system once. */
  async #disks(directories: readonly string[]): Promise<Value[]> {
    const seen = new Map<number, Value>();
    for (const directory of directories) {
      const { device, usedPercent } = await diskUseOf(directory);
      if (!seen.has(device)) seen.set(device, { subject: directory, value: usedPercent });
    }
    return [...seen.values()];
  }

  async #lookAtJobs(atMs: number): Promise<JobUse[]> {
    const before = this.#jobs;
    const all = await this.#parts.samples.brief();
    this.#jobs = { atMs, all };
    return [...all].flatMap(([id, { cpuUsec, memoryBytes }]) => {
      const job = this.#parts.jobOf(id);
      if (job === undefined) return [];
      const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1000;
      const { name, memoryLimitBytes: limit } = job;
      return [
        {
          id,
          name,
          cpuPercent: rateOf(cpuUsec, before?.all.get(id)?.cpuUsec, seconds) / 10_000,
          memoryPercent: limit > 0 ? (memoryBytes / limit) * 100 : 0,
        },
      ];
    });
  }

  /** The milliseconds that certificates have left. */
  #timesLeft(nowMs: number): Value[] {
    let seen = this.#certificates;
    if (seen === undefined || Math.abs(nowMs - seen.atMs) >= CERTIFICATES_MS) {
      const ends = Object.entries(this.#parts.certificates()).map(
        ([subject, pem]) => [subject, Date.parse(new X509Certificate(pem).validTo)] as const,
      );
      seen = this.#certificates = { atMs: nowMs, ends };
    }
    return seen.ends.map(([subject, endMs]) => ({ subject, value: endMs - nowMs }));
  }
}

interface JobUse {
  readonly id: string;
  readonly name: string;
  readonly cpuPercent: number;
  readonly memoryPercent: number;
}

function usedMemory({ memory }: HostUsage): number {
  const total = memory.get('MemTotal') ?? 0;
  const available = memory.get('MemAvailable') ?? 0;
  return total > 0 ? ((total - available) / total) * 100 : 0;
}

function toReading(
  rule: Rule,
  { subject, known = subject, jobId = '', value }: Value,
  nowMs: number,
): Reading {
  const { meaning, unit } = measures[rule.when];
  const of = subject === '' ? meaning : `${meaning} (${known})`;
  const { above = Number.POSITIVE_INFINITY, below } = rule;
  if (below !== undefined) {
    const on = new Date(nowMs + value).toISOString().slice(0, 10);
    const when = value < 0 ? `${timeText(-value)} ago` : `in ${timeText(value)}`;
    const text = `${of} on ${on}, ${when}; the limit is ${limitText(below)}`;
    return { rule, subject, jobId, isBeyond: value < below, text };
  }
  const text = `${of}: ${Number(value.toFixed(1))}${unit}, the limit is ${above}${unit}`;
  return { rule, subject, jobId, isBeyond: value > above, text };
}

/** A time as people say it: whole days, or minutes where they count. */
function timeText(ms: number): string {
  if (ms >= SOME_DAYS_MS) return `${Math.floor(ms / DAY_MS)} days`;
  return formatDuration(Math.floor(ms / MINUTE_MS) * MINUTE_MS);
}

/** A limit as exactly as it was set. */
function limitText(ms: number): string {
  return ms >= SOME_DAYS_MS && ms % DAY_MS === 0 ? timeText(ms) : formatDuration(ms);
}
