import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  judgeSignature,
  keyIdOf,
  openSigningKey,
  parseSignature,
  publicKeyOf,
  readPublicKey,
  signatureProblem,
  signBytes,
} from './signature.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'joblet-keys-'));
after(() => rmSync(directory, { recursive: true }));

const file = (name: string) => path.join(directory, name);
const own = openSigningKey(file('own.pem'));
const other = openSigningKey(file('other.pem'));
const bytes = Buffer.from('what is signed');

test('a signing key is made once, and is its owner’s alone', () => {
  assert.equal(openSigningKey(file('own.pem')), own);
  assert.equal(statSync(file('own.pem')).mode & 0o777, 0o600);
  assert.notEqual(keyIdOf(own), keyIdOf(other));
});

test('a signature counts when its key is our own or trusted, and its bytes are those', () => {
  const keys = { signing: own, trusted: [] };
  const verdicts = [
    judgeSignature(bytes, signBytes(bytes, own), keys),
    judgeSignature(bytes, signBytes(bytes, other), { ...keys, trusted: [publicKeyOf(other)] }),
    judgeSignature(bytes, signBytes(bytes, other), keys),
    judgeSignature(Buffer.from('something else'), signBytes(bytes, own), keys),
    judgeSignature(bytes, undefined, keys),
  ];
  assert.deepEqual(
    verdicts.map(({ is }) => is),
    ['trusted', 'trusted', 'untrusted', 'wrong', 'missing'],
  );
  assert.deepEqual(verdicts.map(signatureProblem), [
    undefined,
    undefined,
    `it is signed by key ${keyIdOf(other)}, which is not trusted here (runtime.trustedKeys)`,
    `its signature is wrong: it is not what key ${keyIdOf(own)} signed`,
    'it has no signature',
  ]);
});

test('a public key is read from its own file, or from that of the private one', () => {
  writeFileSync(file('other.pub'), publicKeyOf(other));
  assert.equal(readPublicKey(file('other.pub')), readPublicKey(file('other.pem')));
});

test('what is no key of Ed25519 is refused by the name of its file', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  writeFileSync(file('rsa.pem'), rsa.export({ format: 'pem', type: 'pkcs8' }));
  writeFileSync(file('text.pem'), 'no key');
  for (const name of ['rsa.pem', 'text.pem', 'missing.pem']) {
    assert.throws(() => readPublicKey(file(name)), { kind: 'invalid', message: new RegExp(name) });
  }
  assert.throws(() => openSigningKey(file('rsa.pem')), { kind: 'invalid' });
});

test('a signature that cannot be read is refused', () => {
  for (const text of ['', 'null', '[]', '{}', '{"algorithm":"rsa"}', '"', 'x'.repeat(10_000)]) {
    assert.throws(() => parseSignature(text), { kind: 'invalid' }, text.slice(0, 20));
  }
});
