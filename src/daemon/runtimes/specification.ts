// What a runtime was built from, as its author wrote it. It lies beside the tree of a runtime that was
// built by a node.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';

export const SPECIFICATION_FILE = 'specification.yaml';
const MAX_BYTES = 1024 ** 2;

/** The text; empty when there is none, or nothing that could be one. */
export async function readSpecification(directory: string): Promise<string> {
  const file = path.join(directory, SPECIFICATION_FILE);
  // No link to anything else: whoever may look at runtimes is shown this.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(file, flags).catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const found = await handle.stat();
    return found.isFile() && found.size <= MAX_BYTES ? await handle.readFile('utf8') : '';
  } finally {
    await handle.close();
  }
}
