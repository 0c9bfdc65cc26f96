// What a person or a script waits for: the whole client, from its start to its exit.

import { FLOOR, fairness, type Peer } from '../peers.ts';
import { Samples } from '../samples.ts';
import { SpawnTimer } from '../spawn-timer.ts';
import { ratio, type Trial } from '../trial.ts';
import { openWorld } from '../world.ts';

const WARM_UP_ROUNDS = 3;
/** A whole client takes tens of milliseconds: fewer rounds say as much. */
const ROUNDS_SHARE = 0.25;

export const trial: Trial = {
  title: 'rnx job run --wait true, the whole process',
  async body({ rounds }) {
    const world = await openWorld();
    const rnx: Peer = {
      name: 'rnx',
      hideUnified: false,
      argv: () => [...world.rnx, 'job', 'run', '--wait', 'true'],
    };
    const version: Peer = {
      name: 'rnx --version (Node and the client alone)',
      hideUnified: false,
      argv: () => [...world.rnx, '--version'],
    };
    const timers = [rnx, version, ...world.workshop.peers].map((peer) => ({
      name: peer.name,
      timer: new SpawnTimer(world.workshop, peer, 'true'),
    }));
    const samples = new Samples('ms');
    try {
      const measured = Math.max(10, Math.round(rounds * ROUNDS_SHARE));
      for (let round = -WARM_UP_ROUNDS; round < measured; round += 1) {
        for (const { name, timer } of timers) {
          const run = await timer.run();
          if (round >= 0) samples.noteNs(name, run.endedNs - run.spawnedNs);
        }
      }
    } finally {
      for (const { timer } of timers) timer.stop();
      await world.close();
    }
    const rows = samples.rows();
    return {
      rows,
      ratios: [
        ...ratio(rows, 'rnx', 'podman', 'at most 0.5'),
        ...ratio(rows, 'rnx', 'bwrap'),
        ...ratio(rows, 'rnx', FLOOR),
      ],
      notes: [...fairness, ...world.workshop.notes],
    };
  },
};
