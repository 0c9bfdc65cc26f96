// Idempotency keys: a job that is asked for again by the same caller with the same key is the one that
// exists. What is kept of a key stands in the job's row; here is only what is under way.

import { JobletError } from '../../shared/errors.ts';
import type { Identity, Job, JobKey } from './job.ts';

/** A job that a key belongs to, with what was asked for then. */
export interface Keyed {
  readonly id: string;
  readonly digests: JobKey['digests'];
}

interface UnderWay {
  readonly digests: JobKey['digests'];
  readonly job: Promise<Job>;
}

export class Keys {
  readonly #find: (owner: string, key: string) => Keyed | undefined;
  /** Jobs that are being made, by owner and key. */
  readonly #underWay = new Map<string, UnderWay>();

  /** `find` knows the keys of all jobs that have been recorded. */
  constructor(find: (owner: string, key: string) => Keyed | undefined) {
    this.#find = find;
  }

  /** Answers the id of the caller's job with this key, and makes it if there is none. */
  async once(
    key: JobKey,
    who: Identity,
    make: () => Promise<Job>,
  ): Promise<{ readonly id: string; readonly isNew: boolean }> {
    const name = JSON.stringify([who.name, key.text]);
    const other = this.#underWay.get(name);
    if (other !== undefined) {
      const { id } = await other.job;
      compare(key, { id, digests: other.digests });
      return { id, isNew: false };
    }
    const earlier = this.#find(who.name, key.text);
    if (earlier !== undefined) {
      compare(key, earlier);
      return { id: earlier.id, isNew: false };
    }
    const job = make();
    this.#underWay.set(name, { digests: key.digests, job });
    try {
      return { id: (await job).id, isNew: true };
    } finally {
      this.#underWay.delete(name);
    }
  }
}

/** @throws JobletError exists, when another job is meant */
function compare({ text, digests }: JobKey, earlier: Keyed): void {
  const fields = new Set([...Object.keys(digests), ...Object.keys(earlier.digests)]);
  const differ = [...fields].filter((field) => digests[field] !== earlier.digests[field]);
  if (differ.length === 0) return;
  throw new JobletError(
    'exists',
    `the idempotency key ${JSON.stringify(text)} belongs to job ${earlier.id}, which was asked for` +
      ` with other values of ${differ.toSorted().join(', ')}; take another key for another job`,
    { about: 'idempotency_key' },
  );
}
