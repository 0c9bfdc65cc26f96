// Where the daemon keeps what it has, and what volumes and runtimes need of file systems.

import type { Place, PlaceName } from '../linux/host-facts.ts';
import { type Check, type Finding, limited, missing, ok, tried } from './check.ts';

const ROOM_BYTES = 1024 ** 3;
const ROOM_FILES = 10_000;
/** Where writes are gone after a restart, and where locks or memory maps of a database do not hold. */
const VANISHING = /^(tmpfs|ramfs)$/;
const UNSAFE = /^(nfs4?|cifs|smb3|9p|virtiofs|fuse.*|ceph|overlay)$/;

function place(name: PlaceName, holds: string, lost: string): Check {
  return {
    group: 'Files',
    name,
    needed: 'jobs',
    means: lost,
    remedy: `Have ${holds} on a local disk with room (see its key in the configuration).`,
    look: ({ places }) => judgePlace(places[name]),
  };
}

function judgePlace({ path, fileSystem, options, freeBytes, freeFiles }: Place): Finding {
  const found = `${path}: ${fileSystem}, ${(freeBytes / 1024 ** 3).toFixed(1)} GB free`;
  if (options.includes('ro')) return missing(`${found}, read-only`);
  if (UNSAFE.test(fileSystem)) return missing(`${found}; a database is not safe there`);
  if (VANISHING.test(fileSystem)) return limited(`${found}; it is gone after a restart`);
  if (freeFiles < ROOM_FILES) return limited(`${found}, but room for ${freeFiles} files only`);
  return freeBytes >= ROOM_BYTES ? ok(found) : limited(`${found}, which is little`);
}

/** What makes, mounts and checks images of file systems. */
const IMAGE_PROGRAMS = ['mkfs.ext4', 'tune2fs', 'e2fsck', 'losetup', 'mount', 'umount', 'cp'];

export const files: readonly Check[] = [
  place('state', 'the state', 'What is known of jobs could get lost, or find no room.'),
  place('logs', 'the logs', 'Output of jobs could get lost, or find no room and leave gaps.'),
  place('work', 'files that jobs bring along', 'Uploads could find no room.'),
  {
    group: 'Files',
    name: 'volumes and work directories on disk',
    needed: { feature: 'volumes, and uploads of more than 16 MB' },
    means:
      'No volume can be made, and a job that brings much along is refused; smaller uploads lie in memory.',
    remedy: 'Load the modules loop and ext4, and install e2fsprogs, mount and coreutils.',
    look: (facts) => {
      const lacking = IMAGE_PROGRAMS.filter((name) => !facts.programs.has(name));
      if (lacking.length > 0) return missing(`no ${lacking.join(', ')}`);
      return tried('loop', 'file system ext4')(facts);
    },
  },
  {
    group: 'Files',
    name: 'volumes in memory',
    needed: { feature: 'volumes of type memory' },
    means: 'The kernel cannot map the ids of a tmpfs (6.3 and later can), so no job can use one.',
    remedy: 'Boot a newer kernel, or use volumes of type filesystem.',
    look: tried('idmap /dev/shm'),
  },
  {
    group: 'Files',
    name: 'quotas of projects',
    needed: 'speed',
    means: 'Volumes on disk get their size from images, which keep the same promises.',
    remedy: 'Mount a disk of xfs at volumes.base_path itself, with prjquota, on cgroup v2.',
    look: ({ places: { volumes } }) => {
      if (volumes.fileSystem !== 'xfs') {
        return missing(`${volumes.fileSystem}, which has none that say ENOSPC`);
      }
      return volumes.isWholeDisk && volumes.options.includes('prjquota')
        ? ok('on')
        : missing('off');
    },
  },
  {
    group: 'Files',
    name: 'overlays',
    needed: { feature: 'runtimes' },
    means: 'No job can run in a runtime: what it sees of the tree is an overlay.',
    remedy: 'Load the module overlay (CONFIG_OVERLAY_FS).',
    look: tried('file system overlay'),
  },
  {
    group: 'Files',
    name: 'packed file systems',
    needed: { later: 'runtimes in one file' },
    means: 'Runtimes could only be kept unpacked.',
    remedy: 'Nothing needs them yet; the modules are squashfs and erofs.',
    look: tried('file system squashfs', 'file system erofs'),
  },
];
