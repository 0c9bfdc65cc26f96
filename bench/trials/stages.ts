// Where the time of a start goes: how much processor time each of the processes takes that a job
// passes through. Processor time, unlike elapsed time, is hardly changed by what else the machine does.

import { childrenOf, cpuUsec } from '../processes.ts';
import { Samples } from '../samples.ts';
import type { Trial } from '../trial.ts';
import { BENCH_LIMITS, openWorld } from '../world.ts';

const WARM_UP_JOBS = 100;

export const trial: Trial = {
  title: 'processor time of one start, by process',
  async body({ rounds }) {
    const world = await openWorld();
    const samples = new Samples('us');
    try {
      const [launcher] = childrenOf(world.daemonPid);
      if (launcher === undefined) throw new Error('the daemon has no launcher');
      for (let round = -WARM_UP_JOBS; round < rounds; round += 1) {
        if (round === 0) samples.clear();
        const daemonBefore = cpuUsec(world.daemonPid);
        const launcherBefore = cpuUsec(launcher);
        const job = await world.run('/usr/bin/sleep', BENCH_LIMITS, ['86400']);
        samples.note('daemon: the start', cpuUsec(world.daemonPid) - daemonBefore);
        samples.note('launcher: the fork of the keeper', cpuUsec(launcher) - launcherBefore);
        for (const keeper of childrenOf(launcher)) {
          for (const init of childrenOf(keeper)) {
            samples.note('keeper: cgroups, log, supervision', cpuUsec(keeper));
            samples.note('init: namespaces, mounts, filter', cpuUsec(init));
            for (const command of childrenOf(init)) {
              samples.note('command: exec and the loading of sleep', cpuUsec(command));
            }
          }
        }
        const daemonRunning = cpuUsec(world.daemonPid);
        await world.kill(job);
        samples.note('daemon: the stop and the end', cpuUsec(world.daemonPid) - daemonRunning);
      }
    } finally {
      await world.close();
    }
    const rows = samples.rows();
    return {
      rows,
      ratios: [],
      notes: [
        'From schedstat, up to the moment when the client had its answer; daemon: its main thread only.',
      ],
    };
  },
};
