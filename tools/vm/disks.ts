// The guest's disks. The first is a small Debian made of packages that this host has, with Node and
// the libraries; it is made once. The second holds the sources as they are now.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { ROOT } from '../steps.ts';
import type { Kernel } from './kernel.ts';

/** Programs that tests run in the guest, inside and outside of jobs. */
const PACKAGES = [
  'bash',
  'coreutils',
  'dash',
  'e2fsprogs',
  'findutils',
  'grep',
  'hostname',
  'iproute2',
  // Node needs these two.
  'libatomic1',
  'libstdc++6',
  'mount',
  'procps',
  'python3',
  'sed',
  'util-linux',
];

/** Not worth copying: nobody reads manuals in there. */
const MANUALS = /^\/usr\/share\/(doc|man|info|locale|lintian|bug)(\/|$)/;

/** Made by the installation of packages, so that no package lists them. */
const MADE_FILES = ['/etc/alternatives', '/etc/ld.so.cache'];

const ROOT_LINKS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
const EMPTY_DIRECTORIES = ['dev', 'etc', 'proc', 'repository', 'root', 'run', 'sys', 'tmp', 'var'];

/** Libraries that build and check; the guest only runs. */
const FOR_BUILDING =
  /^(@biomejs|@esbuild|esbuild|@typescript|typescript|knip|@oxc-[^/]*|oxc-[^/]*|@bufbuild\/(buf|protoc).*)$/;

/** Parts of the repository that the guest has from the first disk, or does without. */
const NOT_SOURCES = new Set(['.git', '.tools', '.vm', '.joblet', 'node_modules']);

/** Room on a disk for what a test writes. */
const ROOM_MB = 1024;

/** The disk with the system; made again when what it is made of has changed. */
export function systemDisk(directory: string, kernel: Kernel): string {
  const init = readFileSync(path.join(import.meta.dirname, 'guest-init'));
  const files = [...PACKAGES, ...kernel.mkfsXfs.keys()].join();
  const recipe = [init, files, ROOT, readFileSync(path.join(ROOT, 'package-lock.json'))];
  const hash = createHash('sha256');
  for (const part of recipe) hash.update(part);
  const disk = path.join(directory, `system-${hash.digest('hex').slice(0, 12)}.ext4`);
  if (existsSync(disk)) return disk;

  for (const name of readdirSync(directory)) {
    if (name.startsWith('system-')) rmSync(path.join(directory, name), { recursive: true });
  }
  const tree = `${disk}.tree`;
  for (const name of EMPTY_DIRECTORIES) mkdirSync(path.join(tree, name), { recursive: true });
  for (const name of ROOT_LINKS) {
    const link = `/${name}`;
    if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink()) {
      symlinkSync(readlinkSync(link), path.join(tree, name));
    }
  }
  copyPackages(tree);
  writeFileSync(path.join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(path.join(tree, 'etc/group'), 'root:x:0:\n');
  cpSync(kernel.busybox, path.join(tree, 'usr/bin/busybox'));
  for (const [place, file] of kernel.mkfsXfs) copyFileSync(file, path.join(tree, place));
  writeFileSync(path.join(tree, 'usr/sbin/guest-init'), init, { mode: 0o755 });
  const inside = path.join(tree, ROOT);
  cpSync(path.join(ROOT, '.tools'), path.join(inside, '.tools'), {
    recursive: true,
    filter: (source) => !/\/node-linux-[^/]*\/(include|share)$/.test(source),
  });
  const libraries = path.join(ROOT, 'node_modules');
  cpSync(libraries, path.join(inside, 'node_modules'), {
    recursive: true,
    filter: (source) => !FOR_BUILDING.test(path.relative(libraries, source)),
  });
  makeDisk(tree, disk);
  return disk;
}

/** A disk with the sources, with what was built of them, and with the script to run. */
export function sourceDisk(directory: string, script: string): string {
  const tree = path.join(directory, 'tree');
  mkdirSync(tree);
  for (const name of readdirSync(ROOT)) {
    if (NOT_SOURCES.has(name)) continue;
    cpSync(path.join(ROOT, name), path.join(tree, name), { recursive: true });
  }
  writeFileSync(path.join(tree, '.guest-script'), script);
  const disk = path.join(directory, 'sources.ext4');
  makeDisk(tree, disk);
  return disk;
}

/** Copies the files of our packages, and of those that they need, from this host. */
function copyPackages(tree: string): void {
  const depends = execFileSync(
    'apt-cache',
    ['depends', '--recurse', '--installed', '--important', ...PACKAGES],
    { encoding: 'utf8' },
  );
  const packages = depends.split('\n').filter((line) => /^[a-z0-9]/.test(line));
  // One of several packages that would do is installed; the others have no files to list.
  const { stdout: listed } = spawnSync('dpkg-query', ['-L', ...packages], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 ** 2,
  });
  const files = listed
    .split('\n')
    .filter((file) => file.startsWith('/') && !MANUALS.test(file))
    // Packages name /bin/sh where the host has /usr/bin/sh.
    .map((file) => path.join(realDirectory(path.dirname(file)), path.basename(file)))
    .filter((file) => lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === false);
  const list = [...new Set(files), ...MADE_FILES].map((file) => `.${file}\n`).join('');
  const archive = execFileSync(
    'tar',
    ['-c', '-C', '/', '--ignore-failed-read', '--warning=none', '-T', '-'],
    { input: list, maxBuffer: 1024 ** 3 },
  );
  execFileSync('tar', ['-x', '-C', tree], { input: archive });
}

function realDirectory(directory: string): string {
  try {
    return realpathSync(directory);
  } catch {
    return directory;
  }
}

/** Puts a tree into an ext4 image in which everything belongs to root, and removes the tree. */
function makeDisk(tree: string, disk: string): void {
  const used = execFileSync('du', ['-sm', tree], { encoding: 'utf8' });
  const sizeMb = Math.ceil(Number.parseInt(used, 10) * 1.2) + ROOM_MB;
  const format = ['mkfs.ext4', '-q', '-O', '^has_journal', '-d', tree, disk, `${sizeMb}M`];
  // Without root, a user namespace makes the caller's files look like root's.
  const [program = '', ...args] = process.getuid?.() === 0 ? format : ['unshare', '-r', ...format];
  rmSync(disk, { force: true });
  // Its progress goes to standard error as well; a failure brings that along.
  execFileSync(program, args, { stdio: 'pipe' });
  rmSync(tree, { recursive: true });
}
