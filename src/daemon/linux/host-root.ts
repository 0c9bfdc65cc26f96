// The root of a job that names no runtime: the host's own programs and libraries, read-only, and a
// made-up /etc. Nothing else of the host is there.

import { lstatSync, readlinkSync } from 'node:fs';
import { keyOf, ownOperations, type Root } from './root.ts';

/**
 * Reads off the host which of the configured paths are folders, files or links, and describes the
 * root. Paths that the host lacks are left out.
 */
export function hostRoot(allowedMounts: readonly string[]): Root {
  const mounts = hostMounts(allowedMounts);
  const operations = [...ownOperations(), ...mounts.operations];
  return { key: keyOf(operations), operations, readOnly: mounts.readOnly, environment: {} };
}

/** The part of that which is the host's. */
export function hostMounts(
  allowedMounts: readonly string[],
): Pick<Root, 'operations' | 'readOnly'> {
  const operations: string[] = [];
  const readOnly: string[] = [];
  for (const source of allowedMounts) {
    const found = lstatSync(source, { throwIfNoEntry: false });
    if (found === undefined) continue;
    readOnly.push(source);
    // A link such as /bin -> usr/bin stays the link it is; /etc/localtime points into /usr.
    if (found.isSymbolicLink()) operations.push('symlink', readlinkSync(source), source);
    else operations.push('bind-ro', source, source);
  }
  return { operations, readOnly };
}
