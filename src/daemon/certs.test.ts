// S4-2: what our certificates say, read by another implementation than the one that wrote them.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { issue, makeAuthority } from './certs.ts';

const now = Date.now();
const DAY_MS = 86_400_000;

test('a client certificate carries name and role, is for clients only and can sign nothing', async () => {
  const authority = await makeAuthority(now);
  const pair = await issue(
    authority,
    { kind: 'client', name: 'ann@build-7', units: ['viewer'] },
    now,
  );
  const cert = new X509Certificate(pair.cert);
  const legacy = cert.toLegacyObject();
  assert.deepEqual({ ...legacy.subject }, { CN: 'ann@build-7', OU: 'viewer', O: 'Joblet' });
  assert.deepEqual(legacy.ext_key_usage, ['1.3.6.1.5.5.7.3.2']);
  assert.equal(cert.ca, false);
  assert.equal(cert.checkIssued(new X509Certificate(authority.cert)), true);
  assert.equal(cert.verify(new X509Certificate(authority.cert).publicKey), true);
  assert.equal(legacy.nistCurve, 'P-256');
  assert.ok(Math.abs(cert.validToDate.getTime() - now - 365 * DAY_MS) < 60_000);
});

test('a server certificate answers to the names that clients check and to those given', async () => {
  const authority = await makeAuthority(now);
  const names = ['node1.example', '10.0.0.7', 'fd00::7', 'joblet'];
  const pair = await issue(authority, { kind: 'server', names }, now);
  const cert = new X509Certificate(pair.cert);
  for (const host of ['joblet', 'localhost', 'joblet-server', 'node1.example']) {
    assert.ok(cert.checkHost(host), host);
  }
  for (const address of ['127.0.0.1', '::1', '10.0.0.7', 'fd00::7']) {
    assert.ok(cert.checkIP(address), address);
  }
  assert.deepEqual(cert.toLegacyObject().ext_key_usage, ['1.3.6.1.5.5.7.3.1']);
});

test('the authority signs certificates and lists, and no second authority', async () => {
  const cert = new X509Certificate((await makeAuthority(now)).cert);
  assert.equal(cert.ca, true);
  assert.ok(Math.abs(cert.validToDate.getTime() - now - 1095 * DAY_MS) < 60_000);
});

test('a name that could be read as something else is refused', async () => {
  const authority = await makeAuthority(now);
  for (const name of ['', 'a, OU=admin', 'a"b', '#ff', 'a+OU=admin', 'a\\', 'x'.repeat(65)]) {
    await assert.rejects(issue(authority, { kind: 'client', name, units: ['viewer'] }, now), {
      kind: 'invalid',
    });
  }
});

test('every certificate has a serial number of its own', async () => {
  const authority = await makeAuthority(now);
  const serials = new Set<string>();
  for (let i = 0; i < 8; i++) {
    const pair = await issue(authority, { kind: 'client', name: 'a', units: ['admin'] }, now);
    serials.add(new X509Certificate(pair.cert).serialNumber);
  }
  assert.equal(serials.size, 8);
  for (const serial of serials) assert.match(serial, /^[0-9A-F]{32}$/);
});
