// The first, small root of the guest: it loads modules, mounts the disk and goes over to it. A cpio
// archive in the `newc` format, as the kernel wants it; there is no program for it to install.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Kernel } from './kernel.ts';

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules); do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/guest-init
`;

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly content?: Uint8Array;
}

/** Writes the archive for a kernel. */
export function writeInitramfs(file: string, kernel: Kernel): void {
  const modules = kernel.modules.map((module) => ({
    name: `lib/${path.basename(module)}`,
    mode: PROGRAM,
    content: readFileSync(module),
  }));
  const list = modules.map(({ name }) => `/${name}\n`).join('');
  const entries: Entry[] = [
    ...['bin', 'dev', 'lib', 'root'].map((name) => ({ name, mode: DIRECTORY })),
    { name: 'bin/busybox', mode: PROGRAM, content: readFileSync(kernel.busybox) },
    { name: 'init', mode: PROGRAM, content: Buffer.from(INIT) },
    { name: 'modules', mode: PROGRAM, content: Buffer.from(list) },
    ...modules,
    { name: 'TRAILER!!!', mode: 0 },
  ];
  writeFileSync(file, Buffer.concat(entries.flatMap(formatEntry)));
}

/** Header, name and content, each filled up to four bytes. */
function formatEntry(
  { name, mode, content = Buffer.alloc(0) }: Entry,
  inode: number,
): Uint8Array[] {
  const fields = [inode + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return [filled(Buffer.from(`${header}${name}\0`)), filled(content)];
}

function filled(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
