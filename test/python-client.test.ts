// Existing clients are written in other languages: here one in Python, with Debian's own packages and
// code generated from our protocol, over mutual TLS (S4-1). It also comes with every certificate that
// must not work.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { issue, type KeyPair, makeAuthority } from '../src/daemon/certs.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const ROOT = path.join(import.meta.dirname, '..');
const CLIENT = path.join(import.meta.dirname, 'python', 'client.py');
const PYTHON = '/usr/bin/python3';
const DAY_MS = 86_400_000;

/** Directories of .proto files, each the root of what lies in it. */
const PROTOS = [
  path.join(ROOT, 'proto'),
  path.join(ROOT, 'proto/grpc/health/v1'),
  path.join(ROOT, 'node_modules/@grpc/reflection/build/proto/grpc/reflection/v1'),
];

function cannotRunPython(): string | false {
  const refusal = cannotRun();
  if (refusal !== false) return refusal;
  try {
    execFileSync(PYTHON, ['-c', 'import grpc, grpc_tools'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'Debian packages python3-grpcio and python3-grpc-tools are not installed';
  }
}

const skip = cannotRunPython();

let daemon: Daemon;
let directory: string;
let generated: string;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  directory = mkdtempSync(path.join(tmpdir(), 'joblet-python-'));
  generated = path.join(directory, 'generated');
  mkdirSync(generated);
  const protos = [
    ...readdirSync(path.join(ROOT, 'proto/joblet'))
      .filter((file) => file.endsWith('.proto'))
      .map((file) => `joblet/${file}`),
    'health.proto',
    'reflection.proto',
  ];
  execFileSync(PYTHON, [
    '-m',
    'grpc_tools.protoc',
    ...PROTOS.map((root) => `-I${root}`),
    `--python_out=${generated}`,
    `--grpc_python_out=${generated}`,
    ...protos,
  ]);
});

after(async () => {
  await daemon?.stop();
  if (directory !== undefined) rmSync(directory, { recursive: true });
});

/** Writes an identity as the client expects it. Without a pair there is no certificate. */
function identity(name: string, pair: KeyPair | undefined, caCert = daemon.authority.cert): string {
  const place = path.join(directory, name);
  if (existsSync(place)) return place;
  mkdirSync(place);
  writeFileSync(path.join(place, 'ca.pem'), caCert);
  if (pair !== undefined) {
    writeFileSync(path.join(place, 'cert.pem'), pair.cert);
    writeFileSync(path.join(place, 'key.pem'), pair.key, { mode: 0o600 });
  }
  return place;
}

async function client<T>(place: string, what: string): Promise<T> {
  const argv = [CLIENT, generated, `localhost:${daemon.port}`, place, what];
  const { stdout } = await promisify(execFile)(PYTHON, argv, {
    // What a channel reports of refused handshakes is the test's business, not the terminal's.
    env: { PATH: '/usr/bin:/bin', GRPC_VERBOSITY: 'NONE' },
  });
  return JSON.parse(stdout) as T;
}

function clientPair(units: readonly string[], nowMs = Date.now(), authority = daemon.authority) {
  return issue(authority, { kind: 'client', name: 'python', units }, nowMs);
}

interface Status {
  readonly code: string;
  readonly details: string;
}

interface Tried {
  readonly list: Status;
  readonly run: Status;
}

test('a client in Python runs, lists, follows, stops and deletes jobs', { skip }, async () => {
  const found = await client<Record<string, unknown> & { ids: string[] }>(
    identity('admin', await clientPair(['admin'])),
    'jobs',
  );
  const { ids, ...rest } = found;
  const [, idle] = ids;
  assert.deepEqual(rest, {
    started: 'RUNNING',
    log: 'from python\nblue\n',
    ended: {
      status: 'FAILED',
      exitCode: 3,
      maxCpu: 50,
      maxMemory: 64,
      environment: { COLOUR: 'blue' },
      secrets: { TOKEN: '***' },
    },
    first: 'idle\n',
    rest: '',
    newestFirst: true,
    stopped: { status: 'STOPPED', exitCode: -1 },
    again: {
      code: 'FAILED_PRECONDITION',
      details: `job is not running: ${idle} (current status: STOPPED)`,
    },
    deleted: true,
    gone: { code: 'NOT_FOUND', details: `job not found: ${idle}` },
    invalid: rest['invalid'],
  });
  const invalid = rest['invalid'] as Status;
  assert.equal(invalid.code, 'INVALID_ARGUMENT');
  assert.match(invalid.details, /max_cpu/);
});

test('clients of the older JobletService are served (S4-6)', { skip }, async () => {
  const found = await client(identity('admin', await clientPair(['admin'])), 'older');
  assert.deepEqual(found, {
    status: 'RUNNING',
    maxMemory: 64,
    command: '/bin/sh',
    listed: true,
    first: 'older\n',
    rest: '',
    stopped: 'STOPPED',
  });
});

test('the standard health and reflection services answer to any certificate', {
  skip,
}, async () => {
  const found = await client<{ health: string; whole: string; services: string[] }>(
    identity('viewer', await clientPair(['viewer'])),
    'standard',
  );
  assert.equal(found.health, 'SERVING');
  assert.equal(found.whole, 'SERVING');
  for (const service of ['joblet.JobService', 'joblet.JobletService', 'joblet.VolumeService']) {
    assert.ok(found.services.includes(service), `${service} is not in ${found.services.join()}`);
  }
});

const allowed: Status = { code: 'OK', details: '' };
const viewerMayNotRun: Status = {
  code: 'PERMISSION_DENIED',
  details: 'role viewer is not allowed to perform operation run_job',
};

interface Case {
  readonly title: string;
  readonly place: () => Promise<string>;
  readonly list: Status | { code: string; details: RegExp };
  readonly run?: Status;
}

const refusedBoth = (code: string, details: RegExp) => ({ list: { code, details } });

const cases: readonly Case[] = [
  {
    title: 'a viewer may look and not run (S4-3, S4-5, S4-28)',
    place: async () => identity('viewer', await clientPair(['viewer'])),
    list: allowed,
    run: viewerMayNotRun,
  },
  {
    title: 'an admin may do both (S4-3, S4-5)',
    place: async () => identity('admin', await clientPair(['admin'])),
    list: allowed,
    run: allowed,
  },
  {
    title: 'of two units the weaker counts',
    place: async () => identity('two', await clientPair(['admin', 'viewer'])),
    list: allowed,
    run: viewerMayNotRun,
  },
  {
    title: 'a unit that is no role is refused',
    place: async () => identity('chef', await clientPair(['chef'])),
    ...refusedBoth('PERMISSION_DENIED', /chef/),
  },
  {
    title: 'a certificate without a unit is refused',
    place: async () => identity('nobody', await clientPair([])),
    ...refusedBoth('PERMISSION_DENIED', /role|unit/),
  },
  {
    title: 'a caller without a certificate is refused (S4-1, S4-27)',
    place: async () => identity('none', undefined),
    ...refusedBoth('UNAUTHENTICATED', /failed to extract client role: no TLS information found/),
  },
  {
    title: 'a certificate of another authority is refused (S4-2)',
    place: async () => {
      const other = await makeAuthority(Date.now());
      return identity('other', await clientPair(['admin'], Date.now(), other));
    },
    ...refusedBoth('UNAUTHENTICATED', /certificate verify failed/),
  },
  {
    title: 'an expired certificate is refused (S4-29)',
    place: async () => identity('expired', await clientPair(['admin'], Date.now() - 400 * DAY_MS)),
    ...refusedBoth('UNAUTHENTICATED', /certificate verify failed: certificate has expired/),
  },
  {
    title: "a server's certificate is refused as a client's",
    place: async () =>
      identity('server', await issue(daemon.authority, { kind: 'server', names: [] }, Date.now())),
    ...refusedBoth('UNAUTHENTICATED', /certificate is not for client use/),
  },
  {
    title: 'a client that trusts another authority does not talk to this daemon',
    place: async () => {
      const other = await makeAuthority(Date.now());
      return identity('stranger', await clientPair(['admin']), other.cert);
    },
    ...refusedBoth('UNAVAILABLE', /./),
  },
];

for (const { title, place, list, run } of cases) {
  test(title, { skip }, async () => {
    const tried = await client<Tried>(await place(), 'try');
    for (const [call, wanted] of [
      ['list', list],
      ['run', run ?? list],
    ] as const) {
      assert.equal(tried[call].code, wanted.code, `${call}: ${tried[call].details}`);
      if (wanted.details instanceof RegExp) assert.match(tried[call].details, wanted.details);
      else assert.equal(tried[call].details, wanted.details);
    }
  });
}
