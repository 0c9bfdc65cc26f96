// A runtime of a few files, staged as a build or an unpacked archive would be.

import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Catalogue } from '../src/daemon/runtimes/catalogue.ts';
import { Installs } from '../src/daemon/runtimes/installs.ts';
import { Registries } from '../src/daemon/runtimes/registries.ts';
import { openSigningKey, publicKeyOf } from '../src/daemon/runtimes/signature.ts';
import { type TreeParts, Trees } from '../src/daemon/runtimes/trees.ts';
import { Uses } from '../src/daemon/runtimes/uses.ts';

/** An empty directory, removed after the test. */
export function scratch(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-trees-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const treeLimits = { maxFiles: 10_000, maxBytes: 2 ** 30, reserveBytes: 0 };

/** Trees of their own below a directory. */
export function openTrees(directory: string, other: Partial<TreeParts> = {}): Trees {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return new Trees({
    directory: path.join(directory, 'runtimes'),
    limits: treeLimits,
    keys: { signing: openSigningKey(path.join(directory, 'key.pem')), trusted: [] },
    uses: new Uses(),
    ...other,
  });
}

/** A node's trees with how runtimes come to them and leave. */
export function openInstalls(
  directory: string,
  { requireSignatures = true, trusted = [] as readonly string[], limits = {}, ca = '' } = {},
) {
  mkdirSync(directory, { recursive: true });
  const signing = openSigningKey(path.join(directory, 'key.pem'));
  const keys = { signing, trusted };
  const all = { ...treeLimits, ...limits };
  const trees = openTrees(directory, { keys, limits: all });
  const catalogue = new Catalogue(trees.places.root);
  const trust = { keys, requireSignatures };
  const registries = new Registries({ addresses: [], trust, ca, maxBytes: all.maxBytes });
  const installs = new Installs({ catalogue, trees, trust, limits: all, registries });
  return { trees, catalogue, installs, key: publicKeyOf(signing) };
}

/** Files by their paths; a text that begins with `->` makes a link. */
export type Files = Readonly<Record<string, string>>;

export const smallTree: Files = {
  'runtime.yml': 'name: small\nversion: 1.0.0\n',
  'isolated/bin/tool': '#!/bin/sh\necho tool\n',
  'isolated/lib/data': 'data',
  'isolated/lib/empty': '',
  'isolated/usr/bin/other': '#!/bin/sh\necho other\n',
  'isolated/etc/tool': '-> /bin/tool',
};

/** Writes files; programs are those in a `bin`. */
export function writeTree(directory: string, files: Files): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (text.startsWith('-> ')) symlinkSync(text.slice(3), file);
    else {
      writeFileSync(file, text);
      chmodSync(file, name.includes('/bin/') ? 0o755 : 0o644);
      if (name.startsWith('isolated/lib/')) chownSync(file, 0, 42);
    }
  }
}

/** Stages files for an installation. */
export async function stageTree(trees: Trees, files: Files = smallTree): Promise<string> {
  const staged = await trees.stage();
  writeTree(staged, files);
  return staged;
}

/** Everything below a directory, by its path. */
export function namesBelow(directory: string): string[] {
  return (readdirSync(directory, { recursive: true }) as string[]).toSorted();
}
