// Packages of earlier builds, by their digests, so that the next build need not fetch them. What lies
// there came out of a sandbox: a name is the digest that its bytes have, and the builder looks again.

import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

const NAME = /^([0-9a-f]{64})\.deb$/;
/** One package; the biggest there are have less. */
const MAX_PACKAGE_BYTES = 4 * 1024 ** 3;

export class DebCache {
  readonly directory: string;
  readonly #maxBytes: number;

  constructor(directory: string, maxBytes: number) {
    this.directory = directory;
    this.#maxBytes = maxBytes;
  }

  async open(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.directory)) {
      if (!NAME.test(name)) await rm(path.join(this.directory, name), { recursive: true });
    }
  }

  /** Takes over what a build has fetched; marks what it used. */
  async take(folder: string, used: readonly { readonly sha256: string }[]): Promise<void> {
    for (const name of await readdir(folder).catch(() => [])) {
      const digest = NAME.exec(name)?.[1];
      if (digest !== undefined) await this.#copy(path.join(folder, name), digest);
    }
    const now = Date.now() / 1000;
    for (const { sha256 } of used) {
      // It may be one that was not kept.
      await utimes(path.join(this.directory, `${sha256}.deb`), now, now).catch(() => {});
    }
    await this.#shrink();
  }

  async #copy(source: string, digest: string): Promise<void> {
    // Two builds may have fetched the same.
    const partial = path.join(this.directory, `${randomUUID()}.part`);
    const from = await open(
      source,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      const found = await from.stat();
      if (!found.isFile() || found.size > Math.min(MAX_PACKAGE_BYTES, this.#maxBytes)) return;
      const hash = createHash('sha256');
      const to = await open(partial, 'w', 0o600);
      await pipeline(
        from.createReadStream({ autoClose: false }),
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            hash.update(chunk);
            yield chunk;
          }
        },
        to.createWriteStream(),
      );
      if (hash.digest('hex') === digest) {
        await rename(partial, path.join(this.directory, `${digest}.deb`));
      }
    } finally {
      await from.close();
      await rm(partial, { force: true });
    }
  }

  /** The least recently used go when there is too much. */
  async #shrink(): Promise<void> {
    const files = await Promise.all(
      (await readdir(this.directory)).map(async (name) => {
        const file = path.join(this.directory, name);
        const { size, mtimeMs } = await stat(file);
        return { file, size, mtimeMs };
      }),
    );
    let bytes = files.reduce((sum, { size }) => sum + size, 0);
    for (const { file, size } of files.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (bytes <= this.#maxBytes) return;
      await rm(file);
      bytes -= size;
    }
  }
}
