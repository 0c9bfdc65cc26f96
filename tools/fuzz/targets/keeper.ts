// What listens where a keeper should: anybody on the host may bind the name of one that is gone. The
// daemon either believes it, for its proof, or lets it go; it never ends over it.

import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { formatFrame } from '../../../src/daemon/linux/frames.ts';
import { KeeperLink } from '../../../src/daemon/linux/keeper.ts';
import { target } from '../target.ts';

const proof = 'proof';
const address = { socket: `joblet-fuzz/${process.pid}`, proof };

/** What the next connection is told. */
let speech: readonly Buffer[] = [];
const server = createServer((socket: Socket) => {
  socket.on('error', () => {});
  for (const part of speech) socket.write(part);
  socket.end();
});
server.listen(`\0${address.socket}`).unref();

const state = formatFrame(['state', 'id', 'running', '1', '2', '1000000000', proof]);

export default target({
  seeds: [
    Buffer.concat([Buffer.from([0]), state, formatFrame(['ended', 'id', 'how=exited', 'code=0'])]),
    Buffer.concat([
      Buffer.from([9]),
      state,
      formatFrame(['bell', '12']),
      formatFrame(['stdin-gone']),
    ]),
    Buffer.concat([
      Buffer.from([0]),
      formatFrame(['state', 'id', 'running', '1', '2', '3', 'other']),
    ]),
    Buffer.concat([Buffer.from([0]), state, Buffer.from([255, 255, 255, 255])]),
    Buffer.from([0, 255, 255, 255, 255]),
    Buffer.from([0, 0, 0, 0, 0]),
  ],
  words: ['state\0', 'ended\0', 'bell\0', 'stdin-taken\0', 'how=', 'code=', proof, '\0\0\0\0'],
  async run(input) {
    const cut = input[0] ?? 0;
    speech = [input.subarray(1, 1 + cut), input.subarray(1 + cut)];
    const link = await KeeperLink.connect(address);
    if (link === undefined) return;
    link.watch(() => {});
    const end = await link.ended;
    for (const value of Object.values(end ?? {})) {
      assert.ok(typeof value !== 'number' || Number.isSafeInteger(value));
    }
    link.close();
  },
});
