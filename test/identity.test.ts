// S2-5, S4-1 to S4-5, S4-27 to S4-29: who may call, on real connections with real certificates.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { issue, type KeyPair, makeAuthority } from '../src/daemon/certs.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { JobletService } from '../src/gen/joblet/legacy_pb.ts';
import {
  authority,
  callUnary,
  clientPair,
  connect,
  credentialsOf,
  outcomeOf,
  type Served,
  serverPair,
  startServer,
  wire,
} from './grpc-fixture.ts';

let served: Served;
/** How often a handler was reached. */
let reached = 0;

before(async () => {
  served = await startServer((server) => {
    server.add(JobService, {
      listJobs: async () => {
        reached += 1;
        return {};
      },
      runJob: async () => {
        reached += 1;
        return {};
      },
      getJobLogs: async function* (_request, { signal }) {
        yield {};
        await once(signal, 'abort');
      },
    });
    server.add(JobletService, {
      listJobs: async () => ({}),
      runJob: async () => ({}),
      stopJob: async () => ({}),
      getJobStatus: async () => ({}),
    });
  });
});

after(() => served.server.stop());

async function withClient<T>(
  pair: KeyPair | undefined,
  use: (client: Client) => Promise<T>,
  port = served.port,
): Promise<T> {
  const client = connect(port, pair);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** What becomes of ListJobs, the weakest call there is. */
function tryList(pair: KeyPair | undefined): Promise<string> {
  return withClient(pair, (client) => outcomeOf(callUnary(client, JobService, 'listJobs', {})));
}

test('S4-1, S4-2, S4-3: a client with a certificate of our authority is served by its role', async () => {
  assert.equal(await tryList(await clientPair(['viewer'])), 'OK');
  assert.equal(await tryList(await clientPair(['Admin'])), 'OK');
});

test('S4-5: an admin may do everything of the first API, a viewer only read', async () => {
  const methods = ['runJob', 'stopJob', 'getJobStatus', 'listJobs'] as const;
  const outcomes = async (role: string) =>
    withClient(await clientPair([role]), async (client) => {
      const codes: string[] = [];
      for (const method of methods) {
        const [code = ''] = (await outcomeOf(callUnary(client, JobletService, method, {}))).split(
          ' ',
        );
        codes.push(code);
      }
      return codes;
    });
  assert.deepEqual(await outcomes('admin'), ['OK', 'OK', 'OK', 'OK']);
  assert.deepEqual(await outcomes('viewer'), [
    'PERMISSION_DENIED',
    'PERMISSION_DENIED',
    'OK',
    'OK',
  ]);
});

test('S4-28: a viewer who wants to run a job is told why not, before the body is read', async () => {
  const before = reached;
  const outcome = await withClient(await clientPair(['viewer']), (client) =>
    // As big a body as a message may be: nobody waits for it.
    outcomeOf(callUnary(client, JobService, 'runJob', { command: 'x'.repeat(4 * 1024 * 1024) })),
  );
  assert.equal(
    outcome,
    'PERMISSION_DENIED role viewer is not allowed to perform operation run_job',
  );
  assert.equal(reached, before);
  assert.ok(
    served.refused.some((line) => line.startsWith('/joblet.JobService/RunJob role viewer')),
  );
});

test('of two roles in one certificate the weakest counts', async () => {
  const outcome = await withClient(await clientPair(['admin', 'viewer']), (client) =>
    outcomeOf(callUnary(client, JobService, 'runJob', {})),
  );
  assert.equal(
    outcome,
    'PERMISSION_DENIED role viewer is not allowed to perform operation run_job',
  );
});

test('a certificate with an unknown role, or with none, may call nothing', async () => {
  for (const units of [['janitor'], [], ['admin', 'janitor']]) {
    assert.match(
      await tryList(await clientPair(units)),
      /^PERMISSION_DENIED role unknown is not allowed to perform operation list_jobs/,
    );
  }
});

test('S4-27: a client without a certificate reaches nothing', async () => {
  const before = reached;
  assert.match(
    await tryList(undefined),
    /^UNAUTHENTICATED failed to extract client role: no TLS information found/,
  );
  assert.equal(reached, before);
});

test('S4-29: an expired certificate is refused as such', async () => {
  const dayMs = 86_400_000;
  const expired = await issue(
    authority,
    { kind: 'client', name: 'ann', units: ['admin'] },
    Date.now() - 10 * dayMs,
    5,
  );
  assert.equal(
    await tryList(expired),
    'UNAUTHENTICATED certificate verify failed: certificate has expired',
  );
  const early = await issue(
    authority,
    { kind: 'client', name: 'ann', units: ['admin'] },
    Date.now() + dayMs,
  );
  assert.equal(
    await tryList(early),
    'UNAUTHENTICATED certificate verify failed: certificate is not yet valid',
  );
});

test('a certificate of another authority is refused, whatever it says', async () => {
  const other = await makeAuthority(Date.now());
  const before = reached;
  assert.equal(
    await tryList(await clientPair(['admin'], 'ann', other)),
    'UNAUTHENTICATED certificate verify failed: certificate signed by unknown authority',
  );
  assert.equal(reached, before);
});

test('a server certificate cannot be used as a client', async () => {
  assert.equal(
    await tryList(serverPair),
    'UNAUTHENTICATED certificate verify failed: certificate is not for client use',
  );
});

test('the authority itself cannot be used as a client', async () => {
  assert.match(await tryList(authority), /^UNAUTHENTICATED certificate verify failed: /);
});

test('a certificate that is revoked is refused at once, on connections that stand too', async () => {
  const pair = await clientPair(['admin'], 'eve');
  const serial = new X509Certificate(pair.cert).serialNumber;
  await withClient(pair, async (client) => {
    assert.equal(await outcomeOf(callUnary(client, JobService, 'listJobs', {})), 'OK');
    const { path, write, read } = wire(JobService, 'getJobLogs');
    const follower = client.makeServerStreamRequest(path, write, read, {});
    const cutOff = once(follower, 'error') as Promise<[ServiceError]>;
    await once(follower, 'data');
    served.server.update(credentialsOf(serverPair, new Set([serial])));
    assert.match((await cutOff)[0].message, /UNAUTHENTICATED.*revoked/);
    assert.equal(
      await outcomeOf(callUnary(client, JobService, 'listJobs', {})),
      `UNAUTHENTICATED certificate verify failed: certificate revoked (eve, serial ${serial})`,
    );
  });
  assert.match(await tryList(pair), /^UNAUTHENTICATED .*revoked/);
  assert.equal(await tryList(await clientPair(['admin'])), 'OK');
  served.server.update(credentialsOf());
});

test('a new server certificate is used for new connections, and old ones stand', async () => {
  const pair = await clientPair(['viewer']);
  const fresh = await issue(authority, { kind: 'server', names: ['fresh.example'] }, Date.now());
  await withClient(pair, async (client) => {
    assert.equal(await outcomeOf(callUnary(client, JobService, 'listJobs', {})), 'OK');
    served.server.update(credentialsOf(fresh));
    assert.equal(await outcomeOf(callUnary(client, JobService, 'listJobs', {})), 'OK');
  });
  const socket = connectTls({
    host: '127.0.0.1',
    port: served.port,
    servername: 'fresh.example',
    ca: authority.cert,
    ALPNProtocols: ['h2'],
    ...pair,
  });
  await once(socket, 'secureConnect');
  assert.match(socket.getPeerCertificate().subjectaltname ?? '', /fresh\.example/);
  socket.destroy();
  served.server.update(credentialsOf());
});

test('nothing older than TLS 1.3 is spoken', async () => {
  const pair = await clientPair(['admin']);
  const socket = connectTls({
    host: '127.0.0.1',
    port: served.port,
    servername: 'joblet',
    ca: authority.cert,
    maxVersion: 'TLSv1.2',
    ALPNProtocols: ['h2'],
    ...pair,
  });
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.match(error.code ?? '', /PROTOCOL_VERSION/);
});

test('a connection that speaks something else than HTTP/2 is closed', async () => {
  const socket = connectTls({
    host: '127.0.0.1',
    port: served.port,
    servername: 'joblet',
    ca: authority.cert,
    ...(await clientPair(['admin'])),
  });
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'close');
});
