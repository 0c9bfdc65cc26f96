// From the request to the first instruction of the command, and to its exit: one request at a time
// on an open connection, every peer once per round. (S2-2, S2-3, S2-28, S4-46)

import { FLOOR, fairness } from '../peers.ts';
import { Samples } from '../samples.ts';
import { SpawnTimer } from '../spawn-timer.ts';
import { ratio, type Trial } from '../trial.ts';
import { BENCH_LIMITS, openWorld } from '../world.ts';

/** Podman takes as long as a hundred of the others: it sits out most rounds. */
const PODMAN_EVERY = 10;
const WARM_UP_ROUNDS = 5;
/** Jobs before the first round: a daemon that has run for a minute has its code compiled. */
const WARM_UP_JOBS = 300;

export const trial: Trial = {
  title: 'one start at a time, through the API on an open connection',
  async body({ rounds }) {
    const world = await openWorld();
    const samples = new Samples('ms');
    const timers = world.workshop.peers.map((peer) => ({
      peer,
      bare: new SpawnTimer(world.workshop, peer, 'true'),
      stamp: new SpawnTimer(world.workshop, peer, 'stamp'),
    }));
    try {
      for (let job = 0; job < WARM_UP_JOBS; job += 1) {
        await world.ended(await world.run('/bin/true', BENCH_LIMITS));
      }
      for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
        if (round === 0) samples.clear();
        const emptyNs = nowNs();
        await world.emptyCall();
        samples.noteNs('joblet: an empty call', nowNs() - emptyNs);

        const stampNs = nowNs();
        const stamped = await world.run(world.stamp, BENCH_LIMITS);
        samples.noteNs('joblet: request to answer (the command runs)', nowNs() - stampNs);
        await world.ended(stamped);
        samples.noteNs('joblet: request to exit, static command', nowNs() - stampNs);
        samples.noteNs(
          'joblet: request to first instruction',
          (await world.printed(stamped)) - stampNs,
        );

        const trueNs = nowNs();
        await world.ended(await world.run('/bin/true', BENCH_LIMITS));
        samples.noteNs('joblet: request to exit, /bin/true', nowNs() - trueNs);

        for (const { peer, bare, stamp } of timers) {
          if (peer.name === 'podman' && round % PODMAN_EVERY !== 0) continue;
          const whole = await bare.run();
          samples.noteNs(`${peer.name}: /bin/true, whole run`, whole.endedNs - whole.spawnedNs);
          const first = await stamp.run();
          samples.noteNs(
            `${peer.name}: spawn to first instruction`,
            first.printedNs - first.spawnedNs,
          );
        }
      }
    } finally {
      for (const { bare, stamp } of timers) {
        bare.stop();
        stamp.stop();
      }
      await world.close();
    }
    const rows = samples.rows();
    const first = 'joblet: request to first instruction';
    const exit = 'joblet: request to exit, /bin/true';
    return {
      rows,
      ratios: [
        ...ratio(rows, first, 'bwrap: /bin/true, whole run', 'at most 0.6'),
        ...ratio(rows, first, 'bwrap: spawn to first instruction'),
        ...ratio(rows, exit, 'bwrap: /bin/true, whole run'),
        ...ratio(rows, exit, 'crun: /bin/true, whole run'),
        ...ratio(rows, exit, 'podman: /bin/true, whole run', 'at most 0.05'),
        ...ratio(rows, exit, `${FLOOR}: /bin/true, whole run`),
      ],
      notes: [...fairness, ...world.workshop.notes],
    };
  },
};

/** The monotonic clock, which a job's own process shares with us. */
function nowNs(): number {
  return Number(process.hrtime.bigint());
}
