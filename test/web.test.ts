// The web port of a real daemon: who is let in, and what it costs others when clients misbehave.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { connect as openTls, type TLSSocket } from 'node:tls';
import { queryAudit } from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { get, get2, reach } from './web-client.ts';

const skip = cannotRun();
const MAX_REQUESTS = 8;
const MAX_CONNECTIONS = 4;

let daemon: Daemon;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon({
    web: { enabled: true, port: 0, maxRequestsPerClient: MAX_REQUESTS },
    grpc: { connectionTimeout: '300ms', maxConnectionsPerClient: MAX_CONNECTIONS },
  });
});

after(async () => {
  await daemon?.stop();
});

function open(role: 'viewer' | 'operator' | undefined): TLSSocket {
  return openTls({ ...reach(daemon, role), ALPNProtocols: ['http/1.1'] } as object);
}

/** Everything that comes until the connection is closed by the other side. */
function received(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (piece) => {
    text += piece;
  });
  // A connection may be cut off hard.
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve(text)));
}

test('the web port lets nobody in without a certificate, and says why', { skip }, async () => {
  for (const ask of [get, get2]) {
    const { code, body } = await ask(daemon, undefined, '/metrics');
    assert.equal(code, 401);
    assert.match(JSON.parse(body).error.message, /connect with a client certificate/);
  }
  const { records } = await daemon.as('admin').unary(queryAudit, { limit: 10 });
  const refused = records.find(({ method }) => method === '/metrics');
  assert.equal(refused?.result, 'unauthenticated');
});

test('a certificate that was revoked counts on connections that stand too', { skip }, async () => {
  const socket = open('viewer');
  await once(socket, 'secureConnect');
  const { serialNumber } = new X509Certificate(daemon.node('viewer').cert);
  const file = path.join(daemon.directory, 'revoked');
  const reloaded = daemon.logged(/the configuration was read again/);
  writeFileSync(file, `${serialNumber} test\n`);
  await reloaded;
  const whole = received(socket);
  socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  assert.match(await whole, /^HTTP\/1.1 401 .*certificate revoked/s);
  const restored = daemon.logged(/the configuration was read again/);
  writeFileSync(file, '');
  await restored;
  assert.equal((await get(daemon, 'viewer', '/metrics')).code, 200);
});

test('a client that opens too many connections loses its oldest quiet ones, and is answered', {
  skip,
}, async () => {
  const sockets: TLSSocket[] = [];
  const closed: number[] = [];
  for (let number = 0; number < MAX_CONNECTIONS + 2; number += 1) {
    const socket = open('operator');
    socket.on('error', () => {});
    socket.once('close', () => closed.push(number));
    socket.resume();
    await once(socket, 'secureConnect');
    sockets.push(socket);
  }
  assert.equal((await get(daemon, 'operator', '/metrics')).code, 200);
  assert.deepEqual(closed.slice(0, 2), [0, 1]);
  for (const socket of sockets) socket.destroy();
});

test('more connections that prove nothing than are told why are closed at once', {
  skip,
}, async () => {
  const sockets = Array.from({ length: 80 }, () => open(undefined));
  const closed = sockets.map((socket) => received(socket));
  await Promise.race(closed);
  assert.equal((await get(daemon, 'viewer', '/metrics')).code, 200);
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
});

test('what is not there, or asked for otherwise, is refused in words', { skip }, async () => {
  const missing = await get(daemon, 'viewer', '/nothing/../etc/passwd');
  assert.equal(missing.code, 404);
  assert.match(missing.body, /there is \/metrics/);
  const posted = await get(daemon, 'viewer', '/metrics', { method: 'POST' });
  assert.equal(posted.code, 501);
  assert.match(posted.body, /only GET/);
});

test('no browser may keep an answer, guess at it, or lend it to another site', {
  skip,
}, async () => {
  const { headers } = await get(daemon, 'viewer', '/metrics');
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
  assert.equal(headers['access-control-allow-origin'], undefined);
});

test('clients of the web port that stall, or send what is no HTTP, are cut off', {
  skip,
}, async () => {
  const silent = open('viewer');
  const halfway = open('viewer');
  halfway.write('GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: ');
  const wrong = open('viewer');
  wrong.write('\0\0\0 no HTTP at all\r\n\r\n');
  const endless = open('viewer');
  endless.write(`GET /metrics HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(128 * 1024)}\r\n\r\n`);
  const posting = open('viewer');
  posting.write(`POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n`);
  await Promise.all([silent, halfway, wrong, endless, posting].map(received));
  assert.equal((await get(daemon, 'viewer', '/metrics')).code, 200);
});
