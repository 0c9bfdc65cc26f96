// A volume as a job names it: what passes is written out as the same again, and stands nowhere that
// the kernel's own views do.

import assert from 'node:assert/strict';
import path from 'node:path/posix';
import { clashOf, formatVolumeMount, parseVolumeMount } from '../../../src/shared/volume-mount.ts';
import { target } from '../target.ts';

export default target({
  seeds: [
    'data',
    'data:/srv/data:ro',
    'data:/dev/shm/x',
    'data:/proc/x',
    'a:/x\na:/x/y\nb:/z',
    'data::ro',
  ],
  words: [':', '/', ':ro', ':rw', '..', '/proc', '/sys', '/dev', '/run', '\n', '\0'],
  run(input) {
    const mounts = input.toString().split('\n').map(parseVolumeMount);
    const sound = mounts.filter((mount) => typeof mount !== 'string');
    for (const mount of sound) {
      assert.deepEqual(parseVolumeMount(formatVolumeMount(mount)), mount);
      assert.equal(path.normalize(mount.path), mount.path);
      assert.match(mount.path, /^\/(?!(proc|sys|run)(\/|$)|dev$|dev\/(?!shm\/.)|$)/);
    }
    if (clashOf(sound) === undefined) {
      assert.equal(new Set(sound.map((mount) => mount.path)).size, sound.length);
    }
  },
});
