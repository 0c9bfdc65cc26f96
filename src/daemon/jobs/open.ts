// The jobs of a node as its configuration has them.

import type { Config } from '../config.ts';
import { readBootId } from '../linux/boot.ts';
import type { CgroupSlots } from '../linux/cgroup-slots.ts';
import { reserveOf } from '../linux/disk.ts';
import type { Networks } from '../networks/networks.ts';
import { version } from '../version.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { IdRanges } from './id-ranges.ts';
import { Jobs, type JobsParts } from './jobs.ts';
import type { KeptWork } from './kept-work.ts';
import type { Capacity } from './queue.ts';
import { Resources } from './resources.ts';
import { Room } from './room.ts';

interface Parts extends Omit<JobsParts, 'config' | 'resources' | 'room' | 'cgroups' | 'bootId'> {
  readonly cgroups: CgroupSlots;
  readonly idRanges: IdRanges;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly kept: KeptWork;
  readonly workDirectory: string;
}

/** Room in a work directory beside the uploaded files. */
const WORK_ROOM_BYTES = 256 * 1024 * 1024;
/** Uploads up to this size lie in the job's memory; bigger ones on disk. */
const UPLOAD_IN_MEMORY_BYTES = 16 * 1024 * 1024;
/** Room that the disks of the state and of the logs must have for another job. */
const STATE_ROOM_BYTES = 1024 * 1024;
const LOG_ROOM_BYTES = 256 * 1024;

/** None starts before those of an earlier daemon are recovered. */
export function openJobs(config: Config, parts: Parts): Jobs {
  const { cgroups, idRanges, volumes, networks, kept, workDirectory, uploads } = parts;
  return new Jobs({
    ...parts,
    config: jobsConfigOf(config),
    resources: new Resources(idRanges, uploads, cgroups, volumes, networks, kept, workDirectory, {
      defaultBytes: config.filesystem.workBytes,
      roomBytes: WORK_ROOM_BYTES,
      inMemoryBytes: UPLOAD_IN_MEMORY_BYTES,
    }),
    room: new Room([
      { directory: config.state.path, leastBytes: STATE_ROOM_BYTES },
      { directory: config.logs.directory, leastBytes: LOG_ROOM_BYTES },
    ]),
    cgroups: cgroups.layout,
    bootId: readBootId(),
  });
}

function jobsConfigOf(config: Config): JobsParts['config'] {
  const { joblet, logs, filesystem } = config;
  return {
    capacity: capacityOf(joblet),
    maxWaitingJobs: joblet.maxWaitingJobs,
    logSegmentBytes: logs.segmentBytes,
    logQuotaBytes: logs.quotaBytes,
    logReserveBytes: reserveOf(logs.directory, filesystem.minFreeBytes),
    tmpBytes: filesystem.tmpBytes,
    shmBytes: filesystem.shmBytes,
    version: version.version,
  };
}

/** What running jobs may hold together. Each of them needs a range of ids. */
function capacityOf(joblet: Config['joblet']): Capacity {
  const { maxConcurrentJobs, idRanges, maxTotalCpuPercent, maxTotalMemoryBytes } = joblet;
  const isBounded = maxConcurrentJobs > 0 && maxConcurrentJobs <= idRanges;
  return {
    places: isBounded ? maxConcurrentJobs : idRanges,
    placesKey: isBounded ? 'joblet.maxConcurrentJobs' : 'joblet.idRanges',
    cpuPercent: maxTotalCpuPercent,
    memoryBytes: maxTotalMemoryBytes,
  };
}
