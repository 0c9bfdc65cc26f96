// A link to whatever listens where a keeper should: the names of abstract sockets have no owner.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { formatFrame } from './frames.ts';
import { KeeperLink } from './keeper.ts';

const proof = 'secret';
const hello = formatFrame(['state', 'job', 'running', '7', '8', '5000000', proof]);
/** A length that no frame has. */
const nonsense = Buffer.from([255, 255, 255, 255]);

/** Listens as `serve` wants it; answers where. */
async function listener(t: TestContext, serve: (socket: Socket) => void) {
  const socket = `joblet-test/${process.pid}/${Math.random()}`;
  const server = createServer(serve).listen(`\0${socket}`);
  t.after(() => server.close());
  await once(server, 'listening');
  return { address: { socket, proof }, server };
}

test('a keeper is believed for its proof, and tells the state and the end', async (t) => {
  const { address } = await listener(t, (socket) => {
    socket.write(Buffer.concat([hello, formatFrame(['ended', 'job', 'how=exited', 'code=3'])]));
  });
  const link = await KeeperLink.connect(address);
  assert.equal(link?.state.startedAtMs, 5);
  assert.equal((await link?.ended)?.code, 3);
  link?.close();
});

test('who talks nonsense is let go, before and after its proof', async (t) => {
  const before = await listener(t, (socket) => socket.write(nonsense));
  assert.equal(await KeeperLink.connect(before.address), undefined);
  const after = await listener(t, (socket) => {
    socket.write(hello);
    socket.once('data', () => socket.write(nonsense));
  });
  const link = await KeeperLink.connect(after.address);
  link?.stop(0);
  assert.equal(await link?.ended, undefined);
});

test('who says nothing is not waited for beyond half a minute', async (t) => {
  const { address, server } = await listener(t, () => {});
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const connecting = KeeperLink.connect(address);
  await once(server, 'connection');
  t.mock.timers.tick(30_000);
  assert.equal(await connecting, undefined);
});
