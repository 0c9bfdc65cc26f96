// Jobs of every kind, ten a second, for tests that kill parts of the product meanwhile: it asks again
// for what was not acknowledged, and checks afterwards that each job is what it has to be. Every job prints a
// token that no other has, and the ids that it was given, so that one which ran twice, or beside
// another with the same ids, gives itself away.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { JobDetail, JobRequest } from '../src/client/messages.ts';
import { deleteJob, queryJobs, runJob, stopJob } from '../src/client/methods.ts';
import { JobletError } from '../src/shared/errors.ts';
import type { Daemon } from './harness.ts';
import { ended, output, shell, statusOf } from './job-calls.ts';
import { readLog } from './launching.ts';

/** Numbers from 0 to 1, the same for the same seed. */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const EVERY_MS = 100;
const LINES = 20_000;
const NUMBERS = Array.from({ length: LINES }, (_, at) => `${at + 1}\n`).join('');
/** More than lies in memory: such a job has a work directory on a loop device. */
const BIG_UPLOAD_BYTES = 17 << 20;

interface Kind {
  /** In a hundred jobs. */
  readonly share: number;
  readonly script: string;
  readonly more?: (token: string, random: Random) => JobRequest;
  /** What it prints behind the line with its token. */
  readonly printed?: (token: string) => string;
  readonly reason?: string;
  readonly exitCode?: number;
  /** What its client does once it is acknowledged. */
  readonly next?: 'stop' | 'delete';
}

const kinds = {
  instant: { share: 24, script: 'exit 0' },
  failing: { share: 12, script: 'echo bad >&2; exit 3', exitCode: 3 },
  loud: { share: 12, script: `seq ${LINES}`, printed: () => NUMBERS },
  sleeping: {
    share: 16,
    script: 'sleep 0.4; echo woke; exit 7',
    printed: () => 'woke\n',
    exitCode: 7,
  },
  uploading: {
    share: 11,
    script: 'cat value',
    more: (token) => ({ uploads: [upload(`${token} `.repeat(2000))] }),
    printed: (token) => `${token} `.repeat(2000),
  },
  uploadingMuch: {
    share: 1,
    script: 'sha256sum <value',
    more: (token) => ({ uploads: [upload(token.padEnd(BIG_UPLOAD_BYTES))] }),
    printed: (token) =>
      `${createHash('sha256').update(token.padEnd(BIG_UPLOAD_BYTES)).digest('hex')}  -\n`,
  },
  stopped: { share: 6, script: 'sleep 100000', reason: 'STOPPED', exitCode: -1, next: 'stop' },
  timedOut: {
    share: 6,
    script: 'sleep 100000',
    more: (_, random) => ({ timeoutMs: BigInt(100 + Math.floor(random() * 900)) }),
    reason: 'TIMEOUT',
    exitCode: 124,
  },
  scheduled: {
    share: 6,
    script: 'exit 4',
    more: (_, random) => ({ schedule: new Date(Date.now() + 1000 * random()).toISOString() }),
    exitCode: 4,
  },
  deleted: { share: 6, script: 'exit 0', next: 'delete' },
} as const satisfies Record<string, Kind>;

type KindName = keyof typeof kinds;
const kindOf = (name: string): Kind => kinds[name as KindName];

function upload(text: string) {
  return { path: 'value', mode: 0, content: Buffer.from(text) };
}

/** A job that is asked for until it is acknowledged: with one key, so that it is one job. */
interface Wish {
  readonly name: string;
  readonly kind: KindName;
  readonly request: JobRequest;
}

interface Acknowledged {
  readonly uuid: string;
  readonly name: string;
  /** Its deletion has been acknowledged. */
  deleted: boolean;
}

/** While a job ran, and with which ids. */
interface Span {
  readonly name: string;
  readonly firstId: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Whether the daemon, or the way to it, died under a call. */
function isUnavailable(error: unknown): boolean {
  return error instanceof JobletError && error.kind === 'unavailable';
}

export class CrashLoad {
  readonly #daemon: Daemon;
  readonly #random: Random;
  readonly #acknowledged = new Map<string, Acknowledged>();
  /** What the daemon, or the way to it, died under. */
  readonly #unanswered = new Set<Wish>();
  readonly #calls = new Set<Promise<void>>();
  readonly #spans: Span[] = [];
  #timer: NodeJS.Timeout | undefined;
  #count = 0;

  constructor(daemon: Daemon, random: Random) {
    this.#daemon = daemon;
    this.#random = random;
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size;
  }

  begin(): void {
    this.#timer = setInterval(() => this.#submit(this.#wish()), EVERY_MS);
  }

  /** Asks again for what was not acknowledged. */
  askAgain(): void {
    for (const wish of this.#unanswered) {
      this.#unanswered.delete(wish);
      this.#submit(wish);
    }
  }

  /** Resolves when everything that was ever asked for is acknowledged. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#calls);
    this.askAgain();
    await Promise.all(this.#calls);
    assert.equal(this.#unanswered.size, 0, 'a daemon that nobody kills answers');
  }

  #wish(): Wish {
    const kind = this.#pick();
    this.#count += 1;
    const name = `${kind}-${this.#count}`;
    const { script, more }: Kind = kinds[kind];
    const whole = `read -r inside first count </proc/self/uid_map; echo ${name} $first; ${script}`;
    const given = { name, idempotencyKey: name, ...more?.(name, this.#random) };
    return { name, kind, request: shell(whole, given) };
  }

  #submit(wish: Wish): void {
    const call = this.#one(wish).catch((error: unknown) => {
      const isKnown = this.#acknowledged.has(wish.name);
      // Who is not stopped holds its place for ever, and all of them at last.
      const isUnstopped = wish.kind === 'stopped' && isUnavailable(error);
      // What is due at a time that is over by then is no valid wish any more.
      if (isKnown ? isUnstopped : wish.kind !== 'scheduled') this.#unanswered.add(wish);
    });
    this.#calls.add(call);
    void call.then(() => this.#calls.delete(call));
  }

  async #one({ name, kind, request }: Wish): Promise<void> {
    const api = this.#daemon.as('admin');
    const { next }: Kind = kinds[kind];
    const { jobUuid: uuid } = await api.unary(runJob, request);
    const job = { uuid, name, deleted: false };
    this.#acknowledged.set(name, job);
    if (next === 'stop') await api.unary(stopJob, { uuid, force: true });
    if (next === 'delete') {
      await ended(api, uuid);
      await api.unary(deleteJob, { uuid });
      job.deleted = true;
    }
  }

  #pick(): KindName {
    let left = this.#random() * 100;
    for (const [name, { share }] of Object.entries(kinds)) {
      left -= share;
      if (left < 0) return name as KindName;
    }
    return 'instant';
  }

  /**
   * Waits until every job has ended and checks each. At most `mayBeLost` of them may have gone with
   * their keepers. Answers how many did.
   */
  async check(mayBeLost: number): Promise<number> {
    const api = this.#daemon.as('admin');
    const known = await this.#known();
    for (const { uuid, name, deleted } of this.#acknowledged.values()) {
      const found = known.get(name);
      if (deleted) assert.equal(found, undefined, `${name} was deleted`);
      // A deletion that was not acknowledged may have been done.
      else if (kindOf(kindNameOf(name)).next !== 'delete') {
        assert.equal(found?.uuid, uuid, `${name} is forgotten`);
      }
    }
    // What was to be stopped may still run, where the daemon died before its client could say so, and
    // hold the places that all others wait for.
    for (const { name, uuid } of known.values()) {
      const { next } = kindOf(kindNameOf(name));
      if (next === 'stop') await api.unary(stopJob, { uuid, force: true }).catch(() => {});
    }
    let lost = 0;
    for (const { uuid } of known.values()) {
      const { job, stdout } = await ended(api, uuid);
      const isLost = job.reason === 'KEEPER_LOST';
      if (isLost) lost += 1;
      this.#checkEnd(job, isLost);
      this.#checkOutput(job, stdout, isLost);
    }
    assert.ok(lost <= mayBeLost, `${lost} jobs are lost, and ${mayBeLost} keepers were killed`);
    this.#checkIds();
    return lost;
  }

  /** Every job of the daemon, by name. No name may stand there twice. */
  async #known(): Promise<Map<string, { readonly name: string; readonly uuid: string }>> {
    const api = this.#daemon.as('admin');
    const known = new Map<string, { readonly name: string; readonly uuid: string }>();
    let pageToken = '';
    do {
      const page = await api.unary(queryJobs, { limit: 1000, pageToken });
      for (const job of page.jobs) {
        assert.ok(!known.has(job.name), `${job.name} is there twice`);
        known.set(job.name, job);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return known;
  }

  #checkEnd(job: JobDetail, isLost: boolean): void {
    const { reason = 'EXITED', exitCode = 0, next } = kindOf(kindNameOf(job.name));
    const { name, message } = job;
    if (isLost) assert.equal(job.status, 'FAILED', name);
    // Stopped before it ran, it was taken back.
    else if (next === 'stop' && job.reason === 'CANCELED') assert.equal(job.startTime, '', name);
    // Its time counts from the request, and was over before the command ran.
    else if (reason === 'TIMEOUT' && job.reason === 'NOT_STARTED') {
      assert.deepEqual(
        [message.endsWith('timeout: ETIMEDOUT'), job.startTime],
        [true, ''],
        message,
      );
    } else {
      const say = `${name}: ${message}`;
      assert.deepEqual([job.reason, job.exitCode], [reason, exitCode], say);
    }
    assert.ok(
      Date.parse(job.endTime) >= Date.parse(job.createdTime),
      `${name} ended: ${job.endTime}`,
    );
  }

  #checkOutput(job: JobDetail, stdout: string, isLost: boolean): void {
    const { name, uuid } = job;
    const { printed, reason } = kindOf(kindNameOf(name));
    const wanted = printed?.(name) ?? '';
    if (job.startTime === '') assert.equal(stdout, '', name);
    else {
      const [first = '', rest = ''] = cut(stdout);
      // Killed early, it may not have come to print anything, or not all.
      if (isLost || reason !== undefined)
        assert.ok(`${wanted}`.startsWith(rest), `${name}: output`);
      else assert.ok(rest === wanted, `${name} printed ${rest.length} of ${wanted.length}`);
      const [, token, firstId = ''] = /^(\S+) (\d+)$/.exec(first) ?? [];
      if (token !== undefined) {
        assert.equal(token, name);
        const [fromMs, toMs] = [Date.parse(job.startTime), Date.parse(job.endTime)];
        this.#spans.push({ name, firstId, fromMs, toMs });
      } else assert.ok(first === '' && (isLost || reason !== undefined), `${name}: ${first}`);
      const log = readLog(path.join(this.#daemon.directory, 'logs', uuid));
      assert.ok(log.stdout === stdout, `${name}: what is read is what is there`);
      const ends = log.records.filter(({ stream }) => stream === 'end').length;
      if (!isLost) assert.deepEqual([ends, log.torn], [1, 0], `${name}: ends, and torn bytes`);
      assert.equal(Number(job.logBytes), log.stdout.length + log.stderr.length, name);
    }
  }

  /** No two jobs had the same ids at the same time. */
  #checkIds(): void {
    const spans = this.#spans.toSorted((a, b) => a.fromMs - b.fromMs);
    const lastWith = new Map<string, Span>();
    for (const span of spans) {
      const before = lastWith.get(span.firstId);
      if (before !== undefined) {
        assert.ok(before.toMs <= span.fromMs, `${before.name} and ${span.name} shared their ids`);
      }
      lastWith.set(span.firstId, span);
    }
  }

  /** Every job that is said to run has a keeper, or its end is being recorded just now. */
  async checkRunning(hasKeeper: (uuid: string) => Promise<boolean>): Promise<void> {
    const api = this.#daemon.as('admin');
    const { jobs } = await api.unary(queryJobs, { statuses: ['RUNNING'], limit: 1000 });
    for (const { uuid } of jobs) {
      if (await hasKeeper(uuid)) continue;
      await output(api, { uuid });
      const { status, name } = await statusOf(api, uuid);
      assert.notEqual(status, 'RUNNING', `${name} runs without a keeper`);
    }
  }
}

/** The first line without its end, and what follows. */
function cut(text: string): [string, string] {
  const end = text.indexOf('\n');
  return end < 0 ? [text, ''] : [text.slice(0, end), text.slice(end + 1)];
}

function kindNameOf(jobName: string): string {
  return jobName.slice(0, jobName.lastIndexOf('-'));
}
