// `joblet certs`, and a daemon's API that takes over what it does while running.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { on, once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { Client, credentials } from '@grpc/grpc-js';
import { parse } from 'yaml';
import { readNodesFile } from '../src/client/nodes-file.ts';
import { certsCommand } from '../src/daemon/certs-command.ts';
import { loadConfig } from '../src/daemon/config.ts';
import type { Log } from '../src/daemon/log.ts';
import type { RpcParts } from '../src/daemon/rpc/server.ts';
import { createRpc } from '../src/daemon/rpc/server.ts';
import { JobService } from '../src/gen/joblet/jobs_pb.ts';
import { JobletError } from '../src/shared/errors.ts';
import { callUnary, outcomeOf } from './grpc-fixture.ts';

const run = promisify(execFile);
const MAIN = path.join(import.meta.dirname, '../src/daemon/main.ts');

let directory: string;

before(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'joblet-certs-'));
  await certs('init', '--address', '127.0.0.1', '--name', 'node1.example');
});

after(() => rmSync(directory, { recursive: true, force: true }));

/** Runs `joblet certs`; answers what it printed. */
async function certs(...words: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [MAIN, 'certs', ...words, '--dir', directory]);
  return stdout;
}

/** The message that `joblet certs` fails with. */
async function failure(...words: string[]): Promise<string> {
  try {
    await certsCommand([...words, '--dir', directory]);
  } catch (error) {
    assert.ok(error instanceof JobletError);
    return error.message;
  }
  throw new Error('it did not fail');
}

const file = (name: string) => path.join(directory, name);
const read = (name: string) => readFileSync(file(name), 'utf8');
const modeOf = (name: string) => (statSync(file(name)).mode & 0o777).toString(8);

test('S4-2, S4-4: init makes an authority, a server and a client for each role, in files that fit', async () => {
  const authority = new X509Certificate(read('ca-cert.pem'));
  const config = loadConfig(file('joblet-config.yml'), {});
  const server = new X509Certificate(config.security.serverCert);
  assert.ok(server.checkIssued(authority));
  for (const name of ['joblet', 'localhost', 'node1.example']) assert.ok(server.checkHost(name));
  assert.ok(server.checkIP('127.0.0.1'));
  for (const role of ['viewer', 'developer', 'operator', 'admin']) {
    const { nodes } = await readNodesFile(file(`rnx-config-${role}.yml`));
    const [node] = nodes;
    assert.ok(node);
    assert.equal(node.address, '127.0.0.1:50051');
    assert.equal(node.nodeId, config.server.nodeId);
    const client = new X509Certificate(node.cert);
    assert.ok(client.checkIssued(authority));
    assert.match(client.subject, new RegExp(`OU=${role}`));
  }
  assert.equal(read('rnx-config.yml'), read('rnx-config-admin.yml'));
  assert.equal(read('certs/client-cert.pem'), parse(read('rnx-config.yml')).nodes.default.cert);
  assert.equal(read('certs/ca-cert.pem'), read('ca-cert.pem'));
});

test('private keys are readable by their owner only', () => {
  const secret = ['joblet-config.yml', 'ca-key.pem', 'rnx-config.yml', 'rnx-config-viewer.yml'];
  for (const name of [...secret, 'certs/client-key.pem']) assert.equal(modeOf(name), '600', name);
  const [, key = ''] = read('ca-key.pem').split('\n');
  assert.ok(key.length > 0 && !read('joblet-config.yml').includes(key));
});

test('init touches no certificates that are there, and fills in a configuration that has none', async () => {
  const before = read('joblet-config.yml');
  assert.match(await failure('init'), /has certificates already/);
  assert.equal(read('joblet-config.yml'), before);
  const other = mkdtempSync(path.join(tmpdir(), 'joblet-certs-'));
  try {
    const own = path.join(other, 'joblet-config.yml');
    writeFileSync(own, '# mine\nserver:\n  port: 4711 # and why\n');
    await run(process.execPath, [MAIN, 'certs', 'init', '--dir', other]);
    assert.match(readFileSync(own, 'utf8'), /# mine\nserver:\n {2}port: 4711 # and why\nsecurity:/);
    assert.equal(loadConfig(own, {}).server.port, 4711);
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
});

test('a wrong word, role, number or name is refused with the way out', async () => {
  assert.match(await failure('ini'), /^certs knows no "ini"; see `joblet certs --help`$/);
  assert.match(await failure('add', 'bob'), /--role is one of viewer, developer, operator, admin/);
  assert.match(await failure('add', 'bob', '--role', 'king'), /--role is one of/);
  assert.match(await failure('add', 'b/b', '--role', 'viewer'), /must start with/);
  assert.match(await failure('add', 'admin', '--role', 'admin'), /rotate admin/);
  assert.match(await failure('add', 'bob', '--role', 'viewer', '--days', '0'), /--days is from 1/);
  assert.match(await failure('rotate', 'nobody'), /no certificate of "nobody" was issued/);
  assert.match(await failure('revoke', 'nobody'), /see `joblet certs list`/);
  assert.match(await failure('revoke', 'server'), /rotate server/);
  assert.match(await failure('list', '--jsn'), /Unknown option '--jsn'; see/);
  assert.match(await failure('init', '--address', 'a b'), /no HOST\[:PORT\]/);
});

test('a certificate of the server that is lost is made anew, for the names that it had', async () => {
  const other = mkdtempSync(path.join(tmpdir(), 'joblet-certs-'));
  const joblet = (...words: string[]) =>
    run(process.execPath, [MAIN, ...words, ...(words[0] === 'certs' ? ['--dir', other] : [])]);
  const own = path.join(other, 'joblet-config.yml');
  const pem = path.join(other, 'certs/server-cert.pem');
  try {
    await joblet('certs', 'init', '--address', 'node1.example');
    // The older layout: the files beside a configuration that holds none of them.
    writeFileSync(own, 'server: { port: 4711 }\n');
    for (const lost of ['', 'no certificate']) {
      if (lost !== '') writeFileSync(pem, lost);
      await joblet('certs', 'rotate', 'server');
      const { server, security } = loadConfig(own, {});
      assert.equal(server.port, 4711);
      assert.ok(new X509Certificate(security.serverCert).checkHost('node1.example'));
    }
    rmSync(pem);
    await assert.rejects(joblet('config', 'check', own), /joblet certs rotate server/);
    rmSync(path.join(other, 'issued'), { recursive: true });
    mkdirSync(path.join(other, 'issued'));
    await assert.rejects(joblet('certs', 'rotate', 'server'), /no certificate of "server" was/);
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
});

test('a running daemon takes over clients, revocations and a new server certificate', async () => {
  const reloads = new Reloads();
  const { rpc, port } = await startApi(reloads.log);
  try {
    await certs('add', 'ann', '--role', 'developer');
    assert.equal(await tryList(port, 'ann'), 'OK');

    const revoked = reloads.next();
    assert.match(await certs('revoke', 'ann'), /^Revoked: ann [0-9A-F]{32}$/m);
    await revoked;
    assert.match(await tryList(port, 'ann'), /^UNAUTHENTICATED .*certificate revoked \(ann/);
    assert.equal(await tryList(port, 'viewer'), 'OK');
    assert.match(await certs('list'), /^ann +developer +revoked/m);

    await certs('rotate', 'ann', '--days', '7');
    assert.equal(await tryList(port, 'ann'), 'OK');
    const listed = JSON.parse(await certs('list', '--json')) as { name: string; state: string }[];
    const ofAnn = listed.filter(({ name }) => name === 'ann').map(({ state }) => state);
    assert.deepEqual(ofAnn, ['revoked', 'valid']);

    const before = await serverSerial(port);
    const rotated = reloads.next();
    await certs('rotate', 'server', '--name', 'node2.example');
    await rotated;
    const shown = await serverCertificate(port);
    assert.notEqual(shown.serialNumber, before);
    for (const name of ['node1.example', 'node2.example']) assert.ok(shown.checkHost(name), name);
    assert.equal(await tryList(port, 'viewer'), 'OK');
  } finally {
    await rpc.stop();
  }
});

test('a configuration that is broken while the daemon runs changes nothing', async () => {
  const reloads = new Reloads();
  const { rpc, port } = await startApi(reloads.log);
  const good = read('joblet-config.yml');
  try {
    const failed = reloads.next();
    writeFileSync(file('joblet-config.yml'), `${good}nonsense: [\n`);
    assert.match(await failed, /could not be read again/);
    assert.equal(await tryList(port, 'viewer'), 'OK');
  } finally {
    writeFileSync(file('joblet-config.yml'), good);
    await rpc.stop();
  }
});

test('each change of the configuration is said once, however its file is written', async () => {
  const reloads = new Reloads();
  const { rpc } = await startApi(reloads.log);
  const good = read('joblet-config.yml');
  // The daemon has watched for longer, so it has looked when this is told.
  const watcher = watch(directory);
  const seen = on(watcher, 'change');
  /** Resolves when all that was done before is heard of. */
  const heard = async (mark: string) => {
    writeFileSync(file(mark), '');
    for (;;) {
      const { value = [] } = await seen.next();
      if (value[1] === mark) return;
    }
  };
  try {
    writeFileSync(file('joblet-config.yml'), `${good}logging: { level: WARN }\n`);
    await heard('written');
    assert.equal(reloads.count, 1);
    // Heard of as well, and nothing new.
    chmodSync(file('joblet-config.yml'), 0o600);
    await heard('changed-mode');
    assert.equal(reloads.count, 1);
  } finally {
    watcher.close();
    writeFileSync(file('joblet-config.yml'), good);
    await rpc.stop();
  }
});

test('certificate and key that change one after the other are taken over, and never called wrong', async () => {
  const other = mkdtempSync(path.join(tmpdir(), 'joblet-certs-'));
  const pem = (name: string) => path.join(other, 'certs', name);
  const pair = () => ['server-key.pem', 'server-cert.pem'].map((name) => readFileSync(pem(name)));
  const joblet = (...words: string[]) =>
    run(process.execPath, [MAIN, 'certs', ...words, '--dir', other]);
  await joblet('init');
  writeFileSync(path.join(other, 'joblet-config.yml'), 'version: "3.0"\n');
  await joblet('rotate', 'server');
  const [key = '', cert = ''] = pair();
  await joblet('rotate', 'server');
  const reloads = new Reloads();
  const { rpc } = await startApi(reloads.log, other);
  const seen = watch(path.join(other, 'certs'));
  try {
    const said = reloads.next();
    const changed = once(seen, 'change');
    writeFileSync(pem('server-key.pem'), key);
    // The daemon has watched for longer, so it has looked by now.
    await changed;
    writeFileSync(pem('server-cert.pem'), cert);
    assert.equal(await said, 'the configuration was read again');
  } finally {
    seen.close();
    await rpc.stop();
    rmSync(other, { recursive: true, force: true });
  }
});

/** Lines about reloads, one after the other. */
class Reloads {
  readonly log: Log;
  count = 0;
  #next = Promise.withResolvers<string>();

  constructor() {
    const say = (message: string) => {
      if (!message.startsWith('the configuration')) return;
      this.count += 1;
      this.#next.resolve(message);
    };
    this.log = { debug() {}, info: say, warn() {}, error: say, change() {} };
  }

  /** The first line from now on. */
  next(): Promise<string> {
    this.#next = Promise.withResolvers<string>();
    return this.#next.promise;
  }
}

/** The API alone, over jobs that there are none of. */
async function startApi(log: Log, home = directory) {
  const config = loadConfig(path.join(home, 'joblet-config.yml'), {
    JOBLET_SERVER_ADDRESS: '127.0.0.1',
    JOBLET_SERVER_PORT: '0',
  });
  const jobs = { query: () => [] } as unknown as RpcParts['jobs'];
  const none = {} as never;
  const audit = { recordSoon() {} } as unknown as RpcParts['audit'];
  const rpc = createRpc({
    jobs,
    logs: none,
    uploads: none,
    alerts: none,
    postures: none,
    volumes: none,
    files: none,
    builds: none,
    workflows: none,
    schedules: none,
    catalogue: none,
    trees: none,
    installs: none,
    samples: none,
    monitoring: none,
    layoutKind: 'v2',
    runtimes: none,
    uses: none,
    gpus: none,
    networks: none,
    disks: [],
    audit,
    tracing: undefined,
    journal: { ended() {}, refused() {} } as unknown as RpcParts['journal'],
    config,
    log,
  });
  return { rpc, port: await rpc.listen() };
}

async function tryList(port: number, name: string): Promise<string> {
  const { ca, key, cert } = parse(read(`rnx-config-${name}.yml`)).nodes.default;
  const secure = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert));
  const client = new Client(`127.0.0.1:${port}`, secure, {
    'grpc.ssl_target_name_override': 'joblet',
    'grpc.use_local_subchannel_pool': 1,
  });
  try {
    return await outcomeOf(callUnary(client, JobService, 'listJobs', {}));
  } finally {
    client.close();
  }
}

async function serverCertificate(port: number): Promise<X509Certificate> {
  const options = { host: '127.0.0.1', port, ca: read('ca-cert.pem'), ALPNProtocols: ['h2'] };
  const socket = connectTls({ ...options, servername: 'joblet' });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  assert.ok(certificate);
  return certificate;
}

async function serverSerial(port: number): Promise<string> {
  return (await serverCertificate(port)).serialNumber;
}
