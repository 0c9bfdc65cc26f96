// Small runtimes, made by hand as anybody might: a folder with runtime.yml and a tree, put where the
// daemon looks for runtimes.

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';

/** A runtime.yml, as its keys are written. */
export type RuntimeKeys = Readonly<Record<string, unknown>> & {
  readonly name: string;
  readonly version: string;
};

const BUSYBOX = '/bin/busybox';

const APPLETS =
  'cat chmod cp date dd df echo env expr false find grep head hostname id ln ls mkdir mount mv od pwd rm sh sleep sort stat tail test touch tr true wc whoami yes';

const FOLDERS = ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr/bin', 'var/tmp'];

/** Why there is no tree to be had, or false: the `skip` of a test. */
export function cannotMakeTree(): string | false {
  return existsSync(BUSYBOX) ? false : 'there is no busybox; apt-get install busybox-static';
}

/** Makes a folder with a runtime.yml and a tree of one static program that is a whole shell. */
export function makeRuntime(folder: string, keys: RuntimeKeys): string {
  makeTree(path.join(folder, 'isolated'));
  describeRuntime(folder, keys);
  return folder;
}

/** Writes the runtime.yml of a folder. */
export function describeRuntime(folder: string, keys: RuntimeKeys): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'runtime.yml'), stringify(keys));
}

/** The tree alone. Programs lie in /usr/bin, and /bin is a link there, as distributions have it. */
export function makeTree(tree: string): void {
  for (const each of FOLDERS) mkdirSync(path.join(tree, each), { recursive: true });
  symlinkSync('usr/bin', path.join(tree, 'bin'));
  symlinkSync('/run', path.join(tree, 'var/run'));
  copyFileSync(BUSYBOX, path.join(tree, 'usr/bin/busybox'));
  for (const each of APPLETS.split(' ')) symlinkSync('busybox', path.join(tree, 'usr/bin', each));
  writeFileSync(path.join(tree, 'etc/os-release'), 'ID=small\n');
}

const PYTHON = '/usr/bin/python3';

/** Why there is no Python to be put into a tree, or false. */
export function cannotMakePythonTree(): string | false {
  return cannotMakeTree() || (existsSync(PYTHON) ? false : 'there is no python3');
}

/** A tree with this host's Python, and what that needs of libraries, beside the small one's programs. */
export function makePythonTree(tree: string): void {
  makeTree(tree);
  const file = realpathSync(PYTHON);
  const library = `/usr/lib/${path.basename(file)}`;
  const modules = readdirSync(`${library}/lib-dynload`).map(
    (name) => `${library}/lib-dynload/${name}`,
  );
  for (const each of [file, ...librariesOf([file, ...modules])]) copyInto(tree, each);
  cpSync(library, path.join(tree, library), { recursive: true });
  symlinkSync(path.basename(file), path.join(tree, PYTHON));
  for (const name of ['lib', 'lib64']) {
    if (existsSync(path.join(tree, 'usr', name))) symlinkSync(`usr/${name}`, path.join(tree, name));
  }
}

/** What programs load when they start, the loader too. */
function librariesOf(files: readonly string[]): string[] {
  const said = execFileSync('ldd', files, { encoding: 'utf8' });
  return [...new Set([...said.matchAll(/(?:=> |^\t)(\/\S+) \(/gm)].map(([, name = '']) => name))];
}

/** Puts a file where it lies on this host, below /usr as all that is in a merged one. */
function copyInto(tree: string, file: string): void {
  const place = file.replace(/^\/lib/, '/usr/lib');
  const copy = path.join(tree, place);
  mkdirSync(path.dirname(copy), { recursive: true });
  copyFileSync(file, copy);
}
