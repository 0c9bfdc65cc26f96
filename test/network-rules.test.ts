// Rules of what jobs may send, by address, port, protocol and name, seen from both ends.

import './own-host.ts';
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { JobRequest } from '../src/client/messages.ts';
import {
  changeJobEgress,
  createNetwork,
  listNetworks,
  removeNetwork,
  sendJobInput,
  stopJob,
} from '../src/client/methods.ts';
import { ended, printed, python, start, statusOf } from './job-calls.ts';
import { HOST, OUTSIDE, reach, Surroundings } from './network-world.ts';

/** A job that says what the outside says again, by one connection. */
const TALKER = `
import socket
connection = socket.create_connection(('${OUTSIDE.v4}', 8080))
connection.recv(100)
print('connected', flush=True)
while True:
    word = input()
    try:
        connection.settimeout(1)
        connection.sendall(word.encode())
        print(word, connection.recv(100).decode(), flush=True)
    except OSError as error:
        print(word, 'failed', flush=True)
`;

const around = new Surroundings();
const { api, listen, outputOf } = around;

describe('a job under rules', { skip: around.skip }, () => {
  before(async () => {
    const wish = { name: 'test-env', cidr: '10.10.0.0/24' };
    await around.daemon.as('operator').unary(createNetwork, wish);
  });

  test('sends only what its rules allow, by address, port, protocol and name, in both families', async () => {
    const everywhere = [
      ...[`tcp:${OUTSIDE.v4}:80`, `tcp:${OUTSIDE.v4}:443`, `udp:${OUTSIDE.v4}:5000`],
      ...[`tcp:[${OUTSIDE.v6}]:80`, `tcp:[${OUTSIDE.v6}]:443`, `udp:[${OUTSIDE.v6}]:5000`],
      ...['tcp:www.example:80', 'tcp:six.example:80'],
    ];
    const open = async (network: string, closed: boolean, allow: string[], deny: string[] = []) => {
      const seen = await reach(api(), network, everywhere, { egress: { closed, allow, deny } });
      return everywhere.filter((target) => seen[target]?.startsWith('open'));
    };
    await around.world.arrived();
    assert.deepEqual(await open('isolated', true, []), []);
    assert.deepEqual(await open('test-env', true, []), []);
    assert.deepEqual(await around.world.arrived(), []);
    assert.deepEqual(await open('isolated', true, [`tcp:${OUTSIDE.v4}:443`]), [everywhere[1]]);
    assert.deepEqual(await around.world.arrived(), [`tcp 443 ${HOST.v4}`]);
    assert.deepEqual(await open('isolated', false, ['2001:db8:1::/64', 'udp:*']), [
      ...everywhere.slice(2, 6),
    ]);
    // Once a name has been asked for, what it stands for is open by its address as well.
    assert.deepEqual(await open('bridge', false, ['tcp:*.example:80']), everywhere.slice(6));
    assert.deepEqual(await open('isolated', false, ['www.example']), [everywhere[6]]);
    assert.deepEqual(await open('isolated', false, [], ['udp:*', '*:443', 'six.example']), [
      ...[everywhere[0], everywhere[6]],
    ]);
    assert.deepEqual(await open('isolated', false, [`${OUTSIDE.v4}`], ['tcp:*:80']), [
      ...[everywhere[1], everywhere[2]],
    ]);
  });

  test('that must not know a name does not reach what it stands for either', async () => {
    const places = [
      ...[`tcp:${OUTSIDE.v4}:80`, `tcp:[${OUTSIDE.v6}]:80`, `tcp:[${OUTSIDE.v6}]:443`],
      ...['name:www.example', 'name:six.example'],
    ];
    const closed = async (...deny: string[]) => {
      const seen = await reach(api(), 'isolated', places, { egress: { deny } });
      return places.filter((place) => seen[place]?.startsWith('closed'));
    };
    assert.deepEqual(await closed('www.example'), [places[0], places[3]]);
    assert.deepEqual(await closed('tcp:six.example:80', 'no.example'), [places[1], places[4]]);
    // Of names that nobody can count only the names are closed.
    assert.deepEqual(await closed('*.example'), places.slice(3));
    // A network may say it, and a running job come under it with connections that stand.
    const wish = { name: 'named', cidr: '10.50.0.0/24', egress: { deny: ['six.example'] } };
    await around.daemon.as('operator').unary(createNetwork, wish);
    const uuid = await start(api(), python(TALKER, { network: 'named', stdin: true }));
    const say = async (word: string, then: string) => {
      await api().clientStream(sendJobInput, [{ uuid, data: Buffer.from(`${word}\n`) }]);
      await printed(api(), uuid, `${word} ${then}`);
    };
    await printed(api(), uuid, 'connected');
    await say('one', 'one');
    await api().unary(changeJobEgress, { uuid, deny: ['www.example'] });
    await say('two', 'failed');
    await api().unary(changeJobEgress, { uuid, reset: true });
    await around.daemon.kill();
    await around.daemon.restart();
    const six = [`tcp:${OUTSIDE.v4}:80`, `tcp:[${OUTSIDE.v6}]:80`];
    const seen = Object.values(await reach(api(), 'named', six));
    assert.deepEqual(
      seen.map((each) => each.startsWith('open')),
      [true, false],
    );
    await api().unary(stopJob, { uuid, force: true });
    await ended(api(), uuid);
    await around.daemon.as('admin').unary(removeNetwork, { name: 'named' });
  });

  test('that must not know a neighbour does not reach it, whichever of them came first', async () => {
    const first = await listen('test-env', 'Secret');
    const client = `
import socket
for _ in range(3):
    try:
        socket.create_connection((input(), 80), 1)
        print('reached', flush=True)
    except OSError as error:
        print('closed', flush=True)
`;
    const egress = { deny: ['secret.test-env', 'other'] };
    const wish = python(client, { network: 'test-env', egress, stdin: true });
    const uuid = await start(api(), wish);
    const second = await listen('test-env', 'other');
    const third = await listen('test-env', 'third');
    const input = [first.v4, second.v6, third.v4].map((each) => `${each}\n`).join('');
    await api().clientStream(sendJobInput, [{ uuid, data: Buffer.from(input), end: true }]);
    assert.equal((await ended(api(), uuid)).stdout, 'closed\nclosed\nreached\n');
    const [name] = Object.values(await reach(api(), 'test-env', ['name:secret'], { egress }));
    assert.match(name ?? '', /^closed gaierror/);
    for (const each of [first, second, third]) await outputOf(each.uuid);
  });

  test('sends no more than its network allows, whatever its own rules say', async () => {
    const egress = { closed: true, allow: [`tcp:${OUTSIDE.v4}:80`, 'www.example:80'], deny: [] };
    const wish = { name: 'agent-net', cidr: '10.30.0.0/24', egress };
    await around.daemon.as('operator').unary(createNetwork, wish);
    const targets = [
      `tcp:${OUTSIDE.v4}:80`,
      `tcp:${OUTSIDE.v4}:443`,
      'tcp:www.example:80',
      'name:six.example',
    ];
    const seen = async (more: JobRequest = {}) =>
      Object.values(await reach(api(), 'agent-net', targets, more)).map((each) =>
        each.startsWith('open'),
      );
    assert.deepEqual(await seen(), [true, false, true, false]);
    assert.deepEqual(await seen({ egress: { closed: true, allow: ['*'] } }), [
      true,
      false,
      false,
      false,
    ]);
    assert.deepEqual(await seen({ egress: { deny: ['*:80'] } }), [false, false, false, false]);
    const server = await listen('agent-net');
    // Who is asked may answer.
    const ask = await reach(api(), 'agent-net', server.targets);
    assert.deepEqual(
      Object.values(ask).map((each) => each.startsWith('open')),
      [false, false],
    );
    await outputOf(server.uuid);
    const { networks } = await around.daemon.as('viewer').unary(listNetworks, {});
    assert.deepEqual(networks.find(({ name }) => name === 'agent-net')?.egress, egress);
    await around.daemon.as('admin').unary(removeNetwork, { name: 'agent-net' });
  });

  test('comes under other rules while it runs, with its open connections', async () => {
    const uuid = await start(api(), python(TALKER, { network: 'isolated', stdin: true }));
    await printed(api(), uuid, 'connected');
    const say = async (word: string, then: string) => {
      await api().clientStream(sendJobInput, [{ uuid, data: Buffer.from(`${word}\n`) }]);
      await printed(api(), uuid, `${word} ${then}`);
    };
    await say('one', 'one');
    const only = await api().unary(changeJobEgress, { uuid, allow: [`tcp:${OUTSIDE.v4}:8080`] });
    assert.deepEqual(only, { closed: true, allow: [`tcp:${OUTSIDE.v4}:8080`], deny: [] });
    await say('two', 'two');
    await around.daemon.kill();
    await around.daemon.restart();
    await say('three', 'three');
    await api().unary(changeJobEgress, { uuid, deny: [`${OUTSIDE.v4}`] });
    await say('four', 'failed');
    const { egress } = await statusOf(api(), uuid);
    assert.deepEqual(egress?.deny, [OUTSIDE.v4]);
    await assert.rejects(
      api().unary(changeJobEgress, { uuid, allow: ['a b'], deny: ['x:0'] }),
      /allow\[0\].*is no rule.*deny\[0\]/s,
    );
    await assert.rejects(
      around.daemon.as('viewer').unary(changeJobEgress, { uuid, reset: true }),
      /viewer/,
    );
    await api().unary(stopJob, { uuid, force: true });
  });

  test('keeps its rules also where the daemon is killed as soon as it runs', async () => {
    const client = `
import socket
input()
try:
    socket.create_connection(('${OUTSIDE.v4}', 8080), 2)
    print('open', flush=True)
except OSError:
    print('closed', flush=True)
`;
    const egress = { closed: true, allow: ['udp:192.0.2.77:9'], deny: [] };
    const wish = python(client, { network: 'isolated', stdin: true, egress });
    const uuid = await start(api(), wish);
    await around.daemon.kill();
    await around.daemon.restart();
    assert.deepEqual((await statusOf(api(), uuid)).egress?.allow, egress.allow);
    await api().clientStream(sendJobInput, [{ uuid, data: Buffer.from('go\n') }]);
    assert.equal((await ended(api(), uuid)).stdout, 'closed\n');
  });
});
