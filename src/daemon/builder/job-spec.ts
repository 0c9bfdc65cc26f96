// Jobs that the builder makes for itself.

import { type JobSpec, plainSpec } from '../jobs/job.ts';

const MAX_NAME_CHARS = 63;
const GRACE_MS = 1000;

/** A job of the builder’s, without what makes it one. */
export function jobSpecOf(name: string, [command = '', ...args]: readonly string[]): JobSpec {
  return { ...plainSpec, name: name.slice(0, MAX_NAME_CHARS), command, args, graceMs: GRACE_MS };
}
