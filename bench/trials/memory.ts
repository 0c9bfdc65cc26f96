// What a job that does nothing costs in memory beside its own process (S2-29).

import { readFileSync } from 'node:fs';
import { childrenOf, pssKb } from '../processes.ts';
import { spreadOf } from '../spread.ts';
import type { Row, Trial } from '../trial.ts';
import { BENCH_LIMITS, openWorld } from '../world.ts';

export const trial: Trial = {
  title: 'memory of a job that sleeps',
  async body({ idleJobs }) {
    const world = await openWorld();
    try {
      // One job first, so that what is made once is not counted for each.
      const first = await world.run('/usr/bin/sleep', BENCH_LIMITS, ['86400']);
      const daemonBefore = pssKb(world.daemonPid);
      const kernelBefore = kernelKb();
      const jobs: string[] = [];
      while (jobs.length < idleJobs) {
        jobs.push(await world.run('/usr/bin/sleep', BENCH_LIMITS, ['86400']));
      }
      const daemonGrowth = (pssKb(world.daemonPid) - daemonBefore) / idleJobs;
      const kernelGrowth = (kernelKb() - kernelBefore) / idleJobs;
      const [launcher] = childrenOf(world.daemonPid);
      if (launcher === undefined) throw new Error('the daemon has no launcher');
      // The launcher has one more child, which makes network namespaces ahead and has none itself.
      const keepers = childrenOf(launcher).filter((pid) => childrenOf(pid).length > 0);
      const inits = keepers.flatMap(childrenOf);
      const sleepers = inits.flatMap(childrenOf);
      const both = keepers.map((keeper) => {
        const init = childrenOf(keeper).map(pssKb);
        return pssKb(keeper) + init.reduce((sum, kb) => sum + kb, 0);
      });
      const row = (name: string, values: readonly number[]): Row => ({
        name,
        unit: 'kB',
        spread: spreadOf(values),
      });
      const rows = [
        row('keeper, PSS', keepers.map(pssKb)),
        row('init, PSS', inits.map(pssKb)),
        row('keeper and init together, PSS', both),
        row("the job's own process (sleep), PSS", sleepers.map(pssKb)),
        row('launcher, PSS, one for all', [pssKb(launcher)]),
        row('growth of the daemon for each job, PSS', [daemonGrowth]),
        row('growth of kernel memory for each job', [kernelGrowth]),
      ];
      const sum = both.reduce((total, kb) => total + kb, 0) / both.length;
      const most = Math.max(...both);
      await Promise.all([first, ...jobs].map((job) => world.kill(job)));
      return {
        rows,
        ratios: [
          { name: 'keeper + init, mean kB', value: sum, promise: 'at most 100' },
          { name: 'keeper + init, largest kB', value: most, promise: '' },
        ],
        notes: [
          `${keepers.length} jobs at once; PSS from smaps_rollup.`,
          'The daemon collects its garbage when it likes, so its growth is an upper bound; kernel memory is slab, stacks and page tables of the whole machine.',
        ],
      };
    } finally {
      await world.close();
    }
  },
};

function kernelKb(): number {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const kb = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
  return kb('Slab') + kb('KernelStack') + kb('PageTables');
}
