// Where a developer's daemon keeps everything: one directory, so that several stand side by side.

import { createHash } from 'node:crypto';
import path from 'node:path';

export interface Home {
  readonly directory: string;
  readonly configFile: string;
  readonly nodesFile: string;
  readonly pidFile: string;
  /** Held by the daemon as long as it lives, however it ends. */
  readonly lockFile: string;
  readonly logFile: string;
  readonly cgroupName: string;
  readonly idRangeFirst: number;
  readonly idRanges: number;
}

/** More than the 100 jobs that run at once, each with its own ids. */
const ID_RANGES = 128;
const IDS_PER_RANGE = 65_536;
/** Above the ids of installed daemons and of tests, up to the last that every kernel takes. */
const FIRST_SLOT = 0x5000_0000;
const SLOTS = 96;

/** The layout below a directory. Names and ids on the host follow from its path. */
export function homeAt(anyPath: string): Home {
  const directory = path.resolve(anyPath);
  const digest = createHash('sha256').update(directory).digest();
  const slot = digest.readUInt32BE(0) % SLOTS;
  return {
    directory,
    configFile: path.join(directory, 'joblet-config.yml'),
    nodesFile: path.join(directory, 'rnx-config.yml'),
    pidFile: path.join(directory, 'run/joblet.pid'),
    lockFile: path.join(directory, 'run/daemon.lock'),
    logFile: path.join(directory, 'joblet.log'),
    cgroupName: `joblet-${digest.toString('hex').slice(0, 12)}`,
    idRangeFirst: FIRST_SLOT + slot * ID_RANGES * IDS_PER_RANGE,
    idRanges: ID_RANGES,
  };
}
