// The gRPC adapter on a real connection: errors, streams, limits, stopping.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { type Client, type ServiceError, status } from '@grpc/grpc-js';
import type { Clock } from '../src/daemon/jobs/due.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { MonitoringService } from '../src/gen/joblet/monitoring_pb.ts';
import { JobletError } from '../src/shared/errors.ts';
import {
  authority,
  callUnary,
  clientPair,
  connect,
  outcomeOf,
  type Served,
  startServer,
  testLimits,
  wire,
} from './grpc-fixture.ts';

let served: Served;
let admin: Client;

/** What a handler of the test saw, by name. */
const seen = new Map<string, PromiseWithResolvers<string>>();
function sight(name: string): PromiseWithResolvers<string> {
  const known = seen.get(name) ?? Promise.withResolvers<string>();
  seen.set(name, known);
  return known;
}

before(async () => {
  served = await startServer((server) =>
    server.add(JobService, {
      getJobStatus: async ({ uuid }, { identity }) => {
        if (uuid === 'bug') throw new TypeError('secret detail');
        if (uuid === 'missing') throw new JobletError('not-found', `job not found: ${uuid}`);
        return { uuid, name: `${identity.name} ${identity.role}` };
      },
      waitJob: async ({ uuid }, { signal }) => {
        sight(`${uuid} began`).resolve('');
        await once(signal, 'abort');
        sight(uuid).resolve(String(signal.reason.message));
        throw signal.reason;
      },
      getJobLogs: async function* ({ uuid }, { signal }) {
        if (uuid === 'early') throw new JobletError('not-found', 'job not found: early');
        const payload = new Uint8Array(64 * 1024);
        const count = uuid === 'late' ? 3 : 10_000;
        try {
          for (let i = 0; i < count && !signal.aborted; i++) {
            produced.set(uuid, i + 1);
            yield { payload };
          }
          if (uuid === 'late') throw new JobletError('exhausted', 'after three');
        } finally {
          sight(uuid).resolve(String(signal.reason?.message));
        }
      },
      uploadFiles: async (requests) => {
        let bytes = 0;
        for await (const { part } of requests) {
          if (part.case === 'data') bytes += part.value.length;
          if (part.case === 'header') throw new JobletError('invalid', 'no header today');
        }
        return { uploadId: 'u', bytes: BigInt(bytes) };
      },
    }),
  );
  admin = connect(served.port, await clientPair(['admin']));
});

const produced = new Map<string, number>();

after(async () => {
  admin.close();
  await served.server.stop();
});

test('a unary call carries the request in, the caller along and the answer out', async () => {
  const answer = await callUnary(admin, JobService, 'getJobStatus', { uuid: 'a' });
  assert.deepEqual([answer.uuid, answer.name], ['a', 'ann admin']);
});

test('S4-25, S4-26, S4-30: an error has its code and its message', async () => {
  const call = callUnary(admin, JobService, 'getJobStatus', { uuid: 'missing' });
  assert.equal(await outcomeOf(call), 'NOT_FOUND job not found: missing');
});

test('a bug is INTERNAL with a reference, and its text stays inside', async () => {
  const call = callUnary(admin, JobService, 'getJobStatus', { uuid: 'bug' });
  const outcome = await outcomeOf(call);
  assert.match(outcome, /^INTERNAL .*reference [0-9a-f]{8}$/);
  const { bug } = served.records.at(-1)?.status ?? {};
  assert.ok(outcome.endsWith(bug?.reference ?? 'none'));
  assert.match(String(bug?.error), /secret detail/);
});

test('a method that nobody serves yet says so', async () => {
  assert.equal(
    await outcomeOf(callUnary(admin, JobService, 'runWorkflow', {})),
    'UNIMPLEMENTED RunWorkflow arrives with a later version of Joblet',
  );
  const { path, write, read } = wire(JobService, 'getJobMetrics');
  const stream = admin.makeServerStreamRequest(path, write, read, {});
  stream.resume();
  const [error] = (await once(stream, 'error')) as [ServiceError];
  assert.equal(error.details, 'GetJobMetrics arrives with a later version of Joblet');
});

test('a service that nobody serves is UNIMPLEMENTED', async () => {
  const outcome = await outcomeOf(callUnary(admin, MonitoringService, 'getSystemStatus', {}));
  assert.match(outcome, /^UNIMPLEMENTED /);
});

test('what is thrown before and in the middle of a stream reaches the client', async () => {
  const { path, write, read } = wire(JobService, 'getJobLogs');
  for (const [uuid, chunks, details] of [
    ['early', 0, 'job not found: early'],
    ['late', 3, 'after three'],
  ] as const) {
    const stream = admin.makeServerStreamRequest(path, write, read, { uuid });
    let got = 0;
    stream.on('data', () => {
      got += 1;
    });
    const [error] = (await once(stream, 'error')) as [ServiceError];
    assert.deepEqual([got, error.details], [chunks, details]);
  }
});

test('S4-17: a reader that stops reading stops the stream, not the memory', async () => {
  const { path, write, read } = wire(JobService, 'getJobLogs');
  const slow = connect(served.port, await clientPair(['viewer']));
  const stream = slow.makeServerStreamRequest(path, write, read, { uuid: 'stalled' });
  await once(stream, 'readable');
  // Other calls take their turns: whatever the stalled one could send, it has sent by then.
  for (let i = 0; i < 20; i++) await callUnary(admin, JobService, 'getJobStatus', { uuid: 'a' });
  const made = produced.get('stalled') ?? 0;
  assert.ok(made < 100, `${made} chunks of 64 KiB were made for a reader that reads nothing`);
  stream.on('error', () => {});
  stream.cancel();
  assert.match(await sight('stalled').promise, /canceled/);
  slow.close();
});

/** Time that passes when it is told to, and says when somebody waits for it. */
class PassedClock extends EventEmitter<{ armed: [] }> implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  at(atMs: number, callback: () => void): () => void {
    const timer = { atMs, callback };
    this.#timers.add(timer);
    this.emit('armed');
    return () => this.#timers.delete(timer);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}

test('S4-17: a reader that takes nothing for five minutes is cut off and said to be, one that reads slowly is not', async (t) => {
  const clock = new PassedClock();
  let made = 0;
  let left = 0;
  const patient = await startServer(
    (server) =>
      server.add(JobService, {
        getJobLogs: async function* () {
          const payload = new Uint8Array(64 * 1024);
          try {
            for (;;) {
              made += 1;
              yield { payload };
            }
          } finally {
            left += 1;
          }
        },
      }),
    {},
    clock,
  );
  const { stallMs } = testLimits;
  const reader = connect(patient.port, await clientPair(['viewer']));
  t.after(async () => {
    reader.close();
    await patient.server.stop();
  });
  const { path, write, read } = wire(JobService, 'getJobLogs');
  let armed = once(clock, 'armed');
  const slow = reader.makeServerStreamRequest(path, write, read, {});
  const failed = once(slow, 'error') as Promise<[ServiceError]>;
  await armed;
  for (let looks = 0; looks < 10; looks += 1) {
    clock.pass(stallMs - 1);
    armed = once(clock, 'armed');
    slow.on('data', () => {});
    slow.resume();
    await armed;
    slow.pause();
  }
  assert.equal(patient.records.length, 0);

  // What was under way when it stopped reading may still have been taken.
  for (let looks = 0; looks < 10 && left === 0; looks += 1) {
    clock.pass(stallMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const madeForIt = made;
  slow.resume();
  assert.equal((await failed)[0].code, status.RESOURCE_EXHAUSTED);
  assert.equal(left, 1);
  assert.equal(made, madeForIt);
  const [{ status: told } = assert.fail()] = patient.records;
  assert.equal(told?.kind, 'exhausted');
  assert.equal(told?.details, 'the reader took nothing for 300 seconds');
});

test('a client that goes away aborts its call', async () => {
  const { path, write, read } = wire(JobService, 'waitJob');
  const call = admin.makeUnaryRequest(path, write, read, { uuid: 'gone' }, () => {});
  await sight('gone began').promise;
  call.cancel();
  assert.match(await sight('gone').promise, /canceled/);
});

test('a stream of requests is counted whole, and can be refused in the middle', async () => {
  const { path, write, read } = wire(JobService, 'uploadFiles');
  const send = (parts: readonly object[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const stream = admin.makeClientStreamRequest(path, write, read, (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    );
    stream.on('error', () => {});
    for (const part of parts) stream.write({ part });
    stream.end();
    return promise;
  };
  const data = { case: 'data', value: new Uint8Array(1024) };
  const answer = (await send([data, data, data])) as { bytes: bigint };
  assert.equal(answer.bytes, 3072n);
  const header = { case: 'header', value: { path: 'x' } };
  assert.equal(await outcomeOf(send([data, header, data])), 'INVALID_ARGUMENT no header today');
  const big = { case: 'data', value: new Uint8Array(5 * 1024 * 1024) };
  assert.match(await outcomeOf(send([big])), /^RESOURCE_EXHAUSTED a message of this stream/);
});

test('a request that is too big is refused, compressed or not', async () => {
  const big = { command: 'true', args: ['x'.repeat(9 * 1024 * 1024)] };
  assert.match(
    await outcomeOf(callUnary(admin, JobService, 'runJob', big)),
    /^RESOURCE_EXHAUSTED /,
  );
  const gzip = connect(served.port, await clientPair(['admin']), {
    'grpc.default_compression_algorithm': 2,
  });
  assert.match(await outcomeOf(callUnary(gzip, JobService, 'runJob', big)), /^RESOURCE_EXHAUSTED /);
  gzip.close();
});

test('many big requests that never end are refused, and small ones are served on', async () => {
  const pair = await clientPair(['developer']);
  const MB = 1024 * 1024;
  const session = connectHttp2(`https://127.0.0.1:${served.port}`, {
    ca: authority.cert,
    servername: 'joblet',
    // What waits to be sent counts, too.
    maxSessionMemory: 64,
    ...pair,
  });
  /** Sends 6 MiB of a request that was to have 7; answers how the server ends it, if it does. */
  const begin = () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/joblet.JobService/RunJob',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    const head = Buffer.alloc(5);
    head.writeUInt32BE(7 * MB, 1);
    stream.write(head);
    stream.write(Buffer.alloc(6 * MB));
    return stream;
  };
  const streams = [begin(), begin(), begin(), begin()];
  // What is held of one client stays within 12 MiB, so of four times six at least one is sent away.
  const ended = Promise.race(streams.map((stream) => once(stream, 'response')));
  const [headers] = (await ended) as [Record<string, string>];
  assert.equal(headers['grpc-status'], '8');
  assert.match(decodeURI(headers['grpc-message'] ?? ''), /too much at once/);
  assert.equal((await callUnary(admin, JobService, 'getJobStatus', { uuid: 'a' })).uuid, 'a');
  session.destroy();
  await once(session, 'close');
  // What they held is free again.
  const content = Buffer.alloc(7 * MB);
  const big = { command: 'true', uploads: [{ path: 'x', content }] };
  assert.match(await outcomeOf(callUnary(admin, JobService, 'runJob', big)), /^UNIMPLEMENTED /);
});

test('headers beyond their limit are refused', async () => {
  const session = connectHttp2(`https://127.0.0.1:${served.port}`, {
    ca: authority.cert,
    servername: 'joblet',
    ...(await clientPair(['viewer'])),
  });
  await once(session, 'remoteSettings');
  const stream = session.request({
    ':method': 'POST',
    ':path': '/joblet.JobService/ListJobs',
    'content-type': 'application/grpc',
    'x-big': 'x'.repeat(70_000),
  });
  const [error] = (await once(stream, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ERR_HTTP2_STREAM_ERROR');
  session.destroy();
});

test('a connection that does not finish its handshake is cut off', async () => {
  const other = await startServer(() => {}, { handshakeMs: 20 });
  const socket = connectTcp(other.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'close');
  await other.server.stop();
});

test('bytes that are no message are INVALID_ARGUMENT', async () => {
  const { path, read } = wire(JobService, 'getJobStatus');
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const bytes = Buffer.from([0x0a, 0x7f, 0x41]);
  admin.makeUnaryRequest(
    path,
    () => bytes,
    read,
    {},
    (error, answer) => (error === null ? resolve(answer) : reject(error)),
  );
  assert.match(await outcomeOf(promise), /^INVALID_ARGUMENT the request is no joblet\./);
});

test('a stopping server lets short calls end and tells those who wait to come back', async () => {
  const other = await startServer((server) =>
    server.add(JobService, {
      waitJob: async ({ uuid }, { signal }) => {
        sight(`${uuid} began`).resolve('');
        await once(signal, 'abort');
        throw signal.reason;
      },
      getJobLogs: async function* (_request, { signal }) {
        yield { payload: new Uint8Array(1) };
        await once(signal, 'abort');
      },
      getJobStatus: async () => {
        sight('short began').resolve('');
        await sight('short may end').promise;
        return { uuid: 'short' };
      },
    }),
  );
  const client = connect(other.port, await clientPair(['viewer']));
  const waiting = outcomeOf(callUnary(client, JobService, 'waitJob', { uuid: 'stop' }));
  const { path, write, read } = wire(JobService, 'getJobLogs');
  const follower = client.makeServerStreamRequest(path, write, read, {});
  const followed = once(follower, 'error') as Promise<[ServiceError]>;
  await once(follower, 'data');
  const short = callUnary(client, JobService, 'getJobStatus', {});
  await Promise.all([sight('stop began').promise, sight('short began').promise]);
  const stopped = other.server.stop();
  assert.equal(await waiting, 'UNAVAILABLE the daemon is stopping; try again soon');
  const [error] = await followed;
  assert.equal(error.details, 'the daemon is stopping; try again soon');
  sight('short may end').resolve('');
  assert.equal((await short).uuid, 'short');
  await stopped;
  client.close();
});

test('a server stops within its time although a client takes nothing and a handler never ends', async () => {
  const other = await startServer(
    (server) =>
      server.add(JobService, {
        getJobLogs: async function* () {
          for (;;) yield { payload: new Uint8Array(64 * 1024) };
        },
        stopJob: () => {
          sight('endless began').resolve('');
          return new Promise(() => {});
        },
      }),
    { stopMs: 50 },
  );
  const client = connect(other.port, await clientPair(['admin']));
  const { path, write, read } = wire(JobService, 'getJobLogs');
  const stalled = client.makeServerStreamRequest(path, write, read, {});
  stalled.on('error', () => {});
  await once(stalled, 'readable');
  const endless = outcomeOf(callUnary(client, JobService, 'stopJob', {}));
  await sight('endless began').promise;
  await other.server.stop();
  // Its time may be over before the answer has left, and then the stream is cut off.
  assert.match(await endless, /^(UNAVAILABLE|CANCELLED|INTERNAL Received RST_STREAM) ?/);
  client.close();
});
