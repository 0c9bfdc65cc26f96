// What the kernel is told of this thread.

import { readlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Where all processors are busy, a tenth of what others get. */
const BEHIND_NICE = 10;

/** Lets the other threads of the host go first, those of this process too. */
export function standBehind(): void {
  const id = Number(path.basename(readlinkSync('/proc/thread-self')));
  os.setPriority(id, BEHIND_NICE);
}
