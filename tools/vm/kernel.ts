// The guest's kernel, Debian's for clouds, and programs that this host need not have, fetched as packages
// and unpacked beside the sources. Nothing is installed on the host.

import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

export interface Kernel {
  readonly image: string;
  /** What the guest needs before it has a root, each after those it needs itself. */
  readonly modules: readonly string[];
  readonly busybox: string;
  /** What makes a file system of type xfs, by where it belongs in the guest. */
  readonly mkfsXfs: ReadonlyMap<string, string>;
}

/** ext4 asks for crc32c and quota_v2 by name while it mounts, so no module depends on them. */
const MODULES = [
  'virtio_pci',
  'virtio_blk',
  'virtio_console',
  'crc32c_generic',
  'ext4',
  'quota_v2',
  'xfs',
  'loop',
];

const META_PACKAGE = 'linux-image-cloud-amd64';
/** mkfs.xfs with the libraries that few hosts have. */
const PROGRAM_PACKAGES = ['busybox-static', 'xfsprogs', 'libinih1', 'liburcu8'];
const MKFS_XFS = ['sbin/mkfs.xfs', 'usr/lib/*/libinih.so.*', 'usr/lib/*/liburcu.so.*'];

/** Unpacks the kernel into a directory, unless it is there. */
export function fetchKernel(directory: string): Kernel {
  const tree = path.join(directory, 'kernel');
  if (!existsSync(path.join(tree, 'sbin/mkfs.xfs'))) {
    const fresh = `${tree}.new`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    const depends = execFileSync('apt-cache', ['depends', META_PACKAGE], { encoding: 'utf8' });
    const kernelPackage = /linux-image-\d\S+/.exec(depends)?.[0];
    if (kernelPackage === undefined) throw new Error(`apt knows no ${META_PACKAGE}`);
    const download = ['-qq', '-o', 'APT::Sandbox::User=', 'download'];
    download.push(kernelPackage, ...PROGRAM_PACKAGES);
    execFileSync('apt-get', download, { cwd: fresh, stdio: ['ignore', 'inherit', 'inherit'] });
    for (const file of globSync('*.deb', { cwd: fresh })) {
      execFileSync('dpkg-deb', ['-x', file, '.'], { cwd: fresh });
      rmSync(path.join(fresh, file));
    }
    rmSync(tree, { recursive: true, force: true });
    renameSync(fresh, tree);
  }
  const [image = ''] = globSync('boot/vmlinuz-*', { cwd: tree });
  return {
    image: path.join(tree, image),
    modules: inOrder(tree),
    busybox: path.join(tree, 'bin/busybox'),
    mkfsXfs: new Map(
      globSync(MKFS_XFS, { cwd: tree }).map((file) => [
        file.replace(/^sbin/, 'usr/sbin'),
        path.join(tree, file),
      ]),
    ),
  };
}

/** The files of our modules and of all they need, needed ones first. */
function inOrder(tree: string): string[] {
  const files = new Map(
    globSync('lib/modules/*/kernel/**/*.ko', { cwd: tree }).map((file) => [
      path.basename(file, '.ko').replaceAll('-', '_'),
      path.join(tree, file),
    ]),
  );
  const ordered: string[] = [];
  const add = (name: string) => {
    const file = files.get(name.replaceAll('-', '_'));
    // What has no file is built into the kernel.
    if (file === undefined || ordered.includes(file)) return;
    const depends = /\0depends=([^\0]*)\0/.exec(readFileSync(file, 'latin1'))?.[1] ?? '';
    for (const needed of depends.split(',')) add(needed);
    ordered.push(file);
  };
  for (const name of MODULES) add(name);
  return ordered;
}
