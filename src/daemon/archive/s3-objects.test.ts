// What a store can answer to harm whoever believes it. Objects in a real one are in test/s3.test.ts.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, test } from 'node:test';
import { issue, makeAuthority } from '../certs.ts';
import { sourceOf } from './objects.ts';
import { S3Connection } from './s3-connection.ts';
import { S3Objects } from './s3-objects.ts';

const SECRET = 'the-secret-key-of-the-archive';
const { signal } = new AbortController();

let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  if (server?.listening === true) await new Promise((resolve) => server?.close(resolve));
});

type Answers = (request: IncomingMessage, response: ServerResponse) => void;

async function storeThat(answers: Answers, requestMs?: number): Promise<S3Objects> {
  server = createServer((request, response) => {
    request.resume();
    // Whoever is hung up on goes on sending.
    response.on('error', () => {});
    answers(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const bucket = {
    endpoint: new URL(`http://127.0.0.1:${port}`),
    bucket: 'archive',
    region: 'us-east-1',
    ca: '',
    credentials: async () => ({ accessKeyId: 'KEY', secretAccessKey: SECRET, sessionToken: '' }),
  };
  return new S3Objects(new S3Connection(bucket, requestMs), 'p/');
}

async function drain<T>(all: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of all) found.push(one);
  return found;
}

const list = (inner: string) => `<ListBucketResult>${inner}</ListBucketResult>`;
const object = (key: string) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`;

test('an answer without end is read to its bound and no further', async () => {
  const objects = await storeThat((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
    };
    response.on('drain', more);
    more();
  });
  await assert.rejects(drain(objects.list('', signal)), /it answers more than 4194304 bytes/);
});

test('a list that never ends is given up', async () => {
  let asked = 0;
  const objects = await storeThat((_, response) => {
    asked += 1;
    const next = '<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>';
    response.end(list(object('p/a') + next));
  });
  await assert.rejects(drain(objects.list('', signal)), /lists more than 100 pages/);
  assert.equal(asked, 100);
});

test('keys that were not asked for, and sizes that cannot be, are refused', async () => {
  let said = list(object('other/../../etc/passwd'));
  const objects = await storeThat((_, response) => response.end(said));
  await assert.rejects(drain(objects.list('', signal)), /lists other.* below p\//);
  for (const size of ['-1', '1e3', '99999999999999999999', '', 'x']) {
    said = list(`<Contents><Key>p/a</Key><Size>${size}</Size></Contents>`);
    await assert.rejects(drain(objects.list('', signal)), /without a Size that can be/);
  }
});

test('an object of another length than was asked for is refused', async () => {
  const objects = await storeThat((_, response) => response.end('12345'));
  await assert.rejects(drain(objects.get('a', 0, 4, signal)), /more or less/);
  await assert.rejects(drain(objects.get('a', 0, 6, signal)), /more or less/);
  assert.deepEqual(Buffer.concat(await drain(objects.get('a', 0, 5, signal))).toString(), '12345');
});

test('an object that breaks off is refused', async () => {
  const objects = await storeThat((_, response) => {
    response.writeHead(206, { 'content-length': 100 });
    response.write('12345', () => response.destroy());
  });
  await assert.rejects(drain(objects.get('a', 0, 100, signal)), /broke off p\/a/);
});

const uploads = '<ListMultipartUploadsResult/>';
const initiated =
  '<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>';

test('what a store says to have put together and has not is not believed', async () => {
  const objects = await storeThat(({ method, url = '' }, response) => {
    response.setHeader('etag', '"e"');
    if (method === 'HEAD') response.setHeader('content-length', 3);
    if (method === 'GET') response.end(uploads);
    else if (url.includes('uploads=')) response.end(initiated);
    else response.end(method === 'POST' ? '<CompleteMultipartUploadResult/>' : '');
  });
  const big = sourceOf(Buffer.alloc(13 << 20));
  await assert.rejects(
    objects.put('a', big, signal),
    /holds 3 bytes as p\/a, and was sent 13631488/,
  );
});

test('an upload that fails with the status of success has failed', async () => {
  const objects = await storeThat(({ method, url = '' }, response) => {
    response.setHeader('etag', '"e"');
    if (method === 'GET') response.end(uploads);
    else if (url.includes('uploads=')) response.end(initiated);
    else response.end(method === 'POST' ? '<Error><Code>InternalError</Code></Error>' : '');
  });
  const big = sourceOf(Buffer.alloc(13 << 20));
  await assert.rejects(objects.put('a', big, signal), /InternalError/);
});

test('nobody is followed to another address, so keys and logs go to no other store', async () => {
  let asked = 0;
  const objects = await storeThat((request, response) => {
    asked += 1;
    response.writeHead(307, { location: `http://${request.headers.host}/elsewhere` }).end();
  });
  await assert.rejects(objects.put('a', sourceOf(Buffer.from('x')), signal), /answers 307/);
  assert.equal(asked, 1);
});

test('a store that answers a byte now and then does not hold anything up for ever', async () => {
  const objects = await storeThat((_, response) => {
    response.writeHead(200);
    response.write('<');
  }, 50);
  await assert.rejects(drain(objects.list('', signal)), /aborted due to timeout|aborted/);
});

test('the secret key is in no request and in no error, whatever is answered', async () => {
  const seen: string[] = [];
  const objects = await storeThat((request, response) => {
    seen.push(`${request.url} ${request.rawHeaders.join(' ')}`);
    const said = `<Error><Code>${'x'.repeat(1000)}</Code><Message>${request.rawHeaders}</Message></Error>`;
    response.writeHead(403).end(said);
  });
  await assert.rejects(objects.put('a', sourceOf(Buffer.from('x')), signal), (error: Error) => {
    assert.ok(error.message.length < 1000);
    assert.ok(!error.message.includes(SECRET));
    return true;
  });
  assert.equal(seen.length, 1);
  assert.ok(!seen.join('').includes(SECRET));
});

test('a store with a certificate of its own is believed by its authority, and by nothing else', async (t) => {
  const now = Date.now();
  const authority = await makeAuthority(now);
  const { cert, key } = await issue(authority, { kind: 'server', names: ['localhost'] }, now);
  const store = https.createServer({ cert, key }, (_, response) => response.end(list('')));
  store.listen(0, 'localhost');
  await once(store, 'listening');
  t.after(() => {
    store.closeAllConnections();
    store.close();
  });
  const { port } = store.address() as AddressInfo;
  const objectsBy = (ca: string) =>
    new S3Objects(
      new S3Connection({
        endpoint: new URL(`https://localhost:${port}`),
        bucket: 'archive',
        region: 'us-east-1',
        ca,
        credentials: async () => ({ accessKeyId: 'K', secretAccessKey: SECRET, sessionToken: '' }),
      }),
      '',
    );
  assert.deepEqual(await drain(objectsBy(authority.cert).list('', signal)), []);
  await assert.rejects(drain(objectsBy('').list('', signal)), /certificate/);
});
