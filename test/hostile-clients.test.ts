// Clients that stall, flood and go away in the middle of everything, against a real daemon: others are
// answered, and afterwards the daemon holds no more than before. What one client may have is tested in
// rpc-clients.test.ts.

import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import { readdirSync, watch } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { connect as openTls } from 'node:tls';
import { type Connection, connect } from '../src/client/connection.ts';
import type { UploadPart } from '../src/client/messages.ts';
import {
  getJobLogs,
  getJobStatus,
  getServerVersion,
  queryJobs,
  stopJob,
  uploadFiles,
} from '../src/client/methods.ts';
import { idleBytes, residentBytes, shrunkTo } from './daemon-memory.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, output, python, shell, start } from './job-calls.ts';

const skip = cannotRun();
const MB = 1 << 20;

/** What the daemon may have grown by when all is over. */
const MEMORY_SLACK_BYTES = 32 * MB;
/** What it may hold more while it is attacked: buffers and heap that are not collected yet. */
const ATTACKED_BYTES = 256 * MB;
/** How long it may take to give back the rest, on a machine that is busy. */
const GIVING_BACK_MS = 120_000;
const CALLS = 51;
const READERS = 50;
const IDLE_CONNECTIONS = 1000;

let daemon: Daemon;
let api: Connection;
let memoryBefore: number;
let descriptorsBefore: number;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({ logs: { quotaBytes: 256 * MB } });
  api = daemon.as('admin');
  await assertUnharmed();
  memoryBefore = await idleBytes(daemon);
  descriptorsBefore = descriptors();
});

afterEach(
  async () => {
    if (skip !== false) return;
    await assertUnharmed();
    await shrunkTo(daemon, memoryBefore + MEMORY_SLACK_BYTES);
    await forgotten();
  },
  { timeout: GIVING_BACK_MS },
);

after(async () => {
  await daemon?.stop();
});

/** What the daemon holds beside what it opens for a moment, as it does to read a log. */
function descriptors(): number {
  return readdirSync(`/proc/${daemon.pid}/fd`).length;
}

/** Calls in every way that reads, and a job. */
async function assertUnharmed(): Promise<void> {
  const { job, stdout } = await finish(api, shell('echo well'));
  assert.equal(stdout, 'well\n');
  for (let calls = 0; calls < CALLS; calls += 3) {
    await api.unary(getServerVersion, {});
    await api.unary(getJobStatus, { uuid: job.uuid });
    await api.unary(queryJobs, { limit: 10 });
  }
}

function closeOf(connection: EventEmitter): Promise<void> {
  return new Promise((resolve) => connection.once('close', () => resolve()));
}

/** Calls that are made while a client is being forgotten; what takes longer is never forgotten. */
const FORGETTING_CALLS = 60_000;

/**
 * Resolves when the daemon has noticed that a client is gone: it has no more descriptors than before.
 * Nothing tells of that, so it is looked for between calls, which are answered all the while.
 */
async function forgotten(): Promise<void> {
  for (let calls = 0; descriptors() > descriptorsBefore; calls += 1) {
    assert.ok(
      calls < FORGETTING_CALLS,
      `${descriptors()} descriptors, ${descriptorsBefore} before`,
    );
    await api.unary(getServerVersion, {});
  }
}

/** Resolves when nothing lies in a directory any more. */
async function emptied(directory: string): Promise<void> {
  const watcher = watch(directory);
  // Looked at behind the begin of the watch, so that nothing is missed.
  while (readdirSync(directory).length > 0) await once(watcher, 'change');
  watcher.close();
}

test('fifty readers that never read cost neither memory nor the job its time', {
  skip,
}, async () => {
  const endless = await start(api, shell('exec tr "\\0" x < /dev/zero'));
  const ticking = await start(
    api,
    python('import time\nwhile True: time.sleep(0.01); print("tick", flush=True)'),
  );
  const hostile = Array.from({ length: READERS }, () => connect(daemon.node('viewer')));
  await Promise.all(
    hostile.map((each) =>
      each.serverStream(getJobLogs, { uuid: endless })[Symbol.asyncIterator]().next(),
    ),
  );
  await assertUnharmed();
  const ticks = api.serverStream(getJobLogs, { uuid: ticking })[Symbol.asyncIterator]();
  for (let tick = 0; tick < 10; tick += 1) assert.equal((await ticks.next()).done, false);
  await ticks.return?.();
  const grownBytes = residentBytes(daemon) - memoryBefore;
  assert.ok(grownBytes <= ATTACKED_BYTES, `${grownBytes} bytes more while they stall`);
  for (const uuid of [endless, ticking]) await api.unary(stopJob, { uuid, force: true });
  const { job } = await ended(api, ticking);
  assert.equal(job.status, 'STOPPED');
  for (const each of hostile) each.close();
  await forgotten();
});

test('calls that are taken back leave nothing', { skip }, async () => {
  const hostile = connect(daemon.node('viewer'));
  for (let round = 0; round < 20; round += 1) {
    const calls = Array.from({ length: 100 }, () => {
      const controller = new AbortController();
      const call = hostile.unary(queryJobs, { limit: 1000 }, { signal: controller.signal });
      setImmediate(() => controller.abort());
      return call;
    });
    await Promise.allSettled(calls);
  }
  hostile.close();
  await forgotten();
});

test('a thousand connections that do nothing leave nothing', { skip }, async () => {
  const { ca, cert, key } = daemon.node('viewer');
  const idle = Array.from({ length: IDLE_CONNECTIONS }, () => {
    const at = { port: daemon.port, host: '127.0.0.1', servername: 'joblet' };
    const socket = openTls({ ...at, ca, cert, key, ALPNProtocols: ['h2'] });
    socket.on('error', () => {});
    return socket;
  });
  await Promise.all(idle.map((each) => once(each, 'secureConnect')));
  await assertUnharmed();
  const closed = idle.map(closeOf);
  for (const each of idle) each.destroy();
  await Promise.all(closed);
  await forgotten();
});

test('a log is read from anywhere, however much of it there is and whatever is asked for', {
  skip,
}, async () => {
  const lines = 2_000_000;
  const { job } = await finish(api, shell(`head -c ${lines} /dev/zero | tr "\\0" "\\n"`));
  const { uuid } = job;
  const tails = Array.from({ length: 10 }, () => output(api, { uuid, tailLines: 1_000_000 }));
  for (const tail of await Promise.all(tails)) assert.equal(tail.length, 1_000_000);
  assert.equal((await output(api, { uuid, position: BigInt(lines - 1) })).length, 1);
  for (const position of [BigInt(lines), BigInt(Number.MAX_SAFE_INTEGER)]) {
    assert.equal((await output(api, { uuid, position })).length, 0);
  }
  for (const wrong of [
    { position: 2n ** 63n },
    { tailLines: 1_000_001 },
    { tailLines: 1, position: 1n },
    { streams: ['x'.repeat(100_000)] },
  ]) {
    await assert.rejects(output(api, { uuid, ...wrong }), { kind: 'invalid' });
  }
});

test('uploads that stop halfway leave nothing', { skip }, async () => {
  const hostile = connect(daemon.node('developer'));
  const sent = Array.from({ length: 10 }, () => {
    const going = Promise.withResolvers<void>();
    async function* parts(): AsyncGenerator<UploadPart> {
      yield { header: { path: 'big', mode: 0, isDirectory: false, size: BigInt(100 * MB) } };
      yield { data: new Uint8Array(MB) };
      going.resolve();
      await new Promise(() => {});
    }
    const call = hostile.clientStream(uploadFiles, parts());
    call.catch(() => {});
    return going.promise;
  });
  await Promise.all(sent);
  hostile.close();
  await forgotten();
  await emptied(path.join(daemon.directory, 'jobs', 'received'));
});
