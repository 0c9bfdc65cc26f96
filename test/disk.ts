// Small disks of a test's own, which it may fill, break and take away.

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const MIB = 1 << 20;

const FILE_SYSTEMS = {
  ext4: { format: ['mkfs.ext4', '-q', '-F', '-m', '0'], options: 'errors=remount-ro' },
  'ext4 with projects': {
    format: ['mkfs.ext4', '-q', '-F', '-O', 'quota,project', '-E', 'quotatype=prjquota'],
    options: 'errors=remount-ro',
  },
  xfs: { format: ['mkfs.xfs', '-q'], options: 'inode64' },
} as const;

export type FileSystem = keyof typeof FILE_SYSTEMS;

/** A file system of its own, mounted from a file. Whoever makes it removes it. */
export class Disk {
  /** Where it is mounted. */
  readonly directory: string;
  readonly #home: string;
  readonly #type: FileSystem;
  #image: string;

  constructor(mebibytes: number, type: FileSystem = 'ext4', options = 'rw') {
    this.#type = type;
    this.#home = mkdtempSync(path.join(tmpdir(), 'joblet-disk-'));
    this.#image = path.join(this.#home, 'image');
    this.directory = path.join(this.#home, 'mounted');
    mkdirSync(this.directory);
    closeSync(openSync(this.#image, 'w'));
    truncateSync(this.#image, mebibytes * MIB);
    const [program, ...args] = FILE_SYSTEMS[type].format;
    execFileSync(program, [...args, this.#image]);
    this.mount(options);
  }

  mount(options = 'rw'): void {
    const all = `loop,${FILE_SYSTEMS[this.#type].options},${options}`;
    execFileSync('mount', ['-o', all, this.#image, this.directory]);
  }

  unmount(): void {
    execFileSync('umount', [this.directory]);
  }

  /**
   * Mounts it as after a repair. Processes that are on their way out may hold the broken file system for
   * a moment yet: it is let go of when they have left, and a copy is mounted.
   */
  mountAnew(): void {
    execFileSync('umount', ['--lazy', this.directory]);
    const copy = `${this.#image}-anew`;
    execFileSync('cp', ['--sparse=always', this.#image, copy]);
    this.#image = copy;
    this.mount();
  }

  /** Writes until there is no room for one byte more. */
  fill(): void {
    const fd = openSync(this.#filler, 'a');
    for (const bytes of [MIB, 4096, 1]) {
      const data = Buffer.alloc(bytes);
      while (wrote(fd, data));
    }
    closeSync(fd);
  }

  /** Gives back what `fill` took. */
  empty(): void {
    rmSync(this.#filler);
  }

  /** Has the kernel find an error: from now on nothing can be written until it is mounted anew. */
  break(): void {
    const device = execFileSync('findmnt', ['-no', 'SOURCE', this.directory], { encoding: 'utf8' });
    const name = path.basename(device.trim());
    writeFileSync(`/sys/fs/ext4/${name}/trigger_fs_error`, 'broken by a test');
  }

  remove(): void {
    this.unmount();
    rmSync(this.#home, { recursive: true });
  }

  get #filler(): string {
    return path.join(this.directory, 'filler');
  }
}

function wrote(fd: number, data: Buffer): boolean {
  try {
    return writeSync(fd, data) > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    return false;
  }
}
