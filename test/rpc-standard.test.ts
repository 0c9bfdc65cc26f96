// The standard services beside our own: health for load balancers, reflection for tools.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { monitoringHandlers } from '../src/daemon/rpc/monitoring.ts';
import {
  Health,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
} from '../src/gen/grpc/health/v1/health_pb.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { MonitoringService } from '../src/gen/joblet/monitoring_pb.ts';
import {
  callUnary,
  clientPair,
  connect,
  outcomeOf,
  type Served,
  startServer,
  wire,
} from './grpc-fixture.ts';

let served: Served;
let viewer: Client;

before(async () => {
  served = await startServer((server) => {
    server.add(JobService, {});
    server.add(MonitoringService, monitoringHandlers({} as never));
  });
  viewer = connect(served.port, await clientPair(['viewer']));
});

after(async () => {
  viewer.close();
  await served.server.stop();
});

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

async function check(client: Client, service: string): Promise<number> {
  return (await callUnary(client, Health, 'check', { service })).status;
}

test('the health of the server and of each service can be asked for by any role', async () => {
  assert.equal(await check(viewer, ''), SERVING);
  assert.equal(await check(viewer, 'joblet.JobService'), SERVING);
  assert.match(await outcomeOf(check(viewer, 'joblet.Nothing')), /^NOT_FOUND .*joblet\.Nothing/);
  const { statuses } = await callUnary(viewer, Health, 'list', {});
  assert.deepEqual(Object.keys(statuses), ['', 'joblet.JobService', 'joblet.MonitoringService']);
});

test('who watches the health hears at once when the server stops', async () => {
  const own = await startServer((server) => server.add(JobService, {}));
  const client = connect(own.port, await clientPair(['viewer']));
  const watch = async (service: string) => {
    const { path, write, read } = wire(Health, 'watch');
    const stream = client.makeServerStreamRequest(path, write, read, { service });
    const [first] = (await once(stream, 'data')) as [HealthCheckResponse];
    return { stream, status: first.status, ended: once(stream, 'error') };
  };
  const unknown = await watch('joblet.Nothing');
  assert.equal(unknown.status, SERVICE_UNKNOWN);
  const { stream, status, ended } = await watch('joblet.JobService');
  assert.equal(status, SERVING);
  const heard = once(stream, 'data') as Promise<[HealthCheckResponse]>;
  await own.server.stop();
  assert.equal((await heard)[0].status, NOT_SERVING);
  const errors = (await Promise.all([ended, unknown.ended])) as [ServiceError][];
  for (const [{ details }] of errors) assert.match(details, /is stopping/);
  client.close();
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
const fileOf = (symbol: string) =>
  Buffer.from(`\x22${String.fromCharCode(symbol.length)}${symbol}`);
const FILE_OF_JOB = fileOf('joblet.Job');
const FILE_OF_HEALTH = fileOf('grpc.health.v1.Health');

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
    assert.match(names, /grpc\.health\.v1\.Health/);
    const file = await reflect(viewer, version, FILE_OF_JOB);
    assert.match(file, /joblet\/jobs\.proto/);
    assert.match(file, /RunJobRequest/);
    assert.match(await reflect(viewer, version, FILE_OF_HEALTH), /HealthCheckRequest/);
  }
});

test('the server says which version it is', async () => {
  const info = await callUnary(viewer, MonitoringService, 'getServerVersion', {});
  assert.match(info.version, /^\d+\.\d+\.\d+/);
  assert.equal(info.component, 'joblet');
  assert.equal(info.platform, `${process.platform}/${process.arch}`);
});
