// The root of a job that names no runtime: the host's own programs and libraries, read-only, and a
// made-up /etc. Nothing else of the host is there.

import { createHash } from 'node:crypto';
import { lstatSync, readlinkSync } from 'node:fs';

/** What jobs may see as their root: mount operations that jobs with the same key share. */
export interface Root {
  readonly key: string;
  readonly operations: readonly string[];
  /** Paths of the host in it. */
  readonly readOnly: readonly string[];
}

/** Files of a minimal /etc that are the same for every job. */
const etcFiles: Readonly<Record<string, string>> = {
  passwd:
    'root:x:0:0:root:/work:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  group: 'root:x:0:\nnogroup:x:65534:\n',
  'nsswitch.conf':
    'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  shells: '/bin/sh\n',
};

/** Files of /etc that differ from job to job: they lie in the job's own /run. */
const ownFiles = ['hostname', 'hosts', 'resolv.conf', 'machine-id'] as const;

/**
 * Reads off the host which of the configured paths are folders, files or links, and describes the
 * root. Paths that the host lacks are left out.
 */
export function hostRoot(allowedMounts: readonly string[]): Root {
  const operations: string[] = [];
  const readOnly: string[] = [];
  for (const directory of ['/etc', '/work', '/tmp', '/run', '/proc', '/sys', '/var', '/volumes']) {
    operations.push('dir', directory, '0755');
  }
  operations.push('dev', '/dev');
  operations.push('symlink', '/tmp', '/var/tmp', 'symlink', '/run', '/var/run');
  for (const [name, text] of Object.entries(etcFiles)) {
    operations.push('file', `/etc/${name}`, '0644', text);
  }
  for (const name of ownFiles) operations.push('symlink', `/run/${name}`, `/etc/${name}`);
  operations.push('symlink', '/proc/self/mounts', '/etc/mtab');
  for (const source of allowedMounts) {
    const found = lstatSync(source, { throwIfNoEntry: false });
    if (found === undefined) continue;
    readOnly.push(source);
    // A link such as /bin -> usr/bin stays the link it is; /etc/localtime points into /usr.
    if (found.isSymbolicLink()) operations.push('symlink', readlinkSync(source), source);
    else operations.push('bind-ro', source, source);
  }
  const key = createHash('sha256').update(operations.join('\0')).digest('hex').slice(0, 16);
  return { key, operations, readOnly };
}
