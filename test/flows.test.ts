// The flow log: what jobs connected to and what was refused to them, as whoever asks about a job sees it.

import './own-host.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { FlowDetail } from '../src/client/messages.ts';
import { getJobFlows, sendJobInput, stopJob } from '../src/client/methods.ts';
import { ended, finish, printed, python, start } from './job-calls.ts';
import { OUTSIDE, reach, Surroundings } from './network-world.ts';
import { runRnx } from './rnx.ts';

/** Sends 100,000 bytes to a name, and is refused at another port, another address and another name. */
const TRIES = `
import socket
with socket.create_connection(('www.example', 7001)) as sink:
    sink.sendall(bytes(100_000))
    sink.shutdown(socket.SHUT_WR)
    sink.recv(10)
for place in (('${OUTSIDE.v4}', 443), ('${OUTSIDE.v6}', 80), ('no.example', 80)):
    for _ in range(3):
        try:
            socket.create_connection(place, 1)
        except OSError:
            pass
`;

/** Begins one connection after the other at as many ports as it is told. */
const BEGINS = `
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print('ready', flush=True)
while True:
    first, last = map(int, input().split())
    for port in range(first, last):
        sock.sendto(b'x', ('${OUTSIDE.v4}', port))
    print('sent', last, flush=True)
`;

const around = new Surroundings();
const { api } = around;

describe('the flow log of a job', { skip: around.skip }, () => {
  async function flowsOf(uuid: string, follow = false): Promise<FlowDetail[]> {
    const flows: FlowDetail[] = [];
    for await (const flow of around.daemon
      .as('viewer')
      .serverStream(getJobFlows, { uuid, follow })) {
      flows.push(flow);
    }
    return flows;
  }

  const brief = ({ verdict, way, protocol, address, port, name }: FlowDetail) =>
    [verdict, way, protocol, address, port, name].join(' ').trim();

  test('says where it went by which name, with how much, and what was refused to it', async () => {
    const egress = { closed: true, allow: ['tcp:www.example:7001'], deny: [] };
    const { job } = await finish(api(), python(TRIES, { egress }));
    // All of it is there when the last of it has been told.
    const flows = await flowsOf(job.uuid, true);
    const last = new Map(flows.map((flow) => [flow.number, flow]));
    assert.deepEqual([...last.values()].map(brief).toSorted(), [
      `allowed out tcp ${OUTSIDE.v4} 7001 www.example`,
      'refused out dns  0 no.example',
      `refused out tcp ${OUTSIDE.v4} 443 www.example`,
      `refused out tcp ${OUTSIDE.v6} 80`,
    ]);
    const sent = [...last.values()].find(({ verdict }) => verdict === 'allowed');
    assert.ok(Number(sent?.sentBytes) > 100_000 && Number(sent?.sentBytes) < 120_000);
    assert.ok(Number(sent?.receivedBytes) > 0 && Number(sent?.receivedBytes) < 20_000);
    assert.ok(sent !== undefined && sent.time <= sent.endTime);
    // The same, read from where it is kept.
    assert.deepEqual((await flowsOf(job.uuid)).map(brief), [...last.values()].map(brief));
  });

  test('counts the bytes of connections that stand, of those who came, and while the daemon is killed', async () => {
    const server = `
import socket
listener = socket.create_server(('', 80))
print('listens', flush=True)
connection, _ = listener.accept()
while data := connection.recv(1000):
    connection.sendall(data)
`;
    const operator = around.daemon.as('operator');
    const uuid = await start(operator, python(server, { publish: ['192.0.2.1:8080:80'] }));
    await printed(api(), uuid, 'listens');
    const client = `
import socket
connection = socket.create_connection(('192.0.2.1', 8080))
connection.sendall(bytes(5000))
got = 0
while got < 5000:
    got += len(connection.recv(5000))
print(got, connection.getsockname()[0])
`;
    assert.equal(around.world.run('python3', '-c', client), `5000 ${OUTSIDE.v4}\n`);
    const [came] = await flowsOf(uuid);
    assert.equal(came && brief(came), `allowed in tcp ${OUTSIDE.v4} 80`);
    assert.ok(Number(came?.sentBytes) > 5000 && Number(came?.receivedBytes) > 5000);
    await around.daemon.kill();
    await around.daemon.restart();
    await ended(api(), uuid);
    const [again, more] = (await flowsOf(uuid, true)).slice(-1);
    assert.deepEqual([again?.number, more], [1, undefined]);
    // The last fifth of a second before the kill may be lost: its bytes and its end, where they came then.
    assert.equal(again && brief(again), came && brief(came));
  });

  test('has a bound, and says how many were left out', async () => {
    const uuid = await start(api(), python(BEGINS, { stdin: true }));
    await printed(api(), uuid, 'ready');
    for (const [first, last] of [
      [10_000, 10_700],
      [10_700, 11_400],
    ]) {
      await api().clientStream(sendJobInput, [{ uuid, data: Buffer.from(`${first} ${last}\n`) }]);
      await printed(api(), uuid, `sent ${last}`);
    }
    await api().unary(stopJob, { uuid, force: true });
    const flows = await flowsOf(uuid, true);
    assert.equal(new Set(flows.map(({ number }) => number)).size, 1 + 1000);
    // Those that came too fast were refused, and are tried again by themselves.
    const omitted = flows.at(-1)?.omitted ?? 0n;
    assert.deepEqual([flows.at(-1)?.number, omitted >= 400n], [0, true]);
    const kept = await flowsOf(uuid);
    assert.deepEqual([kept.length, kept.at(-1)?.omitted], [1001, omitted]);
  });

  test('of a job that takes as many connections as it can leaves the host enough of them', async () => {
    const flood = `
import socket
for turn in range(20):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for port in range(10_000, 11_000):
            sock.sendto(b'x', ('${OUTSIDE.v4}', port))
print('sent', flush=True)
input()
`;
    const uuid = await start(api(), python(flood, { stdin: true }));
    await printed(api(), uuid, 'sent');
    const taken = Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8'));
    assert.ok(taken > 2000 && taken < 4096 + 200, `${taken}`);
    const targets = [`tcp:${OUTSIDE.v4}:80`];
    assert.deepEqual(Object.values(await reach(api(), 'bridge', targets)), ['open 192.0.2.1']);
    await api().unary(stopJob, { uuid, force: true });
  });

  test('is shown by rnx, as the guide says', async () => {
    const send = `import socket; socket.create_connection(('www.example', 80)).recv(100)`;
    const { job } = await finish(api(), python(send));
    await flowsOf(job.uuid, true);
    const rnx = async (...args: string[]) => {
      const { code, out, err } = await runRnx(around.daemon, 'viewer', ...args);
      assert.deepEqual([code, err], [0, ''], args.join(' '));
      return out;
    };
    const shown = await rnx('job', 'network', 'flows', job.uuid);
    assert.match(shown, /^TIME +VERDICT +WAY +PROTO +PLACE +SENT +RECEIVED +NAME\n/);
    assert.match(shown, /allowed +out +tcp +192\.0\.2\.2:80 +\d+ B +\d+ B +www\.example\n$/);
    const { flows, omitted } = JSON.parse(await rnx('--json', 'job', 'network', 'flows', job.uuid));
    assert.deepEqual([flows.length, flows[0].address, omitted], [1, OUTSIDE.v4, 0]);
    const followed = await rnx('job', 'network', 'flows', '--follow', job.uuid);
    assert.match(followed, /over allowed out tcp 192\.0\.2\.2:80/);
  });
});
