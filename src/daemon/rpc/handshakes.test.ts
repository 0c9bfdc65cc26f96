import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { Handshakes } from './handshakes.ts';

function socketFrom(remoteAddress: string, remotePort: number): Socket {
  const socket = new EventEmitter();
  const destroy = () => socket.emit('close');
  return Object.assign(socket, { remoteAddress, remotePort, destroy }) as unknown as Socket;
}

/** Begins handshakes of these addresses, two allowed from each source; answers which were cut off. */
function cutOff(addresses: readonly string[], done: readonly number[] = []): number[] {
  const handshakes = new Handshakes(2);
  const closed: number[] = [];
  addresses.forEach((address, at) => {
    const socket = socketFrom(address, at + 1);
    socket.once('close', () => closed.push(at));
    handshakes.begin(socket);
    if (done.includes(at)) handshakes.end(socket);
  });
  return closed;
}

test('beyond the limit the oldest handshake of the same source is cut off', () => {
  assert.deepEqual(cutOff(['10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.1']), [0, 1]);
});

test('a handshake that is over counts no more', () => {
  assert.deepEqual(cutOff(['10.0.0.1', '10.0.0.1', '10.0.0.1'], [0, 1]), []);
});

test('all addresses of an IPv6 network are one source', () => {
  const network = ['2001:db8::1', '2001:db8:0:0:ffff::2', '2001:db8:0:0:1:2:3:4'];
  assert.deepEqual(cutOff(network), [0]);
  assert.deepEqual(cutOff(['2001:db8:0:1::1', '2001:db8:0:2::1', '2001:db8:0:3::1']), []);
  assert.deepEqual(cutOff(['::ffff:10.0.0.1', '::ffff:10.0.0.2', '::ffff:10.0.0.3']), []);
  assert.deepEqual(cutOff(['::1', '::1', '::1']), [0]);
});
