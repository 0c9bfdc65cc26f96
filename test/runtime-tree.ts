// Small runtimes, made by hand as anybody might: a folder with runtime.yml and a tree, put where the
// daemon looks for runtimes.

import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
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
