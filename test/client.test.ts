// The client's connection against a daemon of a few lines: every kind of call, every way to fail.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { connect } from '../src/client/connection.ts';
import { Unreached } from '../src/client/connection-error.ts';
import { getJobLogs, getJobStatus, runJob, sendJobInput, stopJob } from '../src/client/methods.ts';
import { Away, CallError } from '../src/client/status.ts';
import { issue, makeAuthority } from '../src/daemon/certs.ts';
import {
  JobService,
  type RunJobRequest,
  type SendJobInputRequest,
} from '../src/gen/joblet/jobs_pb.ts';
import { JobletError } from '../src/shared/errors.ts';
import { type FakeAnswer, firstOf, startFake } from './fake-daemon.ts';

const { method } = JobService;
const DAY_MS = 86_400_000;

/** Runs `body` against a fake daemon that answers one method. */
async function withFake(
  answers: Parameters<typeof startFake>[0],
  body: (fake: Awaited<ReturnType<typeof startFake>>) => Promise<void>,
): Promise<void> {
  const fake = await startFake(answers);
  try {
    await body(fake);
  } finally {
    await fake.close();
  }
}

test('a call carries its request and brings back the answer', async () => {
  const answer: FakeAnswer = async (call) => {
    const request = await firstOf<RunJobRequest>(call.requests);
    await call.answer({
      jobUuid: 'f47ac10b',
      status: 'RUNNING',
      command: request.command,
      args: request.args,
    });
    call.finish();
  };
  await withFake([[method.runJob, answer]], async ({ node }) => {
    const connection = connect(node);
    const args = ['', 'größe', '\u0001'];
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((command) => connection.unary(runJob, { command, args })),
    );
    assert.deepEqual(
      answers.map((one) => one.command),
      ['a', 'b', 'c'],
    );
    assert.deepEqual(answers[0]?.args, args);
    connection.close();
  });
});

test('S4-30 a failed call has the sentence and the code of the daemon, whatever is in it', async () => {
  const text = 'job not found: 100% größer\n"x"';
  await withFake([[method.getJobStatus, (call) => call.finish(5, text)]], async ({ node }) => {
    const connection = connect(node);
    await assert.rejects(connection.unary(getJobStatus, { uuid: 'x' }), (error) => {
      assert.ok(error instanceof CallError);
      assert.equal(error.code, 'NOT_FOUND');
      assert.equal(error.message, text);
      return true;
    });
    connection.close();
  });
});

test('a method the daemon does not know is unsupported', async () => {
  await withFake([], async ({ node }) => {
    const connection = connect(node);
    await assert.rejects(connection.unary(stopJob, {}), { kind: 'unsupported' });
    connection.close();
  });
});

test('a stream brings every message in order, and ends with its error', async () => {
  const answer: FakeAnswer = async (call) => {
    for (let i = 0; i < 500; i++) await call.answer({ payload: Buffer.alloc(i, i) });
    call.finish(14, 'the daemon is being stopped');
  };
  await withFake([[method.getJobLogs, answer]], async ({ node }) => {
    const connection = connect(node);
    const lengths: number[] = [];
    await assert.rejects(
      async () => {
        for await (const chunk of connection.serverStream(getJobLogs, { uuid: 'x' })) {
          lengths.push(chunk.payload.length);
        }
      },
      { kind: 'unavailable', message: 'the daemon is being stopped' },
    );
    assert.deepEqual(
      lengths,
      Array.from({ length: 500 }, (_, i) => i),
    );
    connection.close();
  });
});

test('a reader who does not read stops the daemon, and loses nothing', async () => {
  const piece = Buffer.alloc(64 * 1024, 'x');
  const total = 200;
  const held = Promise.withResolvers<number>();
  const answer: FakeAnswer = async (call) => {
    let sent = 0;
    for (; sent < total; sent++) {
      const room = call.answer({ payload: piece });
      // The windows are full: this much is under way, and no more will be.
      if (call.stream.writableNeedDrain) held.resolve(sent);
      await room;
    }
    call.finish();
  };
  await withFake([[method.getJobLogs, answer]], async ({ node }) => {
    const connection = connect(node);
    const chunks = connection.serverStream(getJobLogs, { uuid: 'x' })[Symbol.asyncIterator]();
    assert.equal((await chunks.next()).value?.payload.length, piece.length);
    assert.ok((await held.promise) < total / 2);
    let received = 1;
    while (!(await chunks.next()).done) received++;
    assert.equal(received, total);
    connection.close();
  });
});

test('a reader who leaves early cancels the call', async () => {
  const canceled = Promise.withResolvers<void>();
  const answer: FakeAnswer = async (call) => {
    call.stream.on('close', () => canceled.resolve());
    await call.answer({ payload: Buffer.from('x') });
  };
  await withFake([[method.getJobLogs, answer]], async ({ node }) => {
    const connection = connect(node);
    for await (const chunk of connection.serverStream(getJobLogs, { uuid: 'x' })) {
      assert.equal(Buffer.from(chunk.payload).toString(), 'x');
      break;
    }
    await canceled.promise;
    connection.close();
  });
});

test('a stream that is read only after it has ended still has its messages and its end', async () => {
  const log: FakeAnswer = async (call) => {
    await call.answer({ payload: Buffer.from('x') });
    call.finish(5, 'gone');
  };
  const reset: FakeAnswer = (call) => call.stream.close(2);
  const status: FakeAnswer = (call) => call.finish(9, 'no');
  await withFake(
    [
      [method.getJobLogs, log],
      [method.getJobMetrics, reset],
      [method.getJobStatus, status],
    ],
    async ({ node }) => {
      const connection = connect(node);
      const logs = connection.serverStream(getJobLogs, {});
      const broken = connection.serverStream(
        { ...getJobLogs, path: '/joblet.JobService/GetJobMetrics' },
        {},
      );
      // Answered behind both: by then they have come to their ends.
      await assert.rejects(connection.unary(getJobStatus, {}), { kind: 'wrong-state' });
      const received: string[] = [];
      await assert.rejects(
        async () => {
          for await (const chunk of logs) received.push(Buffer.from(chunk.payload).toString());
        },
        { kind: 'not-found', message: 'gone' },
      );
      assert.deepEqual(received, ['x']);
      await assert.rejects(
        async () => {
          for await (const chunk of broken) assert.fail(String(chunk.position));
        },
        { kind: 'unavailable' },
      );
      connection.close();
    },
  );
});

test('an aborted call fails with the reason that was given', async () => {
  const arrived = Promise.withResolvers<void>();
  const answer: FakeAnswer = async (call) => {
    await firstOf(call.requests);
    arrived.resolve();
  };
  await withFake([[method.getJobStatus, answer]], async ({ node }) => {
    const connection = connect(node);
    const abort = new AbortController();
    const call = connection.unary(getJobStatus, { uuid: 'x' }, { signal: abort.signal });
    await arrived.promise;
    abort.abort(new Error('enough'));
    await assert.rejects(call, { message: 'enough' });
    connection.close();
  });
});

test('a daemon that does not answer in time is told the deadline, and the call ends with it', async () => {
  const told = Promise.withResolvers<unknown>();
  const answer: FakeAnswer = (call) => told.resolve(call.headers['grpc-timeout']);
  await withFake([[method.getJobStatus, answer]], async ({ node }) => {
    const connection = connect(node);
    const call = connection.unary(getJobStatus, { uuid: 'x' }, { deadlineMs: 200 });
    await assert.rejects(call, { code: 'DEADLINE_EXCEEDED', kind: 'unavailable' });
    assert.equal(await told.promise, '200m');
    connection.close();
  });
});

test('many requests go out as one call', async () => {
  const answer: FakeAnswer = async (call) => {
    let bytes = 0;
    for await (const part of call.requests) bytes += (part as SendJobInputRequest).data.length;
    await call.answer({ acceptedBytes: BigInt(bytes) });
    call.finish();
  };
  await withFake([[method.sendJobInput, answer]], async ({ node }) => {
    const connection = connect(node);
    const parts = Array.from({ length: 300 }, () => ({ data: Buffer.alloc(20_000) }));
    const answer = await connection.clientStream(sendJobInput, parts);
    assert.equal(answer.acceptedBytes, 6_000_000n);
    connection.close();
  });
});

test('an answer ahead of the end of the requests ends the call, even when no request ever comes', async () => {
  const answer: FakeAnswer = (call) => call.finish(9, 'nobody reads standard input any more');
  await withFake([[method.sendJobInput, answer]], async ({ node }) => {
    const connection = connect(node);
    const never = (async function* () {
      yield { uuid: 'x' };
      await new Promise(() => {});
    })();
    await assert.rejects(connection.clientStream(sendJobInput, never), { kind: 'wrong-state' });
    connection.close();
  });
});

test('a source of requests that fails ends the call with that failure', async () => {
  await withFake([[method.sendJobInput, () => {}]], async ({ node }) => {
    const connection = connect(node);
    const broken = (async function* () {
      yield { uuid: 'x' };
      throw new Error('cannot read the file');
    })();
    await assert.rejects(connection.clientStream(sendJobInput, broken), {
      message: 'cannot read the file',
    });
    connection.close();
  });
});

test('a connection that breaks fails the calls on it, with a way out', async () => {
  const arrived = Promise.withResolvers<void>();
  const fake = await startFake([[method.getJobStatus, () => arrived.resolve()]]);
  const connection = connect(fake.node);
  const call = connection.unary(getJobStatus, { uuid: 'x' });
  await arrived.promise;
  const closing = fake.close();
  await assert.rejects(call, (error) => error instanceof Away);
  await closing;
  connection.close();
});

test('a daemon that was heard is not one that nobody reached, whatever breaks its connection', async (t) => {
  const answer: FakeAnswer = (call) => call.answer({ payload: Buffer.from('begun') });
  await withFake([[method.getJobLogs, answer]], async ({ node }) => {
    const clients: net.Socket[] = [];
    const between = net.createServer((client) => {
      clients.push(client);
      const server = net.connect(node.port, '127.0.0.1');
      client.on('error', () => {}).pipe(server);
      server.on('error', () => {}).pipe(client);
      client.on('close', () => server.destroy());
    });
    await once(between.listen(0, '127.0.0.1'), 'listening');
    const { port } = between.address() as net.AddressInfo;
    const connection = connect({ ...node, port });
    t.after(() => {
      connection.close();
      between.close();
    });
    const chunks = connection.serverStream(getJobLogs, { uuid: 'x' })[Symbol.asyncIterator]();
    await chunks.next();
    // What comes now is no TLS.
    clients[0]?.write('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    await assert.rejects(
      chunks.next(),
      (error) => error instanceof Away && !(error instanceof Unreached),
    );
  });
});

test('a call on a connection that is closed before it stands fails, however far it has come', async () => {
  const silent = net.createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as net.AddressInfo;
  await withFake([], async ({ node }) => {
    const moments: Readonly<Record<string, () => Promise<unknown>>> = {
      'at once': async () => {},
      'after a turn of the loop': () => new Promise((resolve) => setImmediate(resolve)),
      'with a server that says nothing': () => once(silent, 'connection'),
    };
    for (const [when, moment] of Object.entries(moments)) {
      const come = moment();
      const connection = connect({ ...node, port });
      const call = connection.unary(getJobStatus, {});
      await come;
      connection.close();
      await assert.rejects(call, { kind: 'unavailable' }, when);
    }
  });
  silent.close();
});

test('a call behind the end of its connection makes another one, and what is under way goes on', async () => {
  const rest = Promise.withResolvers<void>();
  const answer: FakeAnswer = async (call) => {
    await call.answer({ payload: Buffer.from('begun') });
    await rest.promise;
    await call.answer({ payload: Buffer.from('ended') });
    call.finish();
  };
  const status: FakeAnswer = async (call) => {
    await call.answer({ uuid: 'x' });
    call.finish();
  };
  await withFake(
    [
      [method.getJobLogs, answer],
      [method.getJobStatus, status],
    ],
    async (fake) => {
      const connection = connect(fake.node);
      const chunks = connection.serverStream(getJobLogs, { uuid: 'x' })[Symbol.asyncIterator]();
      await chunks.next();
      fake.leave();
      // As long as the client has not heard of it, a call fails as one of that connection.
      for (;;) {
        const said = await connection.unary(getJobStatus, { uuid: 'x' }).catch((error) => error);
        if (!(said instanceof JobletError)) break;
        assert.equal(said.kind, 'unavailable');
      }
      rest.resolve();
      const last = await chunks.next();
      assert.equal(Buffer.from(last.value?.payload ?? []).toString(), 'ended');
      assert.equal((await chunks.next()).done, true);
      connection.close();
      await assert.rejects(connection.unary(getJobStatus, { uuid: 'x' }), { kind: 'unavailable' });
    },
  );
});

test('a port where nobody listens is named', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as net.AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  await withFake([], async ({ node }) => {
    const connection = connect({ ...node, port });
    await assert.rejects(connection.unary(getJobStatus, {}), (error) => {
      assert.ok(error instanceof JobletError);
      assert.match(error.message, new RegExp(`127.0.0.1:${port}: nobody listens there`));
      return true;
    });
  });
});

test('something that is no daemon is told apart from one', async () => {
  const plain = net.createServer((socket) => {
    socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  plain.listen(0, '127.0.0.1');
  await new Promise((resolve) => plain.once('listening', resolve));
  const { port } = plain.address() as net.AddressInfo;
  await withFake([], async ({ node }) => {
    await assert.rejects(connect({ ...node, port }).unary(getJobStatus, {}), {
      kind: 'unavailable',
      message: /does not speak TLS/,
    });
  });
  await new Promise((resolve) => plain.close(resolve));
});

test('S4-25 a client of another CA is refused, and told why', async () => {
  const stranger = await makeAuthority(Date.now());
  const pair = await issue(stranger, { kind: 'client', name: 'x', units: ['admin'] }, Date.now());
  await withFake([[method.getJobStatus, (call) => call.finish()]], async ({ node }) => {
    await assert.rejects(connect({ ...node, ...pair }).unary(getJobStatus, {}), {
      kind: 'unauthenticated',
      message: /refused our certificate/,
    });
  });
});

test('a daemon of another CA is refused before anything is sent', async () => {
  const stranger = await makeAuthority(Date.now());
  await withFake([[method.getJobStatus, (call) => call.finish()]], async ({ node }) => {
    await assert.rejects(connect({ ...node, ca: stranger.cert }).unary(getJobStatus, {}), {
      kind: 'unauthenticated',
      message: /not from our CA/,
    });
  });
});

test('a client certificate does not pass for that of a daemon', async () => {
  const fake = await startFake([[method.getJobStatus, (call) => call.finish()]]);
  const pair = await issue(
    fake.authority,
    { kind: 'client', name: 'joblet', units: ['viewer'] },
    Date.now(),
  );
  const impostor = await startFake([[method.getJobStatus, (call) => call.finish()]], {
    server: pair,
  });
  const node = { ...impostor.node, ca: fake.authority.cert };
  await assert.rejects(connect(node).unary(getJobStatus, {}), { kind: 'unauthenticated' });
  await impostor.close();
  await fake.close();
});

test('S4-29 S4-60 an expired certificate is named before anything is sent', async () => {
  await withFake([], async ({ node, authority }) => {
    const old = Date.now() - 400 * DAY_MS;
    const pair = await issue(authority, { kind: 'client', name: 'ann', units: ['admin'] }, old, 30);
    assert.throws(() => connect({ ...node, ...pair }), {
      kind: 'unauthenticated',
      message:
        /certificate verify failed: certificate has expired: the client certificate of node 'fake'/,
    });
  });
});

test('S4-60 a certificate and a key that are no pair are named before anything is sent', async () => {
  await withFake([], async ({ node, authority }) => {
    const who = { kind: 'client', name: 'ann', units: ['admin'] } as const;
    const { key } = await issue(authority, who, Date.now());
    const garbage = node.key.replace(/.{8}/, '--------');
    for (const other of [key, garbage]) {
      assert.throws(() => connect({ ...node, key: other }), {
        kind: 'invalid',
        message: /certificate and key of node 'fake' are no pair/,
      });
    }
  });
});

test('S4-29 an expired certificate of the daemon is named', async () => {
  const authority = await makeAuthority(Date.now());
  const old = Date.now() - 400 * DAY_MS;
  const server = await issue(authority, { kind: 'server', names: [] }, old, 30);
  const fake = await startFake([[method.getJobStatus, (call) => call.finish()]], { server });
  const node = { ...fake.node, ca: authority.cert };
  await assert.rejects(connect(node).unary(getJobStatus, {}), {
    kind: 'unauthenticated',
    message: /certificate has expired/,
  });
  await fake.close();
});
