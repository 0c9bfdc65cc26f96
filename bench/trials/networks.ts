// What a network adds to a start: with jobs that send nothing, whose links serve again, and with jobs
// that each use one up. It makes networks on this host while it runs; `unshare --net` gives it another.

import { Samples } from '../samples.ts';
import type { Trial } from '../trial.ts';
import { BENCH_LIMITS, openWorld } from '../world.ts';

const NETWORKS = ['none', 'isolated', 'bridge'] as const;
const WARM_UP_JOBS = 100;

/** A packet to a port that nobody listens at: enough to make a namespace a used one. */
const SEND = "import socket; socket.socket(2, 2).sendto(b'x', ('192.0.2.1', 9))";

export const trial: Trial = {
  title: 'one start at a time on a network, and on none',
  async body({ rounds }) {
    const world = await openWorld();
    const samples = new Samples('ms');
    const start = async (name: string, network: string, command: string, args: string[] = []) => {
      const began = performance.now();
      const job = await world.run(command, { ...BENCH_LIMITS, network }, args);
      samples.note(name, performance.now() - began);
      await world.ended(job);
    };
    try {
      for (let job = 0; job < WARM_UP_JOBS; job += 1) {
        await start('', NETWORKS[job % NETWORKS.length] ?? '', '/bin/true');
      }
      samples.clear();
      for (let round = 0; round < rounds; round += 1) {
        for (const network of NETWORKS) {
          await start(`request to answer on ${network}`, network, '/bin/true');
        }
        await start('request to answer on isolated, link used up', 'isolated', '/usr/bin/python3', [
          '-c',
          `try:\n    ${SEND}\nexcept OSError:\n    pass`,
        ]);
      }
    } finally {
      await world.close();
    }
    const rows = samples.rows();
    const median = (name: string) => rows.find((row) => row.name === name)?.spread.p50 ?? 0;
    const none = median('request to answer on none');
    return {
      rows,
      ratios: rows.slice(1).map(({ name }) => ({
        name: `${name}: so many ms later than on none`,
        value: median(name) - none,
        promise: 'at most 1.5',
      })),
      notes: ['The host has to have a way out, or what is sent goes nowhere and uses nothing up.'],
    };
  },
};
