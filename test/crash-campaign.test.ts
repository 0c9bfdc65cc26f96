// Parts of the product are killed at random moments, again and again, under ten jobs a second of
// every kind. Whatever was asked for is acknowledged at last, is there afterwards and ended as it had
// to, once, with every byte of its output; and nothing is left on the host.
//
// JOBLET_CRASH_ROUNDS says how often each part is killed, JOBLET_CRASH_SEED repeats the moments of an
// earlier run.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import { deleteAllJobs } from '../src/client/methods.ts';
import { CrashLoad, type Random, randomFrom } from './crash-load.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { finish } from './job-calls.ts';
import { processesBelow } from './snapshot.ts';

const ROUNDS = Number(process.env['JOBLET_CRASH_ROUNDS'] ?? 3);
const SEED = Number(process.env['JOBLET_CRASH_SEED'] ?? Date.now() % 2 ** 31);

/** Jobs at once; the rest of the load waits. */
const PLACES = 6;
/** Hardly more than there are places: a range that is not given back would be missed. */
const ID_RANGES = PLACES + 2;

const LONGEST_MOMENT_MS = 900;
/** A daemon needs about so long to start. */
const START_MS = 600;

const skip = cannotRun();

/** Calls back at a moment that nobody could have chosen. */
function at(random: Random, longestMs: number, kill: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(() => {
    kill();
    resolve();
  }, random() * longestMs);
  return promise;
}

/** The processes straight below one, by name. */
function below(pid: number, ...names: readonly string[]): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  const known = processesBelow(pid);
  return children.map(Number).filter((each) => names.includes(known.get(each) ?? ''));
}

function killHard(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    // It has ended by itself.
    return false;
  }
}

const launcherOf = (daemon: Daemon) => below(daemon.pid, 'joblet-launch')[0];

/** What a keeper is called before its job runs, and from then on. */
const KEEPERS = ['joblet-standby', 'joblet-launch', 'joblet-keeper'];

/** One of the living keepers, those included that are still being set up, or stand by. */
function someKeeperOf(daemon: Daemon, random: Random): number | undefined {
  const launcher = launcherOf(daemon);
  const keepers = launcher === undefined ? [] : below(launcher, ...KEEPERS);
  return keepers[Math.floor(random() * keepers.length)];
}

async function restart(daemon: Daemon): Promise<void> {
  await daemon.restart();
}

/** What is killed in one round. Answers how many keepers were hit; the daemon runs again by then. */
type Round = (daemon: Daemon, random: Random) => Promise<number>;

const campaigns: Readonly<Record<string, Round>> = {
  'the daemon dies': async (daemon, random) => {
    await at(random, LONGEST_MOMENT_MS, () => void daemon.kill());
    await daemon.kill();
    await restart(daemon);
    return 0;
  },
  'the daemon dies, and its successor while that takes over,': async (daemon, random) => {
    await at(random, LONGEST_MOMENT_MS, () => void daemon.kill());
    await daemon.kill();
    const taking = daemon.restart().catch(() => {});
    await at(random, START_MS, () => void daemon.kill());
    await daemon.kill();
    await taking;
    await restart(daemon);
    return 0;
  },
  'the launcher dies': async (daemon, random) => {
    // One that is not ready yet is not missed by name: it could not be started.
    const noticed = daemon.logged(/the launcher (died; starting another|cannot be started)/);
    let hit = false;
    await at(random, LONGEST_MOMENT_MS, () => {
      hit = killHard(launcherOf(daemon));
    });
    // Just then there was none, perhaps: the last one had died, and the next was not there yet.
    if (hit) await noticed;
    return 0;
  },
  'the daemon and the launcher die at once': async (daemon, random) => {
    await at(random, LONGEST_MOMENT_MS, () => {
      const launcher = launcherOf(daemon);
      void daemon.kill();
      killHard(launcher);
    });
    await daemon.kill();
    await restart(daemon);
    return 0;
  },
  'keepers die': async (daemon, random) => {
    let hit = false;
    await at(random, LONGEST_MOMENT_MS, () => {
      hit = killHard(someKeeperOf(daemon, random));
    });
    return hit ? 1 : 0;
  },
  'all three die at once': async (daemon, random) => {
    let hit = false;
    await at(random, LONGEST_MOMENT_MS, () => {
      const launcher = launcherOf(daemon);
      hit = killHard(someKeeperOf(daemon, random));
      void daemon.kill();
      killHard(launcher);
    });
    await daemon.kill();
    await restart(daemon);
    return hit ? 1 : 0;
  },
};

async function hasKeeper(uuid: string): Promise<boolean> {
  const socket = createConnection(`\0joblet/${uuid}`);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

for (const [number, [what, round]] of Object.entries(campaigns).entries()) {
  test(`nothing is lost, runs twice or is left when ${what} at any moment`, {
    skip,
  }, async (t) => {
    const seed = SEED + number;
    t.diagnostic(`${ROUNDS} rounds, seed ${seed}`);
    const random = randomFrom(seed);
    const daemon = await startDaemon({
      joblet: { maxConcurrentJobs: PLACES, idRanges: ID_RANGES },
      // What lies on the disk is compared with what is read, so it stays as it was written.
      logs: { segmentBytes: 64 << 10, sealAfter: '24h' },
    });
    t.after(() => daemon.stop());
    await finish(daemon.as('admin'), { command: '/bin/true' });
    await daemon.as('admin').unary(deleteAllJobs, {});
    const before = leftOf(daemon);
    const load = new CrashLoad(daemon, random);
    let keepers = 0;
    load.begin();
    try {
      for (let each = 0; each < ROUNDS; each += 1) {
        keepers += await round(daemon, random);
        load.askAgain();
        await load.checkRunning(hasKeeper);
      }
    } finally {
      await load.end();
    }
    const lost = await load.check(keepers);
    t.diagnostic(
      `${load.acknowledgedCount} jobs acknowledged, ${lost} lost with ${keepers} keepers that were killed`,
    );
    await daemon.as('admin').unary(deleteAllJobs, {});
    assert.deepEqual(leftOf(daemon), before);
  });
}

/** What must be the same before and after. */
function leftOf(daemon: Daemon) {
  const { cgroups, mounts, files, processes } = daemon.snapshot();
  return { cgroups, mounts, files, processes };
}
