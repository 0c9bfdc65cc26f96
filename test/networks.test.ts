// Networks as jobs see them: what is open and what is closed, in both families, seen from both ends.

import './own-host.ts';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { describe, test } from 'node:test';
import {
  createNetwork,
  getJobStatus,
  getNetwork,
  removeNetwork,
  sendJobInput,
  stopJob,
} from '../src/client/methods.ts';
import { ended, finish, printed, python, shell, start, statusOf } from './job-calls.ts';
import { HOST, ip, OUTSIDE, reach, Surroundings } from './network-world.ts';

/** Asks the job's resolver by TCP, twice on one connection. */
const ASK_BY_TCP = `
import socket, struct
server = [line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver')][0]
question = struct.pack('>HHHHHH', 7, 256, 1, 0, 0, 0) + b'\\3www\\7example\\0' + struct.pack('>HH', 1, 1)
connection = socket.create_connection((server, 53), 2)
stream = connection.makefile('rb')
connection.sendall(2 * (struct.pack('>H', len(question)) + question))
for _ in range(2):
    answer = stream.read(struct.unpack('>H', stream.read(2))[0])
    print('.'.join(map(str, answer[-4:])))
`;

const around = new Surroundings();
const { api, listen, outputOf } = around;

describe('a job on a network', { skip: around.skip }, () => {
  test('that names none is on isolated, and reaches the outside by the address of the host (S2-30)', async () => {
    const targets = [
      ...[`tcp:${OUTSIDE.v4}:80`, `tcp:[${OUTSIDE.v6}]:80`],
      ...[`udp:${OUTSIDE.v4}:5000`, `udp:[${OUTSIDE.v6}]:5000`],
    ];
    assert.deepEqual(Object.values(await reach(api(), '', targets)), [
      ...[`open ${HOST.v4}`, `open ${HOST.v6}`],
      ...['open x', 'open x'],
    ]);
    assert.deepEqual((await around.world.arrived()).toSorted(), [
      ...[`tcp 80 ${HOST.v4}`, `tcp 80 ${HOST.v6}`],
      ...[`udp 5000 ${HOST.v4}`, `udp 5000 ${HOST.v6}`],
    ]);
  });

  test('on none has its loopback and nothing else', async () => {
    const { stdout } = await finish(api(), shell('ls /sys/class/net', { network: 'none' }));
    assert.equal(stdout, 'lo\n');
  });

  for (const network of ['isolated', 'bridge']) {
    test(`on ${network} reaches no service and no address of the host`, async () => {
      const server = createServer((socket) => socket.end('the host'));
      let came = 0;
      server.on('connection', () => came++);
      const port = await listenAnywhere(server);
      const { gateway, cidr6 } = await api().unary(getNetwork, { name: network });
      const own = [HOST.v4, HOST.v6, gateway, cidr6.replace('/64', '1')];
      const targets = own.map((each) => `tcp:${each.includes(':') ? `[${each}]` : each}:${port}`);
      const seen = Object.values(await reach(api(), network, targets));
      server.close();
      for (const each of seen) assert.match(each, /^closed ConnectionRefusedError/);
      assert.equal(seen.length, 4);
      assert.equal(came, 0);
    });

    test(`on ${network} reaches no metadata service and no link-local address`, async () => {
      const closed = ['169.254.169.254', '169.254.1.1', '100.100.100.200', 'fd00:ec2::254'];
      for (const address of closed) {
        const family = address.includes(':') ? '-6' : '-4';
        const length = address.includes(':') ? 128 : 32;
        around.world.run('ip', family, 'address', 'replace', `${address}/${length}`, 'dev', 'eth0');
        ip(`${family} route replace ${address}/${length} dev ${OUTSIDE.name}`);
      }
      const targets = closed.map((each) => `tcp:${each.includes(':') ? `[${each}]` : each}:80`);
      const seen = Object.values(await reach(api(), network, targets));
      for (const each of seen) assert.match(each, /^closed/);
      assert.deepEqual(await around.world.arrived(), []);
    });
  }

  test('on isolated reaches no other job, neither there nor on another network', async () => {
    const others = [await listen('isolated'), await listen('bridge')];
    const seen = await reach(
      api(),
      'isolated',
      others.flatMap(({ targets }) => targets),
    );
    for (const each of Object.values(seen)) assert.match(each, /^closed ConnectionRefusedError/);
    for (const { uuid } of others) assert.equal(await outputOf(uuid), 'listens\n');
  });

  test('reaches the others of its own network, and none of another (S2-20)', async () => {
    await around.daemon
      .as('operator')
      .unary(createNetwork, { name: 'test-env', cidr: '10.10.0.0/24' });
    const [here, there] = [await listen('test-env'), await listen('bridge')];
    const targets = [...here.targets, ...there.targets];
    const seen = Object.values(await reach(api(), 'test-env', targets));
    assert.deepEqual(seen.slice(0, 2), ['open hello', 'open hello']);
    for (const each of seen.slice(2)) assert.match(each, /^closed ConnectionRefusedError/);
    assert.match(here.v4, /^10\.10\.0\.\d+$/);
    assert.match(await outputOf(here.uuid), /^listens\ncame ::ffff:10\.10\.0\.\d+\ncame fd/);
    assert.equal(await outputOf(there.uuid), 'listens\n');
  });

  test('finds its neighbours by their names, and nobody else does (S2-20)', async () => {
    const { uuid, v4, v6 } = await listen('test-env', 'service-a');
    const names = ['service-a', 'Service-A.test-env', `job-${uuid.slice(0, 8)}`, uuid];
    const asked = names.map((name) => `name:${name}`);
    const found = Object.values(await reach(api(), 'test-env', asked));
    assert.deepEqual(found, Array(4).fill(`open ${[v4, v6].toSorted().join(',')}`));
    assert.deepEqual(Object.values(await reach(api(), 'test-env', ['tcp:service-a:80'])), [
      'open hello',
    ]);
    for (const network of ['bridge', 'isolated']) {
      const strangers = ['name:service-a', 'name:service-a.test-env', 'name:nobody'];
      for (const each of Object.values(await reach(api(), network, strangers))) {
        assert.match(each, /^closed gaierror/);
      }
    }
    // A rule may name it, and then opens it and nothing beside.
    const ruled = ['tcp:service-a:80', 'tcp:service-a.test-env:80', `tcp:${OUTSIDE.v4}:80`];
    for (const allowed of ['tcp:service-a:80', 'tcp:service-a.test-env:80']) {
      const egress = { closed: true, allow: [allowed] };
      const seen = Object.values(await reach(api(), 'test-env', ruled, { egress }));
      assert.deepEqual(seen.slice(0, 2), ['open hello', 'open hello']);
      assert.match(seen[2] ?? '', /^closed/);
    }
    await outputOf(uuid);
    // Its name has gone with it, and none of all this was asked for outside but what could be of the around.world.
    const [gone] = Object.values(await reach(api(), 'test-env', ['name:service-a']));
    assert.match(gone ?? '', /^closed gaierror/);
    const outside = (await around.dns.arrived()).filter(
      (line) => !line.startsWith('dns service-a.test-env'),
    );
    assert.deepEqual(outside, []);
  });

  test("asks the host's resolvers about everything else, by UDP and TCP", async () => {
    const targets = [
      'name:www.example',
      'name:six.example',
      'tcp:www.example:80',
      'name:no.example',
    ];
    for (const network of ['isolated', 'test-env']) {
      const seen = Object.values(await reach(api(), network, targets));
      assert.deepEqual(seen.slice(0, 3), [
        ...[`open ${OUTSIDE.v4}`, 'open 2001:db8:1::2'],
        `open ${HOST.v4}`,
      ]);
      assert.match(seen[3] ?? '', /^closed gaierror/);
      const byTcp = python(ASK_BY_TCP, { network });
      assert.equal((await finish(api(), byTcp)).stdout, `${OUTSIDE.v4}\n`.repeat(2));
    }
    assert.ok((await around.dns.arrived()).includes('dns www.example'));
    await around.world.arrived();
    // A name may say what it will: the address is closed all the same.
    const names = ['inside.example', 'metadata.example'];
    const rebound = names.map((name) => `tcp:${name}:80`);
    for (const egress of [{}, { closed: true, allow: names }]) {
      for (const each of Object.values(await reach(api(), 'isolated', rebound, { egress }))) {
        assert.match(each, /^closed/);
      }
    }
  });

  test('cannot be reached from outside, nor from the host where it is isolated', async () => {
    const jobs = [await listen('isolated'), await listen('test-env')];
    for (const { v4, v6 } of jobs) {
      around.world.run('ip', '-4', 'route', 'replace', `${v4}/32`, 'via', HOST.v4);
      around.world.run('ip', '-6', 'route', 'replace', `${v6}/128`, 'via', HOST.v6);
    }
    const ask = `
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.create_connection((address, 80), 0.3)
        print('open', address)
    except OSError:
        pass
`;
    const addresses = jobs.flatMap(({ v4, v6 }) => [v4, v6]);
    assert.equal(around.world.run('python3', '-c', ask, ...addresses), '');
    const [alone] = jobs;
    const hosts = execFileSync('python3', ['-c', ask, alone?.v4 ?? '', alone?.v6 ?? '']);
    assert.equal(hosts.toString(), '');
    for (const { uuid } of jobs) assert.equal(await outputOf(uuid), 'listens\n');
  });

  test('that could send from a foreign address would reach nobody by it', async () => {
    const peer = await listen('test-env');
    const neighbour = await listen('test-env');
    const { uuid, v4, v6 } = await listen('test-env');
    const insideOf = async (job: string) => {
      const { posture } = await api().unary(getJobStatus, { uuid: job, posture: true });
      const target = String(posture?.kernel?.pid);
      return (program: string, ...args: string[]) =>
        execFileSync('nsenter', ['--net', '--target', target, program, ...args]);
    };
    const inside = await insideOf(uuid);
    // Known by now to send from where they are: that is to hold for nobody else.
    const sendOwn = `
import socket
for family, gateway in (socket.AF_INET, '10.10.0.1'), (socket.AF_INET6, '${v6.replace(/::.*$/, '::1')}'):
    socket.socket(family, socket.SOCK_DGRAM).sendto(b'x', (gateway, 53))
`;
    for (const own of [inside, await insideOf(neighbour.uuid)]) own('python3', '-c', sendOwn);
    // As whoever has more rights in there than any job: from an address of the outside, and of a neighbour.
    for (const foreign of ['198.51.100.7', v4.replace(/\.\d+$/, '.250'), neighbour.v4]) {
      inside('ip', 'address', 'add', `${foreign}/32`, 'dev', 'eth0');
      const send = `
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(('${foreign}', 0))
sock.sendto(b'x', ('${OUTSIDE.v4}', 5000))
try:
    socket.create_connection(('${peer.v4}', 80), 0.3, ('${foreign}', 0))
except OSError:
    pass
`;
      inside('python3', '-c', send);
    }
    for (const foreign6 of [v6.replace(/[^:]+$/, 'ffff'), neighbour.v6]) {
      inside('ip', 'address', 'add', `${foreign6}/128`, 'dev', 'eth0', 'nodad');
      const send6 = `
import socket
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(('${foreign6}', 0))
sock.sendto(b'x', ('${OUTSIDE.v6}', 5000))
`;
      inside('python3', '-c', send6);
    }
    assert.equal(await outputOf(peer.uuid), 'listens\n');
    for (const job of [uuid, neighbour.uuid])
      await api().unary(stopJob, { uuid: job, force: true });
    assert.deepEqual(await around.world.arrived(), []);
  });

  test('has a resolver and a name of its own, and its address in its status', async () => {
    const script = 'cat /etc/resolv.conf; grep $(hostname) /etc/hosts; cat /sys/class/net/eth0/mtu';
    const { stdout, job } = await finish(api(), shell(script, { network: 'test-env' }));
    assert.match(stdout, /^search test-env\n/);
    assert.match(stdout, /^10\.10\.0\.\d+ job-[0-9a-f]{8}$/m);
    assert.match(stdout, /^fd[0-9a-f:]+ job-[0-9a-f]{8}$/m);
    assert.deepEqual(job.addresses, []);
    const { posture } = await finish(api(), shell('true', { network: 'bridge' })).then(({ job }) =>
      api().unary(getJobStatus, { uuid: job.uuid, posture: true }),
    );
    assert.match(posture?.network ?? '', /^bridge \(out by NAT; reaches the jobs of its network/);
  });

  test('in which nothing was sent leaves its place to the next, and any other does not', async () => {
    const where = (more: string) =>
      finish(api(), shell(`hostname -I${more}`, { network: 'isolated' })).then(
        ({ stdout }) => stdout,
      );
    const clean = new Set<string>();
    for (let round = 0; round < 8; round++) clean.add(await where(''));
    assert.ok(clean.size < 8, [...clean].join());
    const used = new Set<string>();
    for (let round = 0; round < 8; round++) {
      used.add(
        await where(
          `; python3 -c "import socket; socket.socket(2, 2).sendto(b'x', ('${OUTSIDE.v4}', 9))"`,
        ),
      );
    }
    assert.equal(used.size, 8);
  });

  test('keeps it, its address and its connections while the daemon is killed and comes back', async () => {
    const { uuid, v4, v6, targets } = await listen('test-env', 'stays');
    const client = `
import socket
connection = socket.create_connection(('${OUTSIDE.v4}', 8080))
connection.recv(100)
print('connected', flush=True)
input()
connection.sendall(b'still there')
print(connection.recv(100).decode(), flush=True)
`;
    const talker = await start(api(), python(client, { network: 'test-env', stdin: true }));
    await printed(api(), talker, 'connected');
    await around.daemon.kill();
    await around.daemon.restart();
    assert.deepEqual((await statusOf(api(), uuid)).addresses, [v4, v6]);
    const { jobs, jobCount } = await api().unary(getNetwork, { name: 'test-env' });
    assert.equal(jobCount, 2);
    assert.ok(jobs.some((job) => job.name === 'stays' && job.addresses[0] === v4));
    assert.deepEqual(Object.values(await reach(api(), 'test-env', targets)), [
      'open hello',
      'open hello',
    ]);
    await api().clientStream(sendJobInput, [
      { uuid: talker, data: Buffer.from('go\n'), end: true },
    ]);
    const { stdout } = await ended(api(), talker);
    assert.match(stdout, /still there/);
    await outputOf(uuid);
  });

  test('holds the network: it is removed only when no job uses it or waits for it', async () => {
    const { uuid } = await listen('test-env');
    const remove = () => around.daemon.as('admin').unary(removeNetwork, { name: 'test-env' });
    await assert.rejects(remove(), /network test-env is in use by 1 job/);
    await outputOf(uuid);
    const schedule = new Date(Date.now() + 3_600_000).toISOString();
    const waiting = await start(api(), shell('true', { network: 'test-env', schedule }));
    await assert.rejects(remove(), /in use by 1 job/);
    await api().unary(stopJob, { uuid: waiting });
    await remove();
    await assert.rejects(remove(), /network not found: test-env/);
    await assert.rejects(
      start(api(), shell('true', { network: 'test-env' })),
      /"test-env" is not there/,
    );
  });
});

async function listenAnywhere(server: Server): Promise<number> {
  server.listen(0, '::');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
