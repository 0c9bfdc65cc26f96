// Reads a pack that somebody else made into an empty directory, bounded by what may be in a runtime,
// and, where the pack begins with a signed manifest, by what that says. See tree-writer.ts for the rest.

import { readArchive } from './archive.ts';
import { ManifestGuard, manifestFirst, type Trust, type Unpacked } from './manifest-guard.ts';
import type { TreeLimits, Witness } from './settle.ts';
import { TreeWriter } from './tree-writer.ts';

export interface Unpacking {
  readonly pack: string;
  /** An empty directory. */
  readonly target: string;
  readonly limits: TreeLimits;
  readonly trust: Trust;
}

export async function unpack(order: Unpacking, witness: Witness): Promise<Unpacked> {
  const { pack, target, limits, trust } = order;
  const guard = new ManifestGuard(target, trust);
  const writer = new TreeWriter(target, limits, (entry) => guard.check(entry));
  try {
    await readArchive(pack, writer, {
      maxEntries: limits.maxFiles,
      inOrder: manifestFirst,
      tell: (done, total) => {
        witness.goOn();
        witness.tell(done, total);
      },
    });
    writer.end();
  } finally {
    writer.discard();
  }
  return guard.finish();
}
