// Hostile and broken clients on a real connection: what one of them takes too much of, it takes from
// itself, and what it sends costs the daemon no more than it may have.

import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as openHttp2 } from 'node:http2';
import { connect as openTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as openTls, type TLSSocket } from 'node:tls';
import { gzipSync } from 'node:zlib';
import type { Client } from '@grpc/grpc-js';
import type { KeyPair } from '../src/daemon/certs.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import {
  authority,
  callUnary,
  clientPair,
  connect,
  outcomeOf,
  type Served,
  startServer,
  testLimits,
} from './grpc-fixture.ts';

const MB = 1 << 20;

/** Messages that were made for each reader of an endless stream. */
const produced = new Map<string, number>();

let served: Served;
let hostile: KeyPair;
/** Another client, on a connection that stands. */
let other: Client;

before(async () => {
  served = await startServer((server) =>
    server.add(JobService, {
      getJobStatus: async ({ uuid }) => ({ uuid }),
      waitJob: async (_request, { signal }) => {
        await once(signal, 'abort');
        throw signal.reason;
      },
      getJobLogs: async function* ({ uuid }) {
        for (;;) {
          produced.set(uuid, (produced.get(uuid) ?? 0) + 1);
          yield { payload: new Uint8Array(64 * 1024) };
        }
      },
      runJob: async ({ args }) => ({ jobUuid: String(args[0]?.length) }),
      uploadFiles: async (requests) => {
        let bytes = 0;
        for await (const { part } of requests) if (part.case === 'data') bytes += part.value.length;
        return { bytes: BigInt(bytes) };
      },
    }),
  );
  hostile = await clientPair(['developer'], 'mallory');
  other = connect(served.port, await clientPair(['developer'], 'ann'));
  await assertUnharmed();
});

after(async () => {
  other.close();
  await served.server.stop();
});

/** Another client is answered, be its request small or big. */
async function assertUnharmed(): Promise<void> {
  const small = await callUnary(other, JobService, 'getJobStatus', { uuid: 'a' });
  assert.equal(small.uuid, 'a');
  const big = { command: 'true', args: ['x'.repeat(3 * MB)] };
  assert.equal((await callUnary(other, JobService, 'runJob', big)).jobUuid, String(3 * MB));
}

/** Resolves when it is closed, be it by an error. */
function closeOf(connection: EventEmitter): Promise<void> {
  return new Promise((resolve) => connection.once('close', () => resolve()));
}

const secure = (pair: KeyPair) => ({ ca: authority.cert, servername: 'joblet', ...pair });

function session(pair = hostile): ClientHttp2Session {
  const opened = openHttp2(`https://127.0.0.1:${served.port}`, {
    ...secure(pair),
    maxSessionMemory: 256,
  });
  opened.on('error', () => {});
  return opened;
}

/** A connection below HTTP/2, with its preface sent. */
async function raw(): Promise<TLSSocket> {
  const socket = openTls({
    port: served.port,
    host: '127.0.0.1',
    ALPNProtocols: ['h2'],
    ...secure(hostile),
  });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(h2Frame(SETTINGS, 0, 0, Buffer.alloc(0)));
  return socket;
}

const HEADERS = 1;
const PRIORITY = 2;
const SETTINGS = 4;
const PING = 6;
const CONTINUATION = 9;

function h2Frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function call(from: ClientHttp2Session, method: string, headers = {}): ClientHttp2Stream {
  const stream = from.request({
    ':method': 'POST',
    ':path': `/joblet.JobService/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => {});
  return stream;
}

/** What gRPC puts in front of a message. */
function prefix(bytes: number, isCompressed = false): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(isCompressed ? 1 : 0);
  head.writeUInt32BE(bytes, 1);
  return head;
}

/** The status of a call and its message. */
async function statusOf(stream: ClientHttp2Stream): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  for (const event of ['response', 'trailers']) {
    stream.on(event, (headers: Record<string, string>) => {
      const status = headers['grpc-status'];
      if (status !== undefined) resolve(`${status} ${decodeURI(headers['grpc-message'] ?? '')}`);
    });
  }
  stream.resume();
  stream.once('close', () => resolve('closed'));
  return promise;
}

test('who may not call is refused by the head of the call, whatever size of body it announces', async () => {
  const viewer = session(await clientPair(['viewer'], 'vera'));
  const stream = call(viewer, 'RunJob', { 'content-length': String(100 * MB) });
  assert.match(await statusOf(stream), /^7 role viewer is not allowed/);
  viewer.destroy();
});

test('a request that announces more than its method takes is refused by the announcement', async () => {
  const from = session();
  const status = call(from, 'GetJobStatus');
  status.write(prefix(2 * MB));
  assert.match(await statusOf(status), /^8 /);
  const job = call(from, 'RunJob');
  job.write(prefix(testLimits.maxReceiveBytes + 1));
  assert.match(await statusOf(job), /^8 /);
  from.destroy();
});

test('one client cannot use up what the daemon holds of requests', async () => {
  const from = session();
  const streams = Array.from({ length: 4 }, () => {
    const stream = call(from, 'RunJob');
    stream.write(prefix(7 * MB));
    stream.write(Buffer.alloc(6 * MB));
    return stream;
  });
  assert.match(await Promise.race(streams.map(statusOf)), /^8 .*too much at once/);
  await assertUnharmed();
  from.destroy();
  await closeOf(from);
});

test('what is compressed counts as what it may become', async () => {
  const from = session();
  const message = Buffer.concat([Buffer.from([0x12, 0x80, 0x80, 0xc0, 3]), Buffer.alloc(7 * MB)]);
  const bomb = gzipSync(message);
  assert.ok(bomb.length < 16 * 1024);
  const answers = Array.from({ length: 40 }, () => {
    const stream = call(from, 'RunJob', { 'grpc-encoding': 'gzip' });
    stream.end(Buffer.concat([prefix(bomb.length, true), bomb]));
    return statusOf(stream);
  });
  const refused = (await Promise.all(answers)).filter((text) => /too much at once/.test(text));
  assert.ok(refused.length >= 30, `${refused.length} of 40 were refused`);
  await assertUnharmed();
  from.destroy();
  // One at a time it is a message like any other, and refused by its size alone.
  const gzip = connect(served.port, hostile, { 'grpc.default_compression_algorithm': 2 });
  const args = ['x'.repeat(MB)];
  const whole = await callUnary(gzip, JobService, 'runJob', { command: 'true', args });
  assert.equal(whole.jobUuid, String(MB));
  const big = { command: 'true', args: ['x'.repeat(9 * MB)] };
  assert.match(await outcomeOf(callUnary(gzip, JobService, 'runJob', big)), /^RESOURCE_EXHAUSTED /);
  gzip.close();
});

test('a client that reads none of many streams holds little of each', async () => {
  const sessions = Array.from({ length: 4 }, () => session());
  const read = (from: ClientHttp2Session, uuid: string) => {
    const stream = call(from, 'GetJobLogs');
    stream.end(
      Buffer.concat([prefix(2 + uuid.length), Buffer.from([0x0a, uuid.length]), Buffer.from(uuid)]),
    );
    return stream;
  };
  const streams = sessions.flatMap((from, at) =>
    Array.from({ length: 40 }, (_, each) => read(from, `stalled ${at} ${each}`)),
  );
  await Promise.all(streams.map((stream) => once(stream, 'response')));
  // A reader of another client takes its turns with them: what they could get, they have by then.
  const good = session(await clientPair(['viewer'], 'vera'));
  const quick = read(good, 'quick');
  let bytes = 0;
  for await (const chunk of quick) {
    bytes += (chunk as Buffer).length;
    if (bytes > 20 * MB) break;
  }
  const made = [...produced].filter(([uuid]) => uuid.startsWith('stalled'));
  assert.equal(made.length, streams.length);
  const messages = made.reduce((sum, [, count]) => sum + count, 0);
  // A window of 64 KiB has left, one message waits, and 4 MiB may wait beside that.
  assert.ok(
    messages <= 3 * streams.length + 64,
    `${messages} messages for ${streams.length} streams`,
  );
  for (const each of [...sessions, good]) each.destroy();
});

test('calls of one client beyond its limit are refused, and others are answered', async () => {
  const { maxCalls } = testLimits.client;
  const sessions = Array.from({ length: 4 }, () => session());
  const waiting = sessions.flatMap((from) =>
    Array.from({ length: maxCalls / 4 }, () => {
      const stream = call(from, 'WaitJob');
      stream.end(prefix(0));
      return stream;
    }),
  );
  const [first] = sessions;
  assert.ok(first);
  let refused = '';
  // Calls of other connections may be on their way still.
  while (!refused.startsWith('8')) {
    const stream = call(first, 'GetJobStatus');
    stream.end(prefix(0));
    refused = await statusOf(stream);
  }
  assert.match(refused, new RegExp(`^8 mallory has ${maxCalls} calls under way`));
  await assertUnharmed();
  const [one] = waiting;
  one?.close();
  for (const each of sessions) each.destroy();
});

test('a client with too many connections loses those that do nothing, and still gets through', async () => {
  const { maxConnections } = testLimits.client;
  const working = session();
  const stream = call(working, 'WaitJob');
  stream.end(prefix(0));
  await once(working, 'remoteSettings');
  const idle = await Promise.all(
    Array.from({ length: maxConnections - 1 }, async () => {
      const from = session();
      await once(from, 'remoteSettings');
      return from;
    }),
  );
  const closed = Promise.race(idle.map((each) => closeOf(each)));
  const late = connect(served.port, hostile);
  assert.equal((await callUnary(late, JobService, 'getJobStatus', { uuid: 'b' })).uuid, 'b');
  await closed;
  assert.equal(working.destroyed, false, 'a connection with a call was closed');
  await assertUnharmed();
  late.close();
  for (const each of [working, ...idle]) each.destroy();
});

test('handshakes that are not finished make room for those that are', async () => {
  const begun = Array.from({ length: 3 * testLimits.maxHandshakes }, () => {
    const socket = openTcp(served.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    return socket;
  });
  // As many as are too many are cut off, the first first; byte by byte is not fast enough either.
  const tooMany = Promise.withResolvers<void>();
  let closed = 0;
  for (const each of begun) {
    each.once('close', () => {
      closed += 1;
      if (closed === 2 * testLimits.maxHandshakes) tooMany.resolve();
    });
  }
  await tooMany.promise;
  begun.at(-1)?.write(Buffer.from([0x16]));
  const late = connect(served.port, hostile);
  assert.equal((await callUnary(late, JobService, 'getJobStatus', { uuid: 'c' })).uuid, 'c');
  await assertUnharmed();
  late.close();
  for (const each of begun) each.destroy();
});

/** Frames that cost their receiver more than their sender, sent until the daemon closes. */
const floods = {
  'pings whose answers are not read': () => h2Frame(PING, 0, 0, Buffer.alloc(8)),
  'settings whose answers are not read': () => h2Frame(SETTINGS, 0, 0, Buffer.alloc(0)),
  'priorities of streams that are not there': (at: number) =>
    h2Frame(PRIORITY, 0, 2 * at + 1, Buffer.from([0, 0, 0, 0, 1])),
  'headers that go on and on': (at: number) =>
    at === 0
      ? h2Frame(HEADERS, 0, 1, Buffer.alloc(0))
      : h2Frame(CONTINUATION, 0, 1, Buffer.alloc(4096, 0x82)),
} satisfies Record<string, (at: number) => Buffer>;

const FRAMES_AT_ONCE = 500;
const FRAMES_AT_MOST = 1_000_000;

for (const [name, next] of Object.entries(floods)) {
  test(`a connection that floods is closed: ${name}`, async () => {
    const socket = await raw();
    const closed = closeOf(socket);
    for (let at = 0; at < FRAMES_AT_MOST && !socket.destroyed; at += FRAMES_AT_ONCE) {
      const frames = Array.from({ length: FRAMES_AT_ONCE }, (_, each) => next(at + each));
      if (socket.write(Buffer.concat(frames))) await new Promise(setImmediate);
      else await Promise.race([once(socket, 'drain').catch(() => {}), closed]);
    }
    await closed;
    await assertUnharmed();
  });
}

test('a connection that floods is closed: calls that are taken back at once', async () => {
  const from = session();
  const closed = closeOf(from);
  let isOpen = true;
  closed.then(() => {
    isOpen = false;
  });
  for (let calls = 0; isOpen && calls < FRAMES_AT_MOST; calls += 1) {
    if (!from.closed && !from.destroyed) call(from, 'WaitJob').close(8);
    if (calls % 100 === 0) await new Promise(setImmediate);
  }
  await closed;
  await assertUnharmed();
});
