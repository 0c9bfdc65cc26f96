// What a request asked for, as one short digest for each of its fields: enough to see later whether
// another request asks for the same, and to name what differs.

import { createHash, type Hash } from 'node:crypto';
import { RunJobRequestSchema } from '../../gen/joblet/jobs_pb.ts';
import type { JobRequest } from './job-spec.ts';

const DIGEST_CHARS = 16;

/** The key itself, and an id that is another each time the same files are sent ahead. */
const notCompared: readonly string[] = ['idempotency_key', 'upload_id'];

/** Pure. Fields that are not set have none. */
export function digestsOf(request: JobRequest): Record<string, string> {
  const digests: Record<string, string> = {};
  for (const { name, localName } of RunJobRequestSchema.fields) {
    const value = (request as Readonly<Record<string, unknown>>)[localName];
    if (notCompared.includes(name) || isUnset(value)) continue;
    const hash = createHash('sha256');
    feed(hash, value);
    digests[name] = hash.digest('hex').slice(0, DIGEST_CHARS);
  }
  return digests;
}

/** Proto3 does not tell a default from nothing. */
function isUnset(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return !value;
  return Object.keys(value).length === 0;
}

/** Each value with its kind and its length, so that no two of them read the same. */
function feed(hash: Hash, value: unknown): void {
  if (value instanceof Uint8Array) {
    hash.update(`bytes ${value.length}\n`).update(value);
  } else if (Array.isArray(value)) {
    hash.update(`list ${value.length}\n`);
    for (const each of value) feed(hash, each);
  } else if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([name]) => !name.startsWith('$'));
    hash.update(`map ${fields.length}\n`);
    for (const [name, each] of fields.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      feed(hash, name);
      feed(hash, each);
    }
  } else {
    const text = String(value);
    hash.update(`${typeof value} ${text.length}\n${text}`);
  }
}
