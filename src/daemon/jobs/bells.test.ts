// Bells before a keeper that is a socket of the test.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { formatFrame } from '../linux/frames.ts';
import { Bells } from './bells.ts';

const proof = 'secret';
const hello = formatFrame(['state', 'job', 'running', '7', '8', '5000000', proof]);

/** A keeper that rings when it is asked, for output up to `position`. */
async function keeperAt(t: TestContext, position: number) {
  const name = `joblet-test/${process.pid}/${Math.random()}`;
  const server = createServer((socket) => {
    socket.write(hello);
    socket.on('data', () => socket.write(formatFrame(['bell', String(position)])));
  }).listen(`\0${name}`);
  t.after(() => server.close());
  await once(server, 'listening');
  return { server, bells: new Bells(() => ({ socket: name, proof })) };
}

test('a reader that leaves takes the connection along, also while it does not wait', async (t) => {
  const { server, bells } = await keeperAt(t, 100);
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const [one, other] = [new AbortController(), new AbortController()];
  await Promise.all([bells.wait('job', 0, one.signal), bells.wait('job', 0, other.signal)]);
  const [socket] = await connected;
  one.abort();
  await bells.wait('job', 50, other.signal);
  assert.equal(socket.closed, false);
  other.abort();
  await once(socket, 'close');
});

test('who has left already is not waited for', async (t) => {
  const { server, bells } = await keeperAt(t, 100);
  server.once('connection', () => assert.fail('nobody needs a connection'));
  await bells.wait('job', 0, AbortSignal.abort());
});
