// The programs of the host that make a tree of Debian packages.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { JobletError } from '../../shared/errors.ts';
import { SEARCH_PATH } from '../linux/root.ts';

/** By the packages that have them, which are of the same name nearly everywhere. */
const programs = {
  'apt-get': 'apt',
  'apt-cache': 'apt',
  'dpkg-deb': 'dpkg',
  gpgv: 'gpgv',
  tar: 'tar',
  chroot: 'coreutils',
} as const;

/** @throws JobletError unsupported, with what to install */
export function requirePrograms(folders: readonly string[] = SEARCH_PATH.split(':')): void {
  const isThere = (name: string) => folders.some((folder) => existsSync(path.join(folder, name)));
  const lacking = Object.entries(programs).filter(([name]) => !isThere(name));
  if (lacking.length === 0) return;
  const packages = [...new Set(lacking.map(([, name]) => name))];
  throw new JobletError(
    'unsupported',
    `this host lacks ${lacking.map(([name]) => name).join(', ')}, which make a tree of Debian packages; install ${packages.join(', ')}`,
  );
}
