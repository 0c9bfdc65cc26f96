// One connection of a client, kept for long: the daemon hangs up on who is idle, and is started again. No
// program has to know of either.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { type Connection, connect } from '../src/client/connection.ts';
import { getJobLogs, queryJobs, sendJobInput, stopJob } from '../src/client/methods.ts';
import { Wire } from './cut-off.ts';
import { cannotRun, type Daemon, type Settings, startDaemon } from './harness.ts';
import { shell, start } from './job-calls.ts';
import { MAIN } from './rnx.ts';

const skip = cannotRun();

/** A daemon, and a connection over a wire that stays the same whatever becomes of the daemon. */
async function connected(
  t: TestContext,
  settings: Settings = {},
): Promise<{
  readonly daemon: Daemon;
  readonly wire: Wire;
  readonly api: Connection;
  readonly port: string;
}> {
  const daemon = await startDaemon(settings);
  t.after(() => daemon.stop());
  const wire = new Wire(() => daemon.port);
  const { port } = await wire.open();
  const api = connect({ ...daemon.node('admin'), port: Number(port) });
  t.after(() => {
    api.close();
    return wire.close();
  });
  return { daemon, wire, api, port };
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

/** A line of rnx while it runs. */
interface Lines {
  /** Resolves with the next one that matches; those before it are gone. */
  next(pattern: RegExp): Promise<string>;
  readonly ended: Promise<number>;
  interrupt(): void;
}

/** Runs rnx over the wire; its lines of both outputs. */
function running(t: TestContext, config: string, ...args: string[]): Lines {
  const env = { PATH: process.env['PATH'] ?? '', RNX_CONFIG: config };
  const child = spawn(process.execPath, [MAIN, ...args], { env });
  t.after(() => child.kill('SIGKILL'));
  const [out, err] = [child.stdout, child.stderr].map((input) =>
    createInterface({ input })[Symbol.asyncIterator](),
  );
  return {
    async next(pattern) {
      const lines = pattern === AWAY ? err : out;
      for (;;) {
        const { value, done } = (await lines?.next()) ?? { value: '', done: true };
        if (done === true) throw new Error(`rnx ended without a line like ${pattern}`);
        if (pattern.test(value)) return value;
      }
    },
    ended: once(child, 'close').then(([code]) => code),
    interrupt: () => child.kill('SIGINT'),
  };
}

const AWAY = /^rnx: the daemon is away; waiting for it$/;

test('rnx goes on with a daemon that was started again and again: with a log, with events, and with a job that it waits for', {
  skip,
}, async (t) => {
  const { daemon, api, port } = await connected(t);
  const config = path.join(daemon.directory, 'rnx-wire.yml');
  const text = readFileSync(daemon.nodesFile('admin'), 'utf8');
  writeFileSync(config, text.replace(/localhost:\d+/, `localhost:${port}`), { mode: 0o600 });
  const uuid = await start(api, shell('echo one; cat', { stdin: true }));
  const log = running(t, config, 'job', 'log', uuid);
  await log.next(/^one$/);
  const events = running(t, config, 'events', '--follow', '--json', '--limit', '1');
  await events.next(/./);
  const waiting = running(t, config, 'job', 'run', '--wait', '--name=waited', 'sleep', '600');
  await events.next(/"job.running"/);

  const audit = running(t, config, 'audit', '--follow', '--json', '--limit', '1');
  await audit.next(/./);
  const all = [log, events, audit, waiting];
  const said = all.map((each) => each.next(AWAY));
  await daemon.kill();
  await Promise.all(said);
  await daemon.restart();
  await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('two\n') }]);
  await log.next(/^two$/);
  // Now it tells them that it stops.
  const again = log.next(AWAY);
  await daemon.end();
  await again;
  await daemon.restart();
  await api.clientStream(sendJobInput, [{ uuid, data: Buffer.from('three\n'), end: true }]);
  await log.next(/^three$/);
  assert.equal(await log.ended, 0);
  const { sequence: started } = JSON.parse(await events.next(/"daemon.start"/));
  const { sequence: ended } = JSON.parse(await events.next(new RegExp(`${uuid}.*"job.ended"`)));
  assert.ok(ended > started);
  await audit.next(new RegExp(`"job.ended".*${uuid}|${uuid}.*"job.ended"`));
  events.interrupt();
  assert.equal(await events.ended, 130);
  const { jobs } = await api.unary(queryJobs, { name: 'waited' });
  await api.unary(stopJob, { uuid: jobs[0]?.uuid ?? '', force: true });
  assert.notEqual(await waiting.ended, 1);
});
