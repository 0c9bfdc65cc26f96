import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { detectCloud } from './cloud.ts';

/** A machine with such firmware, and the service of its provider. */
async function machine(
  t: TestContext,
  word: string,
  serve: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const server = createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return detectCloud({ words: [word], isVirtual: true }, { host: '127.0.0.1', port });
}

test('a machine of Amazon is asked with a token', async (t) => {
  const found = await machine(t, 'Amazon EC2', (request, response) => {
    if (request.method === 'PUT') response.end('secret');
    else if (request.headers['x-aws-ec2-metadata-token'] !== 'secret')
      response.writeHead(401).end();
    else {
      response.end(
        JSON.stringify({
          region: 'eu-1',
          availabilityZone: 'eu-1a',
          instanceId: 'i-1',
          instanceType: 'm.large',
        }),
      );
    }
  });
  assert.deepEqual(found, {
    provider: 'AWS',
    region: 'eu-1',
    zone: 'eu-1a',
    instanceId: 'i-1',
    instanceType: 'm.large',
    hypervisor: 'KVM',
  });
});

test('a machine of Google says its zone with a path', async (t) => {
  const answers: Readonly<Record<string, string>> = {
    zone: 'projects/1/zones/europe-west1-b',
    id: '42',
    'machine-type': 'projects/1/machineTypes/e2-small',
  };
  const found = await machine(t, 'Google Compute Engine', (request, response) => {
    response.end(answers[request.url?.split('/').at(-1) ?? '']);
  });
  assert.equal(found.provider, 'GCP');
  assert.deepEqual(
    [found.region, found.zone, found.instanceId, found.instanceType],
    ['europe-west1', 'europe-west1-b', '42', 'e2-small'],
  );
});

test('a service that says nothing of use leaves the provider, and what is no cloud asks nobody', async (t) => {
  const azure = '7783-7084-3265-9085-8269-3286-77';
  const broken = await machine(t, azure, (_request, response) => response.end('no JSON'));
  assert.equal(broken.provider, 'Azure');
  assert.equal(broken.region, '');
  let asked = 0;
  const own = await machine(t, 'Dell Inc.', (_request, response) => {
    asked++;
    response.end();
  });
  assert.deepEqual([own.provider, asked], ['', 0]);
});
