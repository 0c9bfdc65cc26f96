// What a volume costs the jobs that use it: to start with one, with several, with a kept work directory,
// and with none; and how fast it takes what is written.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { JobRequest } from '../../src/client/messages.ts';
import { Samples } from '../samples.ts';
import { ratio, type Trial } from '../trial.ts';
import { openWorld } from '../world.ts';

const LIMITS = { maxCpu: 100, maxMemory: 512, maxProcesses: 64 } as const;
const WARM_UP_ROUNDS = 5;
const WARM_UP_JOBS = 200;
/** Writing takes as long as a hundred starts: it sits out most rounds. */
const WRITE_EVERY = 10;
const WRITE_MB = 64;

const NONE = 'joblet: request to exit, no volume';
const ONE = 'joblet: request to exit, one volume';
const FOUR = 'joblet: request to exit, four volumes';
const KEPT = 'joblet: request to exit, work directory kept';
const WRITE_WORK = `joblet: request to exit, ${WRITE_MB} MB with fsync to a work directory in memory`;
const WRITE_VOLUME = `joblet: request to exit, ${WRITE_MB} MB with fsync to a volume`;

export const trial: Trial = {
  title: 'jobs with volumes, beside jobs without',
  async body({ rounds }) {
    const world = await openWorld();
    const samples = new Samples('ms');
    const timed = async (name: string, wish: JobRequest, args: readonly string[] = []) => {
      const since = process.hrtime.bigint();
      const command = args.length === 0 ? '/bin/true' : '/bin/dd';
      await world.ended(await world.run(command, { ...LIMITS, ...wish }, args));
      const ms = Number(process.hrtime.bigint() - since) / 1e6;
      samples.note(name, ms);
    };
    const dd = (directory: string) => [
      ...['if=/dev/zero', `of=${directory}/written`, 'bs=1M', `count=${WRITE_MB}`],
      ...['conv=fsync', 'status=none'],
    ];
    const names = ['a', 'b', 'c', 'd'];
    const [rnx = '', ...config] = world.rnx;
    const volume = (...words: string[]) =>
      promisify(execFile)(rnx, [...config, 'volume', ...words]);
    try {
      for (const name of names) await volume('create', name, '--size=256MB');
      for (let job = 0; job < WARM_UP_JOBS; job += 1) {
        await timed(NONE, job % 2 === 0 ? {} : { volumes: names.slice(0, 1) });
      }
      for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
        if (round === 0) samples.clear();
        await timed(NONE, {});
        await timed(ONE, { volumes: names.slice(0, 1) });
        await timed(FOUR, { volumes: names });
        if (round % WRITE_EVERY !== 0) continue;
        await timed(KEPT, { keepWorkMs: 1000n });
        await timed(WRITE_WORK, { workBytes: BigInt(128 << 20) }, dd('/work'));
        await timed(WRITE_VOLUME, { volumes: names.slice(0, 1) }, dd('/volumes/a'));
      }
      for (const name of names) await volume('remove', name);
    } finally {
      await world.close();
    }
    const rows = samples.rows();
    return {
      rows,
      ratios: [...ratio(rows, ONE, NONE), ...ratio(rows, FOUR, NONE), ...ratio(rows, KEPT, NONE)],
      notes: ['Volumes are mounted when their first job starts, and stay mounted.'],
    };
  },
};
