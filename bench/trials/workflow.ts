// What a step of a workflow costs: from the first instruction of one job, which does nothing but say
// when that was, to the first instruction of the next one.

import { Samples } from '../samples.ts';
import { ratio, type Trial } from '../trial.ts';
import { BENCH_LIMITS, openWorld } from '../world.ts';

const CHAIN = 20;
const WARM_UP_JOBS = 100;

const PLAIN = 'a plain start: request to first instruction';
const STEP = 'a workflow: from one first instruction to the next';
const LOOP = 'a loop of plain jobs: from one first instruction to the next';

export const trial: Trial = {
  title: 'one step of a workflow behind the other',
  async body({ rounds }) {
    const world = await openWorld();
    const samples = new Samples('ms', [PLAIN, STEP, LOOP]);
    try {
      for (let job = 0; job < WARM_UP_JOBS; job += 1) {
        await world.ended(await world.run('/bin/true', BENCH_LIMITS));
      }
      const text = chainOf(world.stamp);
      await world.workflow(text);
      for (let round = 0; round < Math.ceil(rounds / CHAIN); round += 1) {
        const ids = await world.workflow(text);
        const stamps: number[] = [];
        for (const id of ids) stamps.push(await world.printed(id));
        for (const [at, stamp] of stamps.slice(1).entries())
          samples.noteNs(STEP, stamp - (stamps[at] ?? 0));
        let before = 0;
        for (let job = 0; job < CHAIN; job += 1) {
          const startNs = Number(process.hrtime.bigint());
          const id = await world.run(world.stamp, BENCH_LIMITS);
          await world.ended(id);
          const stamp = await world.printed(id);
          samples.noteNs(PLAIN, stamp - startNs);
          if (before > 0) samples.noteNs(LOOP, stamp - before);
          before = stamp;
        }
      }
    } finally {
      await world.close();
    }
    const rows = samples.rows();
    return {
      rows,
      ratios: [...ratio(rows, STEP, PLAIN, 'at most 1.5'), ...ratio(rows, STEP, LOOP)],
      notes: [
        'a step has the end of the job before it within: what it held is released and its end recorded first',
      ],
    };
  },
};

function chainOf(stamp: string): string {
  const limits =
    'resources: {max_cpu: 100, max_memory: 256, max_io_bps: 104857600, max_processes: 64}';
  const jobs = Array.from({ length: CHAIN }, (_, at) => {
    const requires = at === 0 ? '' : `, requires: [s${at - 1}: COMPLETED]`;
    return `  s${at}: {command: "${stamp}"${requires}}`;
  });
  return `defaults: {${limits}}\njobs:\n${jobs.join('\n')}\n`;
}
