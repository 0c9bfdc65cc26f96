// Which life of the machine this is.

import { readFileSync } from 'node:fs';

/** Differs after every start of the machine: what a job of another one left is no process any more. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
