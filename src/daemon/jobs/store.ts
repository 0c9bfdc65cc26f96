// The jobs table. Rows in, Job values out; nothing else knows the columns. Every change of a row is
// in the transaction of its record in the audit log.

import { type JobStatus, type Outcome, viewOutcome } from '../../shared/job-state.ts';
import type { Audit } from '../audit/audit.ts';
import type { Action } from '../audit/record.ts';
import type { Db } from '../store/db.ts';
import type { Identity, Job, JobKey, StoredSpec, Timeout, Usage } from './job.ts';
import { JobLists, type JobQuery, type ListedJob } from './job-lists.ts';
import type { Keyed } from './keys.ts';
import type { Sandbox } from './posture.ts';

/** What only the node itself needs to know of a job. */
export interface JobRow {
  readonly job: Job;
  /** First host id of its user namespace, while it holds one. */
  readonly idRange: number | undefined;
  readonly bootId: string;
}

/** What the audit log calls a change that made a job come to a status. */
const changeOf = {
  PENDING: 'job.waiting',
  SCHEDULED: 'job.waiting',
  INITIALIZING: 'job.starting',
  RUNNING: 'job.running',
  COMPLETED: 'job.ended',
  FAILED: 'job.ended',
  STOPPED: 'job.ended',
  CANCELED: 'job.ended',
} as const satisfies Record<JobStatus, Action>;

const COLUMNS = `id, status, spec, secrets, created_at_ms, queued_at_ms, started_at_ms, ended_at_ms,
  timeout, stopped_by, outcome, usage, log_bytes, log_dropped, id_range, boot_id`;

/** Hears of jobs within the transactions that write them. */
export interface JobFollower {
  added(job: Job): void;
  changedJob(job: Job): void;
  removed?(id: string): void;
}

export class JobStore {
  readonly #db: Db;
  readonly #followers: JobFollower[] = [];
  readonly #insert;
  readonly #update;
  readonly #audit: Audit;
  readonly #get;
  readonly #prefix;
  readonly #byKey;
  readonly #open;
  readonly #delete;
  readonly #setSandbox;
  readonly #getSandbox;
  readonly #setStopGrace;
  readonly #getStopGrace;
  readonly #finished;
  readonly #lists: JobLists;

  constructor(db: Db, audit: Audit) {
    this.#db = db;
    this.#audit = audit;
    this.#lists = new JobLists(db);
    this.#insert = db.prepare(
      `INSERT INTO jobs (id, name, status, spec, secrets, created_at_ms, queued_at_ms, start_at_ms, timeout,
         id_range, boot_id, sandbox, key_owner, idempotency_key, request_digests)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#update = db.prepare(
      `UPDATE jobs SET status = ?, queued_at_ms = ?, started_at_ms = ?, ended_at_ms = ?,
         timeout = ?, stopped_by = ?, outcome = ?, usage = ?,
         log_bytes = ?, log_dropped = ?, id_range = ?, boot_id = ? WHERE id = ?`,
    );
    this.#get = db.prepare(`SELECT ${COLUMNS} FROM jobs WHERE id = ?`);
    this.#prefix = db.prepare('SELECT id FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT 2');
    this.#byKey = db.prepare(
      'SELECT id, request_digests FROM jobs WHERE key_owner = ? AND idempotency_key = ?',
    );
    this.#open = db.prepare(
      `SELECT ${COLUMNS} FROM jobs WHERE ended_at_ms = 0
       ORDER BY rowid`,
    );
    this.#setSandbox = db.prepare('UPDATE jobs SET sandbox = ? WHERE id = ?');
    this.#getSandbox = db.prepare('SELECT sandbox FROM jobs WHERE id = ?');
    this.#setStopGrace = db.prepare('UPDATE jobs SET stop_grace_ms = ? WHERE id = ?');
    this.#getStopGrace = db.prepare('SELECT stop_grace_ms FROM jobs WHERE id = ?');
    this.#delete = db.prepare('DELETE FROM jobs WHERE id = ?');
    this.#finished = db.prepare('SELECT id FROM jobs WHERE ended_at_ms > 0');
  }

  /** Tells somebody of every job that is added, comes to another state or is deleted. */
  tell(follower: JobFollower): void {
    this.#followers.push(follower);
  }

  /** Adds a job. Resolves when it is committed. One that starts has a sandbox. */
  add(
    { job, idRange, bootId }: JobRow,
    sandbox: Sandbox | undefined,
    who: Identity,
    key: JobKey | undefined,
  ): Promise<void> {
    const { secretEnvironment, ...spec } = job.spec;
    return this.#db.write(() => {
      this.#audit.append({
        atMs: job.createdAtMs,
        action: 'job.created',
        jobId: job.id,
        who,
        result: job.status,
        detail: job.spec.command,
      });
      this.#insert.run(
        job.id,
        job.spec.name,
        job.status,
        JSON.stringify(spec),
        JSON.stringify(secretEnvironment),
        job.createdAtMs,
        job.queuedAtMs,
        job.spec.startAtMs,
        jsonOrNull(job.timeout),
        idRange ?? null,
        bootId,
        jsonOrNull(sandbox),
        key === undefined ? null : who.name,
        key?.text ?? null,
        jsonOrNull(key?.digests),
      );
      for (const follower of this.#followers) follower.added(job);
    });
  }

  /** Records that a job which waited starts. Resolves when it is committed. */
  start(row: JobRow, sandbox: Sandbox, atMs: number): Promise<void> {
    return this.#db.write(() => {
      this.#apply(row, atMs);
      this.#setSandbox.run(JSON.stringify(sandbox), row.job.id);
    });
  }

  /** What a job's sandbox was made of, or undefined when none was made. */
  sandboxOf(id: string): Sandbox | undefined {
    const text = this.#getSandbox.get(id)?.['sandbox'];
    return typeof text === 'string' ? (JSON.parse(text) as Sandbox) : undefined;
  }

  /** Records a new state of a job; without `who` it is the daemon's own doing. Resolves when it is committed. */
  change(row: JobRow, atMs: number, who?: Identity): Promise<void> {
    return this.#db.write(() => this.#apply(row, atMs, who));
  }

  /** The same, by Db.writeSoon, unless others may wait for this job. */
  changeSoon(row: JobRow, atMs: number): void {
    const apply = () => this.#apply(row, atMs);
    if (row.job.spec.workflowUuid === '') this.#db.writeSoon(apply);
    // What cannot be written now is found out by a later daemon; the end of the job tells of it too.
    else this.#db.write(apply).catch(() => {});
  }

  /** Records what somebody did to a job that changes no row. Resolves when it is committed. */
  act(jobId: string, action: Action, detail: string, atMs: number, who: Identity): Promise<void> {
    return this.#audit.record({ atMs, action, jobId, who, result: 'ok', detail });
  }

  /** The same of an act that changes the row, but not the status. */
  mark(row: JobRow, action: Action, detail: string, atMs: number, who: Identity): Promise<void> {
    return this.#db.write(() => {
      this.#audit.append({ atMs, action, jobId: row.job.id, who, result: 'ok', detail });
      this.#set(row);
    });
  }

  /** Records that a stop was asked for, and how long the job has to end. Resolves when it is committed. */
  stop(row: JobRow, graceMs: number, atMs: number, who: Identity): Promise<void> {
    return this.#db.write(() => {
      const { id } = row.job;
      const detail = `grace ${graceMs} ms`;
      this.#audit.append({ atMs, action: 'job.stop', jobId: id, who, result: 'ok', detail });
      this.#set(row);
      this.#setStopGrace.run(graceMs, id);
    });
  }

  /** How long a job whose stop was asked for has to end. */
  stopGraceOf(id: string): number {
    return Number(this.#getStopGrace.get(id)?.['stop_grace_ms'] ?? 0);
  }

  /** Records the end of a job that has no row. Resolves when it is committed. */
  strangerEnded(jobId: string, atMs: number): Promise<void> {
    const detail = 'STATE_RESTORED: it ran, and the restored state does not know it';
    return this.#audit.record({ atMs, action: 'job.ended', jobId, result: 'STOPPED', detail });
  }

  /** Resolves when it is committed. */
  remove(id: string, atMs: number, who: Identity): Promise<void> {
    return this.#db.write(() => {
      this.#audit.append({ atMs, action: 'job.deleted', jobId: id, who, result: 'ok' });
      this.#delete.run(id);
      for (const follower of this.#followers) follower.removed?.(id);
    });
  }

  find(id: string): Job | undefined {
    const row = this.#get.get(id);
    return row === undefined ? undefined : fromRow(row).job;
  }

  /** The job that a caller gave a key, with what was asked for then. */
  findByKey(owner: string, key: string): Keyed | undefined {
    const row = this.#byKey.get(owner, key);
    if (row === undefined) return undefined;
    return { id: String(row['id']), digests: JSON.parse(String(row['request_digests'])) };
  }

  /** Ids that start with `prefix`: none, the one, or two of several. */
  idsByPrefix(prefix: string): string[] {
    // '~' sorts behind every character of an id.
    return this.#prefix.all(prefix, `${prefix}~`).map((row) => String(row['id']));
  }

  /** Jobs that have not ended, oldest first. */
  unfinished(): JobRow[] {
    return this.#open.all().map(fromRow);
  }

  finishedIds(): string[] {
    return this.#finished.all().map((row) => String(row['id']));
  }

  /** Newest first. */
  query(query: JobQuery): ListedJob[] {
    return this.#lists.query(query);
  }

  /** See Db.durable. */
  durable(): Promise<void> {
    return this.#db.durable();
  }

  #apply(row: JobRow, atMs: number, who?: Identity): void {
    const { job } = row;
    this.#audit.append({
      atMs,
      action: changeOf[job.status],
      jobId: job.id,
      who,
      result: job.status,
      detail: job.outcome === undefined ? '' : wordsOf(job.outcome),
    });
    this.#set(row);
    for (const follower of this.#followers) follower.changedJob(job);
  }

  #set({ job, idRange, bootId }: JobRow): void {
    this.#update.run(
      job.status,
      job.queuedAtMs,
      job.startedAtMs,
      job.endedAtMs,
      jsonOrNull(job.timeout),
      job.stoppedBy,
      jsonOrNull(job.outcome),
      jsonOrNull(job.usage),
      job.logBytes,
      job.logDroppedBytes,
      idRange ?? null,
      bootId,
      job.id,
    );
  }
}

/** The reason of an end, and what there is to add to it. */
function wordsOf(outcome: Outcome): string {
  const { reason, message } = viewOutcome(outcome);
  return message === '' ? reason : `${reason}: ${message}`;
}

function jsonOrNull(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function fromRow(row: Record<string, unknown>): JobRow {
  const text = (name: string) => String(row[name]);
  const number = (name: string) => Number(row[name]);
  const json = (name: string): unknown => (row[name] === null ? undefined : JSON.parse(text(name)));
  const spec = {
    // Rows of earlier versions have none.
    keepWorkMs: 0,
    ...(json('spec') as Omit<StoredSpec, 'secretEnvironment' | 'keepWorkMs'> &
      Partial<Pick<StoredSpec, 'keepWorkMs'>>),
    secretEnvironment: json('secrets') as StoredSpec['secretEnvironment'],
  };
  return {
    job: {
      id: text('id'),
      spec,
      status: text('status') as JobStatus,
      createdAtMs: number('created_at_ms'),
      queuedAtMs: number('queued_at_ms'),
      startedAtMs: number('started_at_ms'),
      endedAtMs: number('ended_at_ms'),
      timeout: json('timeout') as Timeout | undefined,
      stoppedBy: text('stopped_by'),
      outcome: json('outcome') as Outcome | undefined,
      usage: json('usage') as Usage | undefined,
      logBytes: number('log_bytes'),
      logDroppedBytes: number('log_dropped'),
    },
    idRange: row['id_range'] === null ? undefined : number('id_range'),
    bootId: text('boot_id'),
  };
}
