// What the kernel says of the process 1 of a job, seen from outside: its ids, rights, namespaces and
// mounts. Everything here is read once, when somebody asks.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/** The kinds of namespaces that are a job's own, as `/proc/PID/ns` names them. */
export const namespaceKinds = ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user'] as const;
export type NamespaceKind = (typeof namespaceKinds)[number];

export interface JobMount {
  /** Where in its file system it begins. */
  readonly root: string;
  readonly target: string;
  readonly type: string;
  /** Of this mount: `ro`, `nosuid` and so on. */
  readonly options: readonly string[];
  /** Of the file system: `size=1024k` and so on. */
  readonly fileSystemOptions: readonly string[];
  /** Mounts of others appear in it, or its own with others. */
  readonly propagates: boolean;
}

export interface JobProcess {
  readonly pid: number;
  /** Host ids of its users and of its groups, as `/proc/PID/uid_map` has them. */
  readonly uidMap: string;
  readonly gidMap: string;
  /** Names of the capabilities in any of its five sets. */
  readonly capabilities: readonly string[];
  readonly noNewPrivs: boolean;
  /** 2 is a filter. */
  readonly seccompMode: number;
  /** Kinds of namespaces that it shares with this process. */
  readonly shared: readonly NamespaceKind[];
  readonly mounts: readonly JobMount[];
  /** Names of the devices in its /dev. */
  readonly devices: readonly string[];
  /** The most bytes that a core dump of it may have. */
  readonly coreBytes: number;
}

/** As the kernel numbers them. */
export const capabilityNames = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

/**
 * Reads process 1 of a job, or undefined when it has gone. Process ids are used again, so its parent,
 * the job's keeper, is looked at before and after.
 */
export function readJobProcess(pid: number, keeperPid: number): JobProcess | undefined {
  const directory = path.join('/proc', String(pid));
  const file = (name: string) => readFileSync(path.join(directory, name), 'utf8');
  try {
    const status = file('status');
    const process: JobProcess = {
      pid,
      uidMap: words(file('uid_map')),
      gidMap: words(file('gid_map')),
      capabilities: parseCapabilities(status),
      noNewPrivs: statusField(status, 'NoNewPrivs') === '1',
      seccompMode: Number(statusField(status, 'Seccomp')),
      shared: namespaceKinds.filter(
        (kind) =>
          readlinkSync(path.join(directory, 'ns', kind)) === readlinkSync(`/proc/self/ns/${kind}`),
      ),
      mounts: parseMounts(file('mountinfo')),
      devices: readdirSync(path.join(directory, 'root/dev'), { withFileTypes: true })
        .filter((entry) => entry.isCharacterDevice() || entry.isBlockDevice())
        .map(({ name }) => name),
      coreBytes: parseCoreLimit(file('limits')),
    };
    const parents = [status, file('status')].map((text) => Number(statusField(text, 'PPid')));
    return parents.every((parent) => parent === keeperPid) ? process : undefined;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EINVAL') return undefined;
    throw error;
  }
}

/** The value of a line `Name:\tvalue` of `/proc/PID/status`; empty when there is none. */
export function statusField(status: string, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
}

/** Names of the capabilities in any set of a process. */
export function parseCapabilities(status: string): string[] {
  const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];
  const all = sets.reduce((sum, set) => sum | BigInt(`0x${statusField(status, set) || '0'}`), 0n);
  return namesOf(all);
}

/** Names of the capabilities in a set. Those newer than our list are numbers. */
export function namesOf(set: bigint): string[] {
  const names: string[] = [];
  for (let bit = 0; set >> BigInt(bit) > 0n; bit += 1) {
    if ((set >> BigInt(bit)) & 1n) names.push(capabilityNames[bit] ?? `capability ${bit}`);
  }
  return names;
}

/** Reads `/proc/PID/mountinfo`. */
export function parseMounts(mountinfo: string): JobMount[] {
  return mountinfo
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [left = '', right = ''] = line.split(' - ');
      const [, , , root = '', target = '', options = '', ...tags] = left.split(' ');
      const [type = '', , fileSystemOptions = ''] = right.split(' ');
      return {
        root,
        target,
        type,
        options: options.split(','),
        fileSystemOptions: fileSystemOptions.split(','),
        propagates: tags.some((tag) => /^(shared|master):/.test(tag)),
      };
    });
}

function parseCoreLimit(limits: string): number {
  const [, hard = ''] = /^Max core file size\s+\S+\s+(\S+)/m.exec(limits) ?? [];
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

function words(text: string): string {
  return text.trim().replaceAll(/[ \t]+/g, ' ');
}
