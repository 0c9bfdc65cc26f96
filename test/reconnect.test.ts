// One connection of a client, kept for long: the daemon hangs up on who is idle, and is started again. No
// program has to know of either.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Connection, connect } from '../src/client/connection.ts';
import { getJobLogs, queryJobs, sendJobInput } from '../src/client/methods.ts';
import { Wire } from './cut-off.ts';
import { cannotRun, type Daemon, type Settings, startDaemon } from './harness.ts';
import { shell, start } from './job-calls.ts';

const skip = cannotRun();

/** A daemon, and a connection over a wire that stays the same whatever becomes of the daemon. */
async function connected(
  t: TestContext,
  settings: Settings = {},
): Promise<{ readonly daemon: Daemon; readonly wire: Wire; readonly api: Connection }> {
  const daemon = await startDaemon(settings);
  t.after(() => daemon.stop());
  const wire = new Wire(() => daemon.port);
  const { port } = await wire.open();
  const api = connect({ ...daemon.node('admin'), port: Number(port) });
  t.after(() => {
    api.close();
    return wire.close();
  });
  return { daemon, wire, api };
}

test('a client on which the daemon hung up for being idle connects again with its next call', {
  skip,
}, async (t) => {
  const { wire, api } = await connected(t, { grpc: { maxConnectionIdle: '200ms' } });
  for (let calls = 0; calls < 3; calls += 1) {
    await api.unary(queryJobs, { limit: 1 });
    await wire.left();
  }
  await api.unary(queryJobs, { limit: 1 });
});

test('a client goes on with a daemon that was started again, and a follower where it was', {
  skip,
}, async (t) => {
  const { daemon, api } = await connected(t);
  const uuid = await start(api, shell('echo one; cat', { stdin: true }));
  let text = '';
  /** Takes what comes until so much is there, or the connection breaks. */
  const follow = async (until: string) => {
    for await (const { payload } of api.serverStream(getJobLogs, {
      uuid,
      position: BigInt(text.length),
    })) {
      text += Buffer.from(payload).toString();
      if (text.endsWith(until)) return;
    }
  };
  await follow('one\n');
  const broken = assert.rejects(follow('never'), { kind: 'unavailable' });
  await daemon.kill();
  await broken;
  await daemon.restart();
  await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('two\n'), end: true }]);
  await follow('never');
  assert.equal(text, 'one\ntwo\n');
});
