// Ports of the host that lead into jobs: where they were asked for they lead there, and nowhere else.

import './own-host.ts';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { describe, test } from 'node:test';
import type { JobRequest } from '../src/client/messages.ts';
import {
  createNetwork,
  getJobStatus,
  getNetwork,
  queryAudit,
  queryJobs,
  runJob,
  waitJob,
} from '../src/client/methods.ts';
import { finish, printed, python, shell, start, statusOf } from './job-calls.ts';
import { HOST, OUTSIDE, reach, Surroundings } from './network-world.ts';
import { runRnx } from './rnx.ts';

/** A job that answers on port 80, TCP and UDP, both families, and says who came. */
const SERVER = `
import socket, threading
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(('::', 80))
def answer():
    while True:
        data, peer = udp.recvfrom(100)
        print('udp', peer[0], flush=True)
        udp.sendto(b'hello', peer)
threading.Thread(target=answer, daemon=True).start()
tcp = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True)
print('listens', flush=True)
while True:
    connection, peer = tcp.accept()
    print('tcp', peer[0], flush=True)
    connection.sendall(b'hello')
    connection.close()
`;

/** Says of each place what it answers within a moment. */
const ASK = `
import socket, sys
for place in sys.argv[1:]:
    protocol, rest = place.split(':', 1)
    address, port = rest.rsplit(':', 1)
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM
    with socket.socket(family, kind) as sock:
        sock.settimeout(1 if protocol == 'tcp' else 0.3)
        try:
            sock.connect((address, int(port)))
            if protocol == 'udp': sock.send(b'x')
            print(sock.recv(100).decode() or 'nothing')
        except OSError as error:
            print(type(error).__name__)
`;

const around = new Surroundings();
const { outputOf } = around;

describe('a published port', { skip: around.skip }, () => {
  const api = () => around.daemon.as('operator');

  /** Starts a job that serves, with these ports of the host leading to it. */
  async function serve(publish: readonly string[], more: JobRequest = {}): Promise<string> {
    const uuid = await start(api(), python(SERVER, { publish: [...publish], ...more }));
    await printed(api(), uuid, 'listens');
    return uuid;
  }

  const words = (text: string) => text.trim().split('\n');
  const fromHost = (...places: string[]) =>
    words(execFileSync('python3', ['-c', ASK, ...places], { encoding: 'utf8' }));
  const fromOutside = (...places: string[]) =>
    words(around.world.run('python3', '-c', ASK, ...places));

  test('leads to a job from where it was asked for, by TCP and UDP, IPv4 and IPv6', async () => {
    const uuid = await serve([
      ...[`${HOST.v4}:8080:80`, `[${HOST.v6}]:8080:80`],
      ...[`${HOST.v4}:8080:80/udp`, `[${HOST.v6}]:8080:80/udp`, '8081:80', '8081:80/udp'],
    ]);
    const places = ['tcp', 'udp'].flatMap((protocol) => [
      `${protocol}:${HOST.v4}:8080`,
      `${protocol}:${HOST.v6}:8080`,
    ]);
    assert.deepEqual(fromOutside(...places), Array(4).fill('hello'));
    assert.deepEqual(fromHost(...places), Array(4).fill('hello'));
    assert.deepEqual(fromHost('tcp:127.0.0.1:8081', 'udp:127.0.0.1:8081'), ['hello', 'hello']);
    // Not at an address, a port or a protocol beside those.
    assert.deepEqual(
      fromHost('tcp:127.0.0.1:8080', `tcp:${HOST.v4}:8081`, 'tcp:::1:8081'),
      Array(3).fill('ConnectionRefusedError'),
    );
    assert.deepEqual(fromOutside(`tcp:${HOST.v4}:8081`, `tcp:${HOST.v6}:8081`), [
      ...['ConnectionRefusedError', 'ConnectionRefusedError'],
    ]);
    const { gateway } = await api().unary(getNetwork, { name: 'isolated' });
    const came = words(await outputOf(uuid)).filter((line) => line !== 'listens');
    // Whoever comes is seen with his own address, and the host's loopback with the gateway's.
    assert.deepEqual(
      came.map((line) => line.replace('::ffff:', '')),
      [
        ...[`tcp ${OUTSIDE.v4}`, `tcp ${OUTSIDE.v6}`, `udp ${OUTSIDE.v4}`, `udp ${OUTSIDE.v6}`],
        ...[`tcp ${HOST.v4}`, `tcp ${HOST.v6}`, `udp ${HOST.v4}`, `udp ${HOST.v6}`],
        ...[`tcp ${gateway}`, `udp ${gateway}`],
      ],
    );
    // It is gone with the job.
    const gone = [`tcp:${HOST.v4}:8080`, `tcp:${HOST.v6}:8080`];
    assert.deepEqual(fromHost(...gone, 'tcp:127.0.0.1:8081').includes('hello'), false);
    assert.deepEqual(fromOutside(...gone).includes('hello'), false);
  });

  test('of all addresses leads there from each, and lets nobody in who only says that he is the host', async () => {
    const uuid = await serve(['*:8080:80', '127.0.0.1:8082:80']);
    const all = [HOST.v4, HOST.v6].map((address) => `tcp:${address}:8080`);
    assert.deepEqual(fromHost(...all, 'tcp:127.0.0.1:8080'), Array(3).fill('hello'));
    // Who asks for localhost tries [::1], and then the other.
    assert.deepEqual(fromHost('tcp:::1:8080'), ['ConnectionRefusedError']);
    assert.deepEqual(fromOutside(...all), ['hello', 'hello']);
    // The outside sends the very packets that the host's loopback has.
    leadLoopback((...line) => around.world.run(...line), `via ${HOST.v4}`);
    const forged = fromOutside('tcp:127.0.0.1:8082', 'tcp:127.0.0.1:8080');
    assert.deepEqual(forged.includes('hello'), false);
    assert.equal(words(await outputOf(uuid)).length, 1 + 5);
    await around.renewWorld();
  });

  test('opens nothing to jobs, neither of the host nor of each other, and lets one only answer', async () => {
    const uuid = await serve(['*:8080:80'], { egress: { closed: true } });
    const { addresses } = await statusOf(api(), uuid);
    const { gateway } = await api().unary(getNetwork, { name: 'isolated' });
    await api().unary(createNetwork, { name: 'beside', cidr: '10.10.0.0/24' });
    const targets = [
      ...[`tcp:${HOST.v4}:8080`, `tcp:[${HOST.v6}]:8080`, `tcp:${gateway}:8080`],
      ...[`tcp:${addresses[0]}:80`, `tcp:[${addresses[1]}]:80`],
    ];
    for (const network of ['isolated', 'bridge', 'beside']) {
      for (const each of Object.values(await reach(api(), network, targets))) {
        assert.match(each, /^closed/);
      }
    }
    // What it may not begin, it may answer.
    assert.deepEqual(fromOutside(`tcp:${HOST.v4}:8080`), ['hello']);
    // Its way to the host's loopback is one way.
    const { posture } = await api().unary(getJobStatus, {
      uuid,
      posture: true,
    });
    const service = createServer((socket) => socket.end('the host'))
      .listen(0, '127.0.0.1')
      .unref();
    await once(service, 'listening');
    const { port } = service.address() as { port: number };
    const inside = (...line: string[]) =>
      execFileSync('nsenter', ['--net', '--target', String(posture?.kernel?.pid), ...line], {
        encoding: 'utf8',
      });
    leadLoopback(inside, '');
    const tried = inside('python3', '-c', ASK, `tcp:127.0.0.1:${port}`);
    service.close();
    assert.notEqual(tried.trim(), 'the host');
    assert.deepEqual(words(await outputOf(uuid)), ['listens', `tcp ::ffff:${OUTSIDE.v4}`]);
  });

  test('that is taken is refused before there is a job, whoever has it', async () => {
    const uuid = await serve(['127.0.0.1:8080:80']);
    const service = createServer().listen(8090, '127.0.0.1').unref();
    const talker = createSocket('udp4').bind(8091, HOST.v4).unref();
    await Promise.all([once(service, 'listening'), once(talker, 'listening')]);
    const { jobs: before } = await api().unary(queryJobs, { limit: 1000 });
    const run = (...publish: string[]) => api().unary(runJob, shell('true', { publish }));
    await assert.rejects(run('*:8080:81'), new RegExp(`8080/tcp is taken: job ${uuid} has it`));
    await assert.rejects(
      run('9000:80', '8090:80'),
      /127\.0\.0\.1:8090\/tcp is taken: something on this host/,
    );
    await assert.rejects(run('0.0.0.0:8091:80/udp'), /8091\/udp is taken/);
    await assert.rejects(run('198.51.100.9:80:80'), /cannot be had on this host \(EADDRNOTAVAIL\)/);
    await assert.rejects(
      run('8085:80', '*:8085:81', 'x'),
      /publish\[1\].*another one.*publish\[2\]/s,
    );
    await assert.rejects(
      api().unary(runJob, shell('true', { publish: ['8085:80'], network: 'none' })),
      /publish: is for a job on a network/,
    );
    const { jobs: now } = await api().unary(queryJobs, { limit: 1000 });
    assert.equal(now.length, before.length);
    // One that waits is told when its time has come.
    const schedule = new Date(Date.now() + 1000).toISOString();
    const late = await start(api(), shell('echo ran', { publish: ['8090:80'], schedule }));
    const { reason, message } = await api().unary(waitJob, { uuid: late });
    assert.equal(reason, 'NOT_STARTED');
    assert.match(message, /8090\/tcp is taken/);
    service.close();
    talker.close();
    await outputOf(uuid);
    const { job } = await finish(api(), shell('true', { publish: ['8080:80', '8090:80'] }));
    assert.equal(job.status, 'COMPLETED');
  });

  test('takes an operator, and is in the audit log', async () => {
    const wish = shell('true', { publish: ['8080:80'] });
    await assert.rejects(around.daemon.as('developer').unary(runJob, wish), /publish_ports/);
    const { job } = await finish(api(), wish);
    const { records } = await around.daemon.as('admin').unary(queryAudit, {
      filter: { jobUuid: job.uuid },
    });
    const opened = records.find(({ action }) => action === 'job.network');
    assert.equal(opened?.detail, 'published 127.0.0.1:8080:80/tcp');
  });

  test('and those who came by it stay while the daemon is killed and comes back', async () => {
    const echo = `
import socket
tcp = socket.create_server(('', 80))
print('listens', flush=True)
connection, _ = tcp.accept()
while data := connection.recv(100):
    connection.sendall(data)
`;
    const uuid = await start(api(), python(echo, { publish: [`${HOST.v4}:8080:80`] }));
    await printed(api(), uuid, 'listens');
    const client = connect(8080, HOST.v4);
    await once(client, 'connect');
    await around.daemon.kill();
    client.write('while it is down');
    assert.equal(String((await once(client, 'data'))[0]), 'while it is down');
    await around.daemon.restart();
    client.write('again');
    assert.equal(String((await once(client, 'data'))[0]), 'again');
    // Still taken, by the one that has it.
    await assert.rejects(
      api().unary(runJob, shell('true', { publish: [`${HOST.v4}:8080:80`] })),
      new RegExp(uuid),
    );
    client.destroy();
    await outputOf(uuid);
    const { job } = await finish(api(), shell('true', { publish: [`${HOST.v4}:8080:80`] }));
    assert.equal(job.status, 'COMPLETED');
  });

  test('is asked for and shown by rnx, as the guide says', async () => {
    const rnx = async (...args: string[]) => {
      const { code, out, err } = await runRnx(around.daemon, 'operator', ...args);
      assert.deepEqual([code, err], [0, ''], args.join(' '));
      return out;
    };
    const asked = ['--publish=8080:80', '--publish', `${HOST.v4}:5353:53/udp`, 'sleep', '60'];
    const uuid = /^ID: (\S+)$/m.exec(await rnx('job', 'run', ...asked))?.[1] ?? '';
    const whole = ['127.0.0.1:8080:80/tcp', `${HOST.v4}:5353:53/udp`];
    assert.ok((await rnx('job', 'status', uuid)).includes(`  Published: ${whole.join(', ')}\n`));
    assert.deepEqual(JSON.parse(await rnx('--json', 'job', 'status', uuid)).publish, whole);
    const listed = JSON.parse(await rnx('--json', 'job', 'list'));
    assert.deepEqual(listed.find(({ id }: { id: string }) => id === uuid)?.publish, whole);
    const inspected = await rnx('network', 'inspect', 'isolated');
    assert.ok(inspected.includes(`    published: ${whole.join(', ')}\n`));
    await rnx('job', 'stop', '--force', uuid);
    const bad = await runRnx(around.daemon, 'operator', 'job', 'run', '--publish=80', 'true');
    assert.match(bad.err, /"80" is no published port; write it as 8080:80/);
  });
});

/** Lets a namespace send what is for 127.0.0.1 out by its link. */
function leadLoopback(run: (...line: string[]) => string, via: string): void {
  for (const line of [
    'ip route del local 127.0.0.1 dev lo table local',
    'ip route del local 127.0.0.0/8 dev lo table local',
    `ip route add 127.0.0.1/32 ${via} dev eth0`,
    'sysctl -qw net.ipv4.conf.all.route_localnet=1',
  ]) {
    run(...line.split(' ').filter(Boolean));
  }
}
