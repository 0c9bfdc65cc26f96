// What a host can do to every promise at once without any step of a start failing. The daemon does not
// start where one of these holds, for a job there would be weaker than it is told to be.

import { existsSync, readFileSync } from 'node:fs';
import { JobletError } from '../../shared/errors.ts';
import type { CgroupLayout } from './cgroup.ts';
import { namesOf, statusField } from './job-process.ts';

/** Root's rights without which a job does not start, or cannot be ended as it should. */
export const RIGHTS = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_ADMIN',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SYS_ADMIN',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
] as const;

/** From here on the host panics when one cgroup is out of memory, and not only when all of it is. */
export const PANICS_FOR_ONE = 2;

export interface Conditions {
  /** Effective capabilities of this process. */
  readonly capabilities: readonly string[];
  /** The kernel's. */
  readonly commandLine: string;
  readonly hasSwap: boolean;
  /** The sysctl vm.panic_on_oom. */
  readonly panicOnOom: number;
}

export function readConditions(): Conditions {
  const status = readFileSync('/proc/self/status', 'utf8');
  return {
    capabilities: namesOf(BigInt(`0x${statusField(status, 'CapEff')}`)),
    commandLine: readFileSync('/proc/cmdline', 'utf8').trim(),
    hasSwap: hasSwap(),
    panicOnOom: Number(readFileSync('/proc/sys/vm/panic_on_oom', 'utf8')),
  };
}

/** Whether anything can be swapped out now. */
export function hasSwap(): boolean {
  // A kernel that cannot swap has no such file.
  if (!existsSync('/proc/swaps')) return false;
  return readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
}

export function lackingRights({ capabilities }: Pick<Conditions, 'capabilities'>): string[] {
  return RIGHTS.filter((name) => !capabilities.includes(name));
}

/** The word on the kernel's command line that takes its own memory out of the limits, or undefined. */
export function uncountedMemory({
  commandLine,
}: Pick<Conditions, 'commandLine'>): string | undefined {
  return /\bcgroup\.memory=\S*\bno(?:kmem|socket)\b/.exec(commandLine)?.[0];
}

/** Throws when root's rights are not there, before anything is made with them. */
export function requireRights(conditions: Conditions): void {
  const rights = lackingRights(conditions);
  if (rights.length === 0) return;
  const lacking = rights.length === RIGHTS.length ? 'the rights of root' : rights.join(', ');
  throw new JobletError(
    'unsupported',
    `the daemon lacks ${lacking}, without which jobs could not be started, or not be ended; run it as root of the host with all capabilities (joblet doctor says more)`,
  );
}

/** Throws when limits of every job would not be kept here, with all there is to say. */
export function requireConditions(
  conditions: Conditions,
  { swap }: Pick<CgroupLayout, 'swap'>,
): void {
  const uncounted = uncountedMemory(conditions);
  const problems = [
    ...(conditions.hasSwap && !swap
      ? [
          'there is swap that the kernel does not count, so a job could take more than its memory limit; boot with swapaccount=1, or swapoff -a',
        ]
      : []),
    ...(uncounted === undefined
      ? []
      : [
          `the kernel does not count what it holds for a job (${uncounted}); take that off its command line`,
        ]),
    ...(conditions.panicOnOom >= PANICS_FOR_ONE
      ? [
          `the host would panic when one job is out of memory (vm.panic_on_oom = ${conditions.panicOnOom}); sysctl -w vm.panic_on_oom=0`,
        ]
      : []),
  ];
  if (problems.length === 0) return;
  throw new JobletError(
    'unsupported',
    `what is promised to jobs could not be kept on this host: ${problems.join('; ')} (joblet doctor says more)`,
  );
}
