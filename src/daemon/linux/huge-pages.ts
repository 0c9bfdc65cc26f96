// Huge pages that the host has set aside for programs of its own. No limit of memory counts them, and any
// process may map them, so the jobs of this daemon get none: for them it is as if there were none.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { JobletError, messageOf } from '../../shared/errors.ts';

const SIZES = '/sys/kernel/mm/hugepages';

/** What of a cgroup limits them: pages that are used, and pages that are only promised. */
const LIMIT = /^hugetlb\.\w+\.(rsvd\.)?max$/;

/**
 * Keeps everything below a directory of the unified tree at `root` from them. Done once, for all jobs
 * together: their own directories know nothing of it.
 * @throws JobletError unsupported, where the host has some and cannot do that
 */
export function closeHugePages(root: string, relative: string): void {
  try {
    let at = root;
    for (const part of relative.split('/')) {
      writeFileSync(path.join(at, 'cgroup.subtree_control'), '+hugetlb');
      at = path.join(at, part);
    }
    for (const file of readdirSync(at).filter((name) => LIMIT.test(name))) {
      writeFileSync(path.join(at, file), '0');
    }
  } catch (error) {
    if (!hasHugePages()) return;
    throw new JobletError(
      'unsupported',
      `jobs cannot be kept from the huge pages of this host: ${messageOf(error)}; set none aside (vm.nr_hugepages, vm.nr_overcommit_hugepages), or leave the controller hugetlb to cgroup v2`,
      { about: root, cause: error },
    );
  }
}

/** Of any size, set aside or to be had on demand. */
function hasHugePages(): boolean {
  if (!existsSync(SIZES)) return false;
  return readdirSync(SIZES)
    .flatMap((size) => ['nr_hugepages', 'nr_overcommit_hugepages'].map((file) => [size, file]))
    .some((parts) => Number(readFileSync(path.join(SIZES, ...parts), 'utf8')) > 0);
}
