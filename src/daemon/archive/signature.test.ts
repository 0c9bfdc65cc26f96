// The examples of the published description of Signature Version 4 for S3.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_SHA256, encodePath, encodeQuery, sign } from './signature.ts';

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: '',
};
const AT_MS = Date.UTC(2013, 4, 24);

const examples = [
  {
    method: 'GET',
    path: '/test.txt',
    query: {},
    headers: { range: 'bytes=0-9' },
    bodySha256: EMPTY_SHA256,
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    method: 'PUT',
    path: encodePath('/test$file.text'),
    query: {},
    headers: {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    },
    bodySha256: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    method: 'GET',
    path: '/',
    query: { 'max-keys': '2', prefix: 'J' },
    headers: {},
    bodySha256: EMPTY_SHA256,
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
];

test('requests are signed as the description of the signature has it', () => {
  for (const { signature, ...request } of examples) {
    const host = 'examplebucket.s3.amazonaws.com';
    const { authorization } = sign({ ...request, host }, credentials, 'us-east-1', AT_MS);
    assert.match(authorization ?? '', new RegExp(`Signature=${signature}$`));
  }
});

test('what could mean something in an address is escaped', () => {
  assert.equal(encodePath("/a b/ü!'()*?#%/.."), '/a%20b/%C3%BC%21%27%28%29%2A%3F%23%25/..');
  assert.equal(encodeQuery({ uploads: '', 'a/b': 'c&d=e+' }), 'a%2Fb=c%26d%3De%2B&uploads=');
});

test('the secret key is in nothing that is sent', () => {
  const token = { ...credentials, sessionToken: 'session-token' };
  const [request] = examples;
  assert.ok(request);
  const headers = sign({ ...request, host: 'h' }, token, 'eu-central-1', AT_MS);
  assert.equal(headers['x-amz-security-token'], 'session-token');
  assert.ok(!JSON.stringify(headers).includes(credentials.secretAccessKey));
});
