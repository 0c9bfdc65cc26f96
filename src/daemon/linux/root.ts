// What jobs see as their root. Every one has the same folders of its own, a /dev, and of /etc what
// programs cannot do without; the rest is the host's (host-root.ts) or a runtime's.

import { createHash } from 'node:crypto';

export interface Root {
  readonly key: string;
  /** Mount operations that jobs with the same key share. */
  readonly operations: readonly string[];
  /** What of it lies elsewhere and is mounted. */
  readonly readOnly: readonly string[];
  /** Variables of its jobs, beside those that every job has. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Where programs are looked for unless somebody says otherwise. */
export const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const ownFolders = [
  '/etc',
  '/work',
  '/tmp',
  '/run',
  '/proc',
  '/sys',
  '/dev',
  '/var',
  '/volumes',
] as const;

/** What is the job's own, whatever it runs in. Files that differ from job to job lie in its own /run. */
export const ownLinks: Readonly<Record<string, string>> = {
  '/etc/hostname': '/run/hostname',
  '/etc/hosts': '/run/hosts',
  '/etc/resolv.conf': '/run/resolv.conf',
  '/etc/machine-id': '/run/machine-id',
  '/etc/mtab': '/proc/self/mounts',
  '/var/run': '/run',
  '/var/tmp': '/tmp',
};

/** The least that an /etc has. */
export const leastFiles: Readonly<Record<string, string>> = {
  '/etc/passwd':
    'root:x:0:0:root:/work:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  '/etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  '/etc/nsswitch.conf':
    'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  '/etc/shells': '/bin/sh\n',
};

/** The operations for what every job has; `there` are those of it that come from elsewhere. */
export function ownOperations(there: ReadonlySet<string> = new Set()): string[] {
  const operations: string[] = [];
  for (const directory of ownFolders) operations.push('dir', directory, '0755');
  operations.push('dev', '/dev');
  for (const [target, text] of Object.entries(ownLinks)) {
    if (!there.has(target)) operations.push('symlink', text, target);
  }
  for (const [target, text] of Object.entries(leastFiles)) {
    if (!there.has(target)) operations.push('file', target, '0644', text);
  }
  return operations;
}

/** A key for operations, and for the state of what they mount. */
export function keyOf(operations: readonly string[], states: Iterable<string> = []): string {
  const all = [...operations, ...states].join('\0');
  return createHash('sha256').update(all).digest('hex').slice(0, 16);
}
