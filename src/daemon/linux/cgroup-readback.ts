// Whether the kernel holds the limits that a plan set, read back from the files it set them in.

import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Options of a launch plan that cgroupPlan makes, with the number of their operands. */
const operandCounts: Readonly<Record<string, number>> = {
  cgroup: 2,
  'cgroup-set': 2,
  'memory-events': 2,
  'cpu-usage': 2,
  'io-usage': 2,
};

export interface LimitsReadBack {
  /** Files that hold what was set. */
  readonly confirmed: readonly string[];
  /** Files that do not, and groups that the process is not in, as sentences. */
  readonly deviations: readonly string[];
}

/** Reads back what `plan`, the part of a launch plan that cgroupPlan made, set for a process. */
export function readBackLimits(plan: readonly string[], pid: number): LimitsReadBack {
  const confirmed: string[] = [];
  const deviations: string[] = [];
  for (let at = 0; at < plan.length; at += 1 + (operandCounts[plan[at] ?? ''] ?? 0)) {
    const [option, first = '', second = ''] = plan.slice(at, at + 3);
    if (option === 'cgroup' && !holdsProcess(second, pid)) {
      deviations.push(`process ${pid} is not in ${second}`);
    }
    if (option !== 'cgroup-set') continue;
    const file = path.basename(first);
    const found = readFileSync(first, 'utf8').trim();
    if (holds(file, found, second)) confirmed.push(`${file} ${second}`);
    else deviations.push(`${file} holds ${JSON.stringify(found)}, not ${JSON.stringify(second)}`);
  }
  return { confirmed, deviations };
}

function holdsProcess(directory: string, pid: number): boolean {
  const members = readFileSync(path.join(directory, 'cgroup.procs'), 'utf8').split('\n');
  return members.includes(String(pid));
}

/** The kernel writes lists of cores in its own way, and more keys behind those that were set. */
function holds(file: string, found: string, set: string): boolean {
  if (file.startsWith('cpuset.')) return expand(found) === expand(set);
  return found.split('\n').some((line) => line === set || line.startsWith(`${set} `));
}

/** `0-2,4` as `0,1,2,4`. */
function expand(list: string): string {
  const numbers = list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, step) => first + step);
  });
  return [...new Set(numbers)].toSorted((a, b) => a - b).join(',');
}
