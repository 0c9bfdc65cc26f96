// How fast jobs on a network may send and receive, and do.

import './own-host.ts';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createNetwork, removeNetwork } from '../src/client/methods.ts';
import { finish, python } from './job-calls.ts';
import { OUTSIDE, Surroundings } from './network-world.ts';

const MB = 1024 * 1024;

const LOAD_BYTES = 4 * MB;

/** Sends so much and receives as much, and says when each began and was over, in seconds. */
const TIME_BOTH_WAYS = `
import socket, time
with socket.create_connection(('${OUTSIDE.v4}', 7001)) as sink:
    began = time.monotonic()
    sink.sendall(bytes(${LOAD_BYTES}))
    sink.shutdown(socket.SHUT_WR)
    sink.recv(10)
    print(began, time.monotonic())
with socket.create_connection(('${OUTSIDE.v4}', 7002)) as source:
    began = time.monotonic()
    while source.recv(1 << 20):
        pass
    print(began, time.monotonic())
`;

const around = new Surroundings();
const { api } = around;

describe('a job on a network', { skip: around.skip }, () => {
  test('sends and receives no faster than it may, and no slower (S2-8)', async () => {
    const bandwidthBytesPerSecond = BigInt(3 * MB);
    await assertSpeeds(3 * MB, async () => {
      const { stdout, job } = await finish(
        api(),
        python(TIME_BOTH_WAYS, { bandwidthBytesPerSecond }),
      );
      assert.equal(job.bandwidthBytesPerSecond, bandwidthBytesPerSecond);
      return speedsOf([stdout]);
    });
  });

  test('sends and receives with the others of its network no faster than that may (S2-8)', async () => {
    const wish = { name: 'slow', cidr: '10.20.0.0/24', bandwidthBytesPerSecond: BigInt(4 * MB) };
    await around.daemon.as('operator').unary(createNetwork, wish);
    const run = () => finish(api(), python(TIME_BOTH_WAYS, { network: 'slow' }));
    await assertSpeeds(4 * MB, async () => speedsOf([(await run()).stdout]));
    const both = async () => {
      const ended = await Promise.all([run(), run()]);
      return speedsOf(ended.map(({ stdout }) => stdout));
    };
    // They do not begin at the same time.
    await assertSpeeds(4 * MB, both, 0.5);
    await around.daemon.as('admin').unary(removeNetwork, { name: 'slow' });
  });
});

/** What jobs sent and received together, each way, from when the first one began until the last one was done. */
function speedsOf(outputs: readonly string[]): number[] {
  return [0, 1].map((way) => {
    const times = outputs.map((text) => text.split('\n')[way]?.split(' ').map(Number) ?? []);
    const seconds =
      Math.max(...times.map(([, end = Number.NaN]) => end)) -
      Math.min(...times.map(([began = Number.NaN]) => began));
    return (outputs.length * LOAD_BYTES) / seconds;
  });
}

/** A machine that has other things to do makes slower, and never faster: one of three times it is as fast. */
async function assertSpeeds(
  most: number,
  measure: () => Promise<readonly number[]>,
  leastShare = 0.9,
) {
  let best: readonly number[] = [];
  const measured: string[] = [];
  const isReached = () => best.length > 0 && best.every((speed) => speed >= leastShare * most);
  for (let times = 0; times < 3 && !isReached(); times += 1) {
    const speeds = await measure();
    for (const speed of speeds) assert.ok(speed <= 1.1 * most, `${speeds} of ${most}`);
    measured.push(speeds.map((speed) => (speed / most).toFixed(3)).join());
    best = speeds.map((speed, way) => Math.max(speed, best[way] ?? 0));
  }
  for (const speed of best) assert.ok(speed >= leastShare * most, measured.join(' '));
}
