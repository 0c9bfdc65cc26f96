// What the builder's program sees: the host's programs, read-only, as any job without a runtime does,
// with itself, names of the network, and the places where it works.

import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { places } from '../../shared/build-task.ts';
import { hostMounts } from '../linux/host-root.ts';
import { keyOf, ownOperations } from '../linux/root.ts';
import type { HeldRoot } from '../runtimes/runtimes.ts';

const SOURCES = path.join(import.meta.dirname, '../..');

/** Parts of our own sources that the program is made of. */
const OWN_FOLDERS = ['builder', 'shared'] as const;

/** Who the programs that install packages ask for. */
const passwd = 'root:x:0:0:root:/root:/bin/sh\n_apt:x:100:65534::/nonexistent:/usr/sbin/nologin\n';

/** The root of a build, as the host is now. */
export function buildRoot(allowedMounts: readonly string[]): HeldRoot {
  const files: Readonly<Record<string, string>> = {
    '/etc/passwd': passwd,
    // The builder reaches the network as the host does.
    '/etc/resolv.conf': readIfThere('/etc/resolv.conf'),
    '/etc/hosts': readIfThere('/etc/hosts') || '127.0.0.1 localhost\n',
    '/builder/package.json': '{"type":"module"}\n',
  };
  const { node, ...rest } = places;
  const folders = Object.values(rest);
  const host = hostMounts(allowedMounts);
  const operations = [
    ...ownOperations(new Set(Object.keys(files))),
    ...Object.entries(files).flatMap(([target, text]) => ['file', target, '0644', text]),
    ...[...folders, '/root'].flatMap((target) => ['dir', target, '0755']),
    ...host.operations,
    ...['bind-ro', process.execPath, node],
    ...OWN_FOLDERS.flatMap((name) => [
      'bind-ro',
      path.join(SOURCES, name),
      path.join(places.program, name),
    ]),
  ];
  const state = lstatSync(process.execPath);
  const key = keyOf(operations, [`${state.ino}:${state.mtimeMs}`]);
  return { key, operations, readOnly: host.readOnly, environment: {}, tree: '' };
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
