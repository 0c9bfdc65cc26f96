// What a runtime costs its jobs: to start in one instead of on the host's programs, to be the first that does,
// and to import much in one instead of in a plain chroot of the same tree. (S0-5, S1-10)

import { execFile } from 'node:child_process';
import { utimesSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Peer } from '../peers.ts';
import { Samples } from '../samples.ts';
import { SpawnTimer } from '../spawn-timer.ts';
import { ratio, type Trial } from '../trial.ts';
import { openWorld } from '../world.ts';

const RUNTIME = 'python-3.11-ml';
const VERSION = '1.0.0';
const SPECIFICATION = path.join(import.meta.dirname, '../../runtimes', RUNTIME);
const IMPORT = ['-c', 'import numpy, pandas, sklearn'] as const;

/** Enough for the imports, which make threads; the host has no more cores to give. */
const LIMITS = { maxCpu: 200, maxMemory: 1024, maxProcesses: 256 } as const;

const WARM_UP_ROUNDS = 5;
const WARM_UP_JOBS = 200;
/** An import takes as long as a hundred starts: it sits out most rounds. */
const IMPORT_EVERY = 10;

export const trial: Trial = {
  title: `jobs in ${RUNTIME}, beside jobs on the host's programs and a plain chroot`,
  async body({ rounds }) {
    const world = await openWorld();
    const samples = new Samples('ms');
    const timed = async (command: string, args: readonly string[], runtime: string) => {
      const since = nowNs();
      await world.ended(await world.run(command, { ...LIMITS, runtime }, args));
      return nowNs() - since;
    };
    let chroot: SpawnTimer | undefined;
    let buildS = 0;
    try {
      const since = nowNs();
      const [rnx = '', ...config] = world.rnx;
      await promisify(execFile)(rnx, [...config, 'runtime', 'build', SPECIFICATION]);
      buildS = (nowNs() - since) / 1e9;
      const tree = world.tree(RUNTIME, VERSION);
      chroot = new SpawnTimer(world.workshop, chrootPeer(tree), 'true');
      for (let job = 0; job < WARM_UP_JOBS; job += 1) {
        await timed('/bin/true', [], job % 2 === 0 ? '' : RUNTIME);
      }
      // What is imported is in memory from here on.
      await chroot.run();
      await timed('/usr/bin/python3', IMPORT, RUNTIME);
      for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
        if (round === 0) samples.clear();
        samples.noteNs(HOST, await timed('/bin/true', [], ''));
        samples.noteNs(IN_RUNTIME, await timed('/bin/true', [], RUNTIME));
        if (round % IMPORT_EVERY !== 0) continue;
        // To the daemon it is another runtime then, of which nobody has a view yet.
        utimesSync(path.join(tree, '../runtime.yml'), new Date(), new Date());
        samples.noteNs(FIRST_IN_RUNTIME, await timed('/bin/true', [], RUNTIME));
        const run = await chroot.run();
        samples.noteNs(IMPORT_IN_CHROOT, run.endedNs - run.spawnedNs);
        samples.noteNs(IMPORT_IN_JOB, await timed('/usr/bin/python3', IMPORT, RUNTIME));
      }
    } finally {
      chroot?.stop();
      await world.close();
    }
    const rows = samples.rows();
    return {
      rows,
      ratios: [
        ...ratio(rows, IN_RUNTIME, HOST),
        ...ratio(rows, IMPORT_IN_JOB, IMPORT_IN_CHROOT, 'at most 1.1'),
      ],
      notes: [
        'Promised of the first two rows: the second is at most 1 ms more.',
        `To build the runtime took ${Math.round(buildS)} s, once.`,
        'The chroot has no namespaces, no limits, no record and no log.',
      ],
    };
  },
};

const HOST = 'joblet: request to exit, /bin/true of the host';
const IN_RUNTIME = 'joblet: request to exit, /bin/true of the runtime';
const FIRST_IN_RUNTIME = 'joblet: the same, the first job after the runtime was installed';
const IMPORT_IN_CHROOT = 'chroot: import numpy, pandas, sklearn, whole run';
const IMPORT_IN_JOB = 'joblet: import numpy, pandas, sklearn, request to exit';

function chrootPeer(tree: string): Peer {
  return {
    name: 'chroot',
    hideUnified: false,
    argv: () => ['chroot', tree, '/usr/bin/python3', ...IMPORT],
  };
}

/** The monotonic clock. */
function nowNs(): number {
  return Number(process.hrtime.bigint());
}
