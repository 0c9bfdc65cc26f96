import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { post } from './webhook.ts';

/** A webhook that answers so; where it is. */
async function hook(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function tell(url: string, timeoutMs = 10_000): Promise<void> {
  const { signal } = new AbortController();
  return post({ url, headers: {}, caFile: '', body: '{}', timeoutMs }, signal);
}

test('a webhook that sends elsewhere has not been told, and nobody is asked there', async (t) => {
  const asked: (string | undefined)[] = [];
  const url = await hook(t, ({ url: path }, response) => {
    asked.push(path);
    response.writeHead(307, { location: '/elsewhere' }).end();
  });
  await assert.rejects(tell(`${url}/hook`), { message: 'the webhook answered 307' });
  assert.deepEqual(asked, ['/hook']);
});

test('a webhook that does not answer is given up in its time', async (t) => {
  const url = await hook(t, () => {});
  await assert.rejects(tell(url, 100), { message: 'the webhook did not answer within 100 ms' });
});

test('of an answer without end only its code is read', async (t) => {
  const closed = Promise.withResolvers<void>();
  const url = await hook(t, (_, response) => {
    response.writeHead(200);
    response.on('close', () => closed.resolve());
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16)));
    };
    response.on('drain', more);
    more();
  });
  await tell(url);
  await closed.promise;
});

test('a head without end is refused', async (t) => {
  const url = await hook(t, (_, { socket }) => {
    const more = () => {
      while (!socket?.destroyed && socket?.write(`x-more: ${'y'.repeat(8000)}\r\n`));
    };
    socket?.on('error', () => {});
    socket?.on('drain', more);
    socket?.write('HTTP/1.1 200 OK\r\n');
    more();
  });
  await assert.rejects(tell(url), /Header overflow/);
});
