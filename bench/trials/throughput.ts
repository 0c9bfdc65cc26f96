// Jobs a second: /bin/true again and again, with one and with eight in flight.

import { fairness } from '../peers.ts';
import { Samples } from '../samples.ts';
import { runsPerSecond } from '../spawn-timer.ts';
import { ratio, type Trial } from '../trial.ts';
import { BENCH_LIMITS, openWorld, type World } from '../world.ts';

const IN_FLIGHT = [1, 8] as const;
/** Each row runs in this many turns, round robin, so that all see the same machine. */
const TURNS = 3;

export const trial: Trial = {
  title: 'jobs a second, run to their end',
  async body({ seconds }) {
    const world = await openWorld();
    const turnSeconds = Math.max(1, Math.round(seconds / TURNS));
    const samples = new Samples('jobs/s');
    try {
      for (let turn = 0; turn < TURNS; turn += 1) {
        for (const inFlight of IN_FLIGHT) {
          const note = (name: string, rate: number) => {
            samples.note(`${name}, ${inFlight} in flight`, rate);
          };
          note('joblet', await jobsPerSecond(world, inFlight, turnSeconds));
          for (const peer of world.workshop.peers) {
            note(peer.name, await runsPerSecond(world.workshop, peer, inFlight, turnSeconds));
          }
        }
      }
    } finally {
      await world.close();
    }
    const rows = samples.rows();
    return {
      rows,
      ratios: [
        ...ratio(rows, 'joblet, 1 in flight', 'bwrap, 1 in flight'),
        ...ratio(rows, 'joblet, 8 in flight', 'bwrap, 8 in flight', 'at least 2'),
        ...ratio(rows, 'joblet, 8 in flight', 'crun, 8 in flight'),
        ...ratio(rows, 'joblet, 8 in flight', 'podman, 8 in flight', 'at least 30'),
      ],
      notes: [
        `${TURNS} turns of ${turnSeconds} s for each row.`,
        "Joblet's client runs in the bench's own Node process and takes its share of the processors.",
        ...fairness,
        ...world.workshop.notes,
      ],
    };
  },
};

async function jobsPerSecond(world: World, inFlight: number, seconds: number): Promise<number> {
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  let jobs = 0;
  const loop = async () => {
    while (performance.now() < until) {
      await world.ended(await world.run('/bin/true', BENCH_LIMITS));
      jobs += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return jobs / ((performance.now() - startedAt) / 1000);
}
