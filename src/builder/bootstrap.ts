// The first programs of a tree: packages that every other one may count on are unpacked without
// running anything, and then set up by each other.

import { existsSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { LockedDeb } from '../shared/build-lock.ts';
import { archivesFolder, places } from '../shared/build-task.ts';
import type { Platform } from '../shared/platform.ts';
import { fileOf } from './apt.ts';
import { runInTree } from './chroot.ts';
import { run } from './programs.ts';

/** Suites from before /bin, /sbin and /lib became links into /usr had them as folders. */
const merged = (platform: Platform) => [
  'bin',
  'sbin',
  'lib',
  ...(platform.debian === 'amd64' ? ['lib32', 'lib64', 'libx32'] : []),
];

/** Nothing is started while a tree is built. */
const policy = '#!/bin/sh\nexit 101\n';
export const POLICY_FILE = 'usr/sbin/policy-rc.d';

// Not by a pipe: a shell would not see that its first program failed.
const unpackScript = `
  tree=$1 work=$2
  shift 2
  for deb; do
    dpkg-deb --fsys-tarfile "$deb" >"$work/deb.tar"
    tar -xpf "$work/deb.tar" -C "$tree" --numeric-owner --keep-directory-symlink
  done
  rm "$work/deb.tar"
`;

/** Unpacks the essential packages. */
export async function unpackEssential(
  packages: readonly LockedDeb[],
  platform: Platform,
): Promise<void> {
  for (const name of merged(platform)) {
    await mkdir(path.join(places.tree, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, path.join(places.tree, name));
  }
  const debs = packages.map((each) => path.join(places.tree, archivesFolder, fileOf(each)));
  await run('sh', ['-ec', unpackScript, 'sh', places.tree, places.work, ...debs]);
  const database = path.join(places.tree, 'var/lib/dpkg');
  await mkdir(path.join(database, 'info'), { recursive: true });
  await mkdir(path.join(database, 'updates'), { recursive: true });
  for (const name of ['status', 'available']) await writeFile(path.join(database, name), '');
  await writeFile(path.join(places.tree, POLICY_FILE), policy, { mode: 0o755 });
}

/** Sets the essential packages up, by their own programs. */
export async function configureEssential(packages: readonly LockedDeb[]): Promise<void> {
  const files = packages.map((each) => `/${archivesFolder}/${fileOf(each)}`);
  await runInTree('dpkg', ['--force-depends', '--force-unsafe-io', '--install', ...files]);
}

/** Takes away what was only for the build. */
export async function endBootstrap(): Promise<void> {
  await rm(path.join(places.tree, POLICY_FILE), { force: true });
  if (existsSync(path.join(places.tree, 'sbin/ldconfig'))) await runInTree('ldconfig', []);
}
