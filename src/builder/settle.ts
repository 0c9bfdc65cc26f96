// The last touch of a tree: what tells of this build alone goes or becomes what it would be in any
// other, so that the same packages make the same files.

import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { chmod, lutimes, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { places } from '../shared/build-task.ts';
import { TREE_TIME_S } from '../shared/tree-time.ts';
import { runInTree } from './chroot.ts';
import { globToRegExp, walk } from './globs.ts';
import { say } from './output.ts';

/** What every tree loses. Folders stay, for programs expect them. */
const leftovers = [
  '/var/lib/apt/lists/**',
  '/var/cache/apt/**',
  '/var/cache/debconf/**',
  '/var/cache/ldconfig/**',
  '/var/cache/man/**',
  '/var/log/**',
  '/tmp/**',
  '/run/**',
  '/root/.cache',
  '/root/.npm',
  '/etc/machine-id',
  '/etc/hostname',
  '/etc/.pwd.lock',
  '/etc/passwd-',
  '/etc/group-',
  '/etc/shadow-',
  '/etc/gshadow-',
  '/etc/ssh/ssh_host_*',
  '/var/lib/dpkg/*-old',
  '/var/lib/dpkg/lock*',
  '/var/lib/dpkg/triggers/Lock',
  '/var/lib/systemd/**',
  // Made by root while it was built; the tree is read-only for its jobs, and others make them again.
  '/**/__pycache__',
  '/**/*.pyc',
] as const;

/** Folders that a tree has, whatever it was made of. */
const folders: readonly (readonly [folder: string, mode: number])[] = [
  ['dev', 0o755],
  ['etc', 0o755],
  ['proc', 0o755],
  ['root', 0o700],
  ['run', 0o755],
  ['sys', 0o755],
  ['tmp', 0o1777],
  ['var', 0o755],
  ['var/tmp', 0o1777],
  ['work', 0o755],
];

const SPECIAL_BITS = 0o6000;

export async function settle(): Promise<void> {
  const meant = leftovers.map(globToRegExp);
  for (const { target } of [...walk(places.tree)]) {
    if (!meant.some((glob) => glob.test(target))) continue;
    await rm(path.join(places.tree, target), { recursive: true, force: true });
  }
  await chmod(places.tree, 0o755);
  for (const [folder, mode] of folders) {
    const place = path.join(places.tree, folder);
    if (!existsSync(place)) await mkdir(place, { recursive: true });
    await chmod(place, mode);
  }
  await forgetPasswordDays();
  await sortKeystore();
  await compilePython();
  await evenOut();
}

/** The day on which an account was made stands in /etc/shadow. */
async function forgetPasswordDays(): Promise<void> {
  const file = path.join(places.tree, 'etc/shadow');
  if (!existsSync(file)) return;
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replaceAll(/^([^:\n]*:[^:\n]*:)\d+:/gm, '$11:'));
}

const KEYSTORE = 'etc/ssl/certs/java/cacerts';

async function sortKeystore(): Promise<void> {
  const file = path.join(places.tree, KEYSTORE);
  if (!existsSync(file)) return;
  const { evenKeystore } = await import('./keystore.ts');
  const even = evenKeystore(await readFile(file), TREE_TIME_S * 1000);
  if (even !== undefined) await writeFile(file, even);
}

/** Folders of Python’s modules, by the program that compiles them. */
function pythons(): [program: string, folders: string[]][] {
  const programs = new Map<string, string[]>();
  for (const base of ['usr/lib', 'usr/local/lib']) {
    const place = path.join(places.tree, base);
    if (!existsSync(place)) continue;
    for (const name of readdirSync(place)) {
      // Modules of all versions of Debian's lie in python3.
      const program = /^python(2\.7|3(\.\d+)?)$/.test(name) ? name : '';
      if (program === '' || !lstatSync(path.join(place, name)).isDirectory()) continue;
      const one = programFor(program);
      if (one !== undefined) programs.set(one, [...(programs.get(one) ?? []), `/${base}/${name}`]);
    }
  }
  return [...programs];
}

function programFor(name: string): string | undefined {
  return [`/usr/local/bin/${name}`, `/usr/bin/${name}`].find((program) =>
    existsSync(path.join(places.tree, program)),
  );
}

/**
 * Compiled modules that hold the digest of their source instead of its time, and are not compared
 * with it: nobody can change either. Python 2 only knows times.
 */
async function compilePython(): Promise<void> {
  for (const [program, modules] of pythons()) {
    say(`compiling the modules of ${program}`);
    const options = ['-m', 'compileall', '-q', '-f'];
    if (program.endsWith(PYTHON_2)) await evenOutSources(modules);
    else options.push('--invalidation-mode', 'unchecked-hash');
    // Files that are no Python of this version come along with packages.
    await runInTree(program, [...options, ...modules], { quiet: true }).catch(() => {
      say(`some modules of ${program} do not compile`, 'warn');
    });
  }
}

/** It goes by the time of a source, and writes that into what it compiles. */
const PYTHON_2 = 'python2.7';

async function evenOutSources(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    for (const { target } of walk(places.tree, folder)) {
      if (!target.endsWith('.py')) continue;
      await lutimes(path.join(places.tree, target), TREE_TIME_S, TREE_TIME_S);
    }
  }
}

/** One time for everything, and no file that lends its owner’s rights. */
async function evenOut(): Promise<void> {
  for (const { target, kind } of [...walk(places.tree)].toReversed()) {
    const file = path.join(places.tree, target);
    const { mode } = lstatSync(file);
    if (kind !== 'link' && (mode & SPECIAL_BITS) !== 0)
      await chmod(file, mode & ~SPECIAL_BITS & 0o7777);
    await lutimes(file, TREE_TIME_S, TREE_TIME_S);
  }
  await lutimes(places.tree, TREE_TIME_S, TREE_TIME_S);
}
