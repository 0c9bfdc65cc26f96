// The standard services beside our own: health for load balancers, reflection for tools.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { type Client, makeClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { monitoringHandlers } from '../src/daemon/rpc/monitoring.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { MonitoringService } from '../src/gen/joblet/monitoring_pb.ts';
import {
  callUnary,
  clientPair,
  connect,
  outcomeOf,
  type Served,
  startServer,
} from './grpc-fixture.ts';

let served: Served;
let viewer: Client;

before(async () => {
  served = await startServer((server) => {
    server.add(JobService, {});
    server.add(MonitoringService, monitoringHandlers());
  });
  viewer = connect(served.port, await clientPair(['viewer']));
});

after(async () => {
  viewer.close();
  await served.server.stop();
});

interface HealthMethods {
  check(
    request: { service: string },
    done: (error: ServiceError | null, answer: unknown) => void,
  ): void;
}

function check(client: Client, service: string): Promise<unknown> {
  const methods = makeClientConstructor(healthService, 'Health')
    .prototype as unknown as HealthMethods;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  methods.check.call(client, { service }, (error, answer) =>
    error === null ? resolve(answer) : reject(error),
  );
  return promise;
}

test('the health of the server and of each service can be asked for by any role', async () => {
  assert.deepEqual(await check(viewer, ''), { status: 'SERVING' });
  assert.deepEqual(await check(viewer, 'joblet.JobService'), { status: 'SERVING' });
  assert.match(await outcomeOf(check(viewer, 'joblet.Nothing')), /^NOT_FOUND /);
});

test('health and reflection need a certificate too', async () => {
  const stranger = connect(served.port, undefined);
  assert.match(await outcomeOf(check(stranger, '')), /^UNAUTHENTICATED /);
  assert.match(await outcomeOf(reflect(stranger, 'v1', LIST_SERVICES)), /^UNAUTHENTICATED /);
  stranger.close();
});

// Requests of the reflection protocol, as bytes: field 7 asks for all services, field 4 for the file
// that defines a symbol.
const LIST_SERVICES = Buffer.from([0x3a, 0x00]);
const FILE_OF_JOB = Buffer.concat([
  Buffer.from([0x22, 'joblet.Job'.length]),
  Buffer.from('joblet.Job'),
]);

async function reflect(client: Client, version: string, request: Buffer): Promise<string> {
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const same = (bytes: Buffer) => bytes;
  const stream = client.makeBidiStreamRequest(path, same, same);
  stream.write(request);
  stream.end();
  const [answer] = (await once(stream, 'data')) as [Buffer];
  return answer.toString('latin1');
}

test('tools learn the services and their files from the server', async () => {
  for (const version of ['v1', 'v1alpha']) {
    const names = await reflect(viewer, version, LIST_SERVICES);
    assert.match(names, /joblet\.JobService/);
    assert.match(names, /joblet\.MonitoringService/);
    const file = await reflect(viewer, version, FILE_OF_JOB);
    assert.match(file, /joblet\/jobs\.proto/);
    assert.match(file, /RunJobRequest/);
  }
});

test('the server says which version it is', async () => {
  const info = await callUnary(viewer, MonitoringService, 'getServerVersion', {});
  assert.match(info.version, /^\d+\.\d+\.\d+/);
  assert.equal(info.component, 'joblet');
  assert.equal(info.platform, `${process.platform}/${process.arch}`);
});
