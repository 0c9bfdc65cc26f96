// Networks as their operator has them: made and removed, what they do to the host, and what is left of them.

import './own-host.ts';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { createNetwork, getJobStatus, listNetworks } from '../src/client/methods.ts';
import { cannotRun, type Daemon, type Settings, startDaemon } from './harness.ts';
import { ended, finish, python, shell, start } from './job-calls.ts';
import { DNS, HOST, ip, OUTSIDE, openWorld, reach, type World } from './network-world.ts';
import { runRnx } from './rnx.ts';
import { processesBelow } from './snapshot.ts';

/** Jobs of the campaign; a long one has 300. */
const JOBS = Number(process.env['JOBLET_NETWORK_JOBS'] ?? 40);

describe('a network', { skip: cannotRun() }, () => {
  test('leaves nothing of it on the host when the daemon stops', async (t) => {
    await outside(t);
    const daemon = await daemonOf(t);
    const api = daemon.as('admin');
    const before = hostNetwork();
    await api.unary(createNetwork, { name: 'passing', cidr: '10.10.0.0/24' });
    for (const network of ['isolated', 'passing']) {
      await reach(api, network, [`tcp:${OUTSIDE.v4}:80`]);
    }
    assert.notDeepEqual(hostNetwork(), before);
    // Somebody has taken a part of it already; the rest goes all the same.
    execFileSync('ip', ['route', 'del', 'unreachable', '10.10.0.0/24']);
    await daemon.end();
    await hostIs(before);
    assert.doesNotMatch(daemon.log(), /could not be taken off/);
  });

  test('leaves to others what the host forwarded before, of each family by itself', async (t) => {
    const FORWARD = '/proc/sys/net/ipv4/ip_forward';
    const [here, there] = [await outside(t), await openWorld(DNS)];
    t.after(() => there.close());
    t.after(() => writeFileSync(FORWARD, '0'));
    writeFileSync(FORWARD, '1');
    for (const [world, host4, host6] of [
      [here, HOST.v4, HOST.v6],
      [there, '198.51.100.1', '2001:db8:2::1'],
    ] as const) {
      world.run('ip', 'route', 'add', 'default', 'via', host4);
      world.run('ip', '-6', 'route', 'add', 'default', 'via', host6);
    }
    const daemon = await daemonOf(t);
    const seen = await reach(daemon.as('developer'), 'isolated', [
      ...[`tcp:${OUTSIDE.v4}:80`, `tcp:[${OUTSIDE.v6}]:80`],
    ]);
    assert.ok(Object.values(seen).every((each) => each.startsWith('open')));
    const ask =
      "import socket, sys; socket.create_connection((sys.argv[1], 80), 0.5); print('open')";
    assert.equal(here.run('python3', '-c', ask, DNS.v4), 'open\n');
    assert.throws(() => here.run('python3', '-c', ask, DNS.v6), /timed out/);
    await daemon.end();
    assert.equal(readFileSync(FORWARD, 'utf8'), '1\n');
  });

  test('is left by hundreds of jobs without a trace, also where launchers and daemons are killed', async (t) => {
    const world = await outside(t);
    const daemon = await daemonOf(t);
    const before = hostNetwork();
    const make = { name: 'busy', cidr: '10.10.0.0/24' };
    await daemon.as('operator').unary(createNetwork, make);
    const send = `import socket; socket.socket(2, 2).sendto(b'x', ('${OUTSIDE.v4}', 5000))`;
    for (let job = 0; job < JOBS; job += 10) {
      const batch = Array.from({ length: 10 }, (_, at) => {
        const network = ['isolated', 'bridge', 'busy'][at % 3] ?? '';
        const egress = at % 5 === 0 ? { allow: ['udp:*'] } : {};
        return start(daemon.as('developer'), python(send, { network, egress }));
      });
      const ids = await Promise.all(batch);
      if (job % 20 === 0) await daemon.kill();
      else process.kill(launcherOf(daemon), 'SIGKILL');
      if (job % 20 === 0) await daemon.restart();
      await Promise.all(ids.map((uuid) => ended(daemon.as('developer'), uuid)));
    }
    const { networks } = await daemon.as('viewer').unary(listNetworks, {});
    assert.deepEqual(
      networks.map(({ jobCount }) => jobCount),
      [0, 0, 0, 0],
    );
    await daemon.end();
    await hostIs(before);
    assert.ok((await world.arrived()).length > 0);
  });

  test('does not start where the host cannot give it, and says why', async (t) => {
    await outside(t);
    ip(`address add 10.77.0.1/24 dev ${OUTSIDE.name}`);
    const daemon = await daemonOf(t, {
      network: { default_network: 'isolated', isolatedCidr: '10.77.0.0/24' },
    });
    const { job } = await finish(daemon.as('developer'), shell('true'));
    assert.equal(job.status, 'FAILED');
    assert.match(
      job.message,
      /network.*isolatedCidr 10\.77\.0\.0\/24 overlaps what this host uses/,
    );
    const { job: other } = await finish(daemon.as('developer'), shell('true', { network: 'none' }));
    assert.equal(other.status, 'COMPLETED');
  });

  test('is made, listed, inspected and removed by rnx, as the guide says (S2-19, S0-35, S2-26)', async (t) => {
    await outside(t);
    const daemon = await daemonOf(t);
    const rnx = async (...args: string[]) => {
      const { code, out, err } = await runRnx(daemon, 'admin', ...args);
      assert.deepEqual([code, err], [0, ''], args.join(' '));
      return out;
    };
    const made = await rnx('network', 'create', 'test-env', '--cidr=10.10.0.0/24');
    assert.match(
      made,
      /^Network created successfully:\nName: test-env\nCIDR: 10\.10\.0\.0\/24\nBridge: jl\w+\nUse it: rnx job run --network=test-env COMMAND\n$/,
    );
    const limited = [
      '--bandwidth=10mbit',
      '--net-allow=tcp:example.org:443',
      '--net-deny=10.0.0.0/8',
    ];
    await rnx('network', 'create', 'agent-net', '--cidr=10.30.0.0/24', ...limited);
    const listed = await rnx('network', 'list');
    assert.match(listed, /^NAME +CIDR +BRIDGE +JOBS\n/);
    assert.match(listed, /^bridge \(built-in\) +172\.20\.0\.0\/16 +jl\w+ +0$/m);
    assert.match(listed, /^none \(built-in\) +- +- +0$/m);
    const { networks } = JSON.parse(await rnx('--json', 'network', 'list'));
    assert.deepEqual(
      networks.map((each: { name: string; builtin: boolean }) => [each.name, each.builtin]),
      [
        ['bridge', true],
        ['isolated', true],
        ['none', true],
        ['agent-net', false],
        ['test-env', false],
      ],
    );
    const job = ['--network=test-env', '--name=service-a', '--net-allow=nothing', 'sleep', '60'];
    const uuid = /^ID: (\S+)$/m.exec(await rnx('job', 'run', ...job))?.[1] ?? '';
    const inspected = await rnx('network', 'inspect', 'test-env');
    assert.match(
      inspected,
      new RegExp(`^Jobs: 1\n  ${uuid}  10\\.10\\.0\\.\\d+  fd\\S+  service-a$`, 'm'),
    );
    const agents = await rnx('network', 'inspect', 'agent-net');
    assert.match(agents, /^Sends only: tcp:example\.org:443\nNever sends: 10\.0\.0\.0\/8$/m);
    assert.match(agents, /^Bandwidth: 1250000 B\/s each way$/m);
    assert.match(
      await rnx('job', 'status', uuid),
      /^ {2}Addresses: 10\.10\.0\.\d+, fd\S+\n {2}Sends only: nothing$/m,
    );
    assert.equal(await rnx('job', 'network', 'show', uuid), 'Sends only: nothing\n');
    const allowed = await rnx('job', 'network', 'allow', uuid, 'tcp:example.org:443');
    assert.equal(allowed, 'Sends only: tcp:example.org:443\n');
    const denied = await rnx('job', 'network', 'deny', uuid, '192.0.2.0/24');
    assert.equal(denied, 'Sends only: tcp:example.org:443\nNever sends: 192.0.2.0/24\n');
    assert.equal(
      await rnx('job', 'network', 'reset', uuid),
      'Sends: all that its network reaches\n',
    );
    const refused = await runRnx(daemon, 'admin', 'network', 'remove', 'test-env');
    assert.deepEqual([refused.code, refused.out], [1, '']);
    assert.match(refused.err, /network test-env is in use by 1 job/);
    await rnx('job', 'stop', '--force', uuid);
    assert.equal(
      await rnx('network', 'remove', 'test-env'),
      "Network 'test-env' removed successfully\n",
    );
    assert.match(await rnx('network', 'delete', 'agent-net'), /removed successfully/);
    const hello = ['job', 'run', '--wait', '--network=isolated', 'echo', 'out'];
    assert.equal(await rnx(...hello), 'out\n');
  });

  test('of the host is for admins alone, and only where it is allowed', async (t) => {
    await outside(t);
    const closed = await daemonOf(t, { network: { default_network: 'isolated' } });
    const look = shell('ls /sys/class/net; cat /etc/resolv.conf', { network: 'host' });
    await assert.rejects(start(closed.as('admin'), look), /not offered on this node.*allow_host/);
    const daemon = await daemonOf(t, { network: { allow_host: true } });
    await assert.rejects(start(daemon.as('operator'), look), /use_host_network/);
    const { stdout, job } = await finish(daemon.as('admin'), look);
    assert.match(stdout, new RegExp(`^${OUTSIDE.name}$`, 'm'));
    assert.match(job.networkNote, /the host's own/);
    const { posture } = await daemon
      .as('viewer')
      .unary(getJobStatus, { uuid: job.uuid, posture: true });
    assert.match(posture?.network ?? '', /that of the host, as an admin asked for it/);
    // What nobody would keep is not promised.
    const wishes = { bandwidthBytesPerSecond: 4096n, egress: { deny: ['*'] }, publish: ['80:80'] };
    await assert.rejects(
      start(daemon.as('admin'), { ...look, ...wishes }),
      /bandwidth.*cannot be kept.*egress.*publish/s,
    );
    const { networks } = await daemon.as('viewer').unary(listNetworks, {});
    assert.ok(networks.some(({ name, builtin }) => name === 'host' && builtin));
  });

  test('is on a range that nobody else uses', async (t) => {
    await outside(t);
    ip(
      `address add 10.77.0.1/24 dev ${OUTSIDE.name}`,
      `route add 10.78.0.0/16 dev ${OUTSIDE.name}`,
    );
    const daemon = await daemonOf(t);
    const create = (name: string, cidr: string) =>
      daemon.as('operator').unary(createNetwork, { name, cidr });
    const made = await create('one', '10.10.0.0/24');
    assert.match(made.bridge, /^jl[0-9a-z]{4}n\d+$/);
    await assert.rejects(create('one', '10.11.0.0/24'), /network one exists already/);
    await assert.rejects(
      create('two', '10.10.0.128/25'),
      /overlaps 10\.10\.0\.0\/24 of network one/,
    );
    await assert.rejects(create('two', '10.77.0.0/25'), /an address at out0 of this host/);
    await assert.rejects(create('two', '10.78.5.0/24'), /a route by out0 of this host/);
    await assert.rejects(create('none', '10.12.0.0/24'), /name is taken/);
    await assert.rejects(create('bridge', '10.12.0.0/24'), /exists already/);
    await assert.rejects(
      create('a b', '1.2.3.0/24'),
      /name must start.*cidr 1\.2\.3\.0\/24 is not private/s,
    );
    const { networks } = await daemon.as('viewer').unary(listNetworks, {});
    assert.deepEqual(
      networks.map(({ name }) => name),
      ['bridge', 'isolated', 'none', 'one'],
    );
  });
  test('does not start where nobody says what a name stands for that it must not reach', async (t) => {
    await outside(t);
    const daemon = await daemonOf(t, {
      network: { default_network: 'isolated', nameServers: [OUTSIDE.v4] },
    });
    const egress = { deny: ['www.example'] };
    const { job } = await finish(daemon.as('developer'), shell('true', { egress }));
    assert.equal(job.status, 'FAILED');
    assert.match(job.message, /no resolver of the host says what www\.example stands for/);
  });
});

async function outside(t: TestContext): Promise<World> {
  const world = await openWorld(OUTSIDE);
  t.after(() => world.close());
  return world;
}

async function daemonOf(t: TestContext, settings: Settings = {}): Promise<Daemon> {
  const daemon = await startDaemon(settings);
  t.after(() => daemon.stop());
  return daemon;
}

function launcherOf(daemon: Daemon): number {
  const [launcher] =
    [...processesBelow(daemon.pid)].find(([, name]) => /joblet-launch/.test(name)) ?? [];
  if (launcher === undefined) throw new Error('there is no launcher');
  return launcher;
}

/** Resolves when the host's network is as it was: the kernel takes links away in its own time. */
async function hostIs(before: ReturnType<typeof hostNetwork>): Promise<void> {
  const monitor = spawn('ip', ['monitor', 'link', 'route'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(monitor, 'spawn');
  while (!isDeepStrictEqual(hostNetwork(), before)) await once(monitor.stdout, 'data');
  const over = once(monitor, 'close');
  monitor.kill();
  await over;
}

/** Everything that a daemon may have changed of the host's network. */
function hostNetwork() {
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8' });
  return {
    links: readFileSync('/proc/net/dev', 'utf8').match(/^ *[^: ]+(?=:)/gm),
    rules: run('nft', 'list', 'ruleset'),
    routes: run('ip', '-4', 'route') + run('ip', '-6', 'route'),
    forwarding: [
      readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8'),
      readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8'),
    ],
  };
}
