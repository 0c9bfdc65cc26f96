// Files of jobs that run, and of jobs that have ended and left their work directory: listed, fetched
// and put, and nothing reached that is not the job's.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { FilesPart, JobRequest } from '../src/client/messages.ts';
import {
  createVolume,
  deleteJob,
  getJobFiles,
  listJobFiles,
  putJobFiles,
  removeVolume,
  stopJob,
} from '../src/client/methods.ts';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { ended, finish, printed, python, shell, start, statusOf } from './job-calls.ts';

const skip = cannotRun();
const MAIN = path.join(import.meta.dirname, '../src/cli/main.ts');
const MB = 2 ** 20;
const PIECE_BYTES = 256 * 1024;

let daemon: Daemon;
let home: string;

before(async () => {
  if (skip !== false) return;
  daemon = await startDaemon();
  home = mkdtempSync(path.join(tmpdir(), 'job-files-'));
});

after(async () => {
  if (skip !== false) return;
  rmSync(home, { recursive: true, force: true });
  await daemon.stop();
});

const api = () => daemon.as('developer');

/** A job that has run a script and then waits to be stopped. */
async function waiting(script: string, more: JobRequest = {}): Promise<string> {
  const uuid = await start(api(), shell(`${script}\necho ready; sleep 10000`, more));
  await printed(api(), uuid, 'ready');
  return uuid;
}

const stop = (uuid: string) => api().unary(stopJob, { uuid, force: true });

async function names(uuid: string, where = ''): Promise<string[]> {
  const { files } = await api().unary(listJobFiles, { uuid, path: where });
  return files.map((file) => Buffer.from(file.path).toString());
}

async function parts(uuid: string, where: string): Promise<FilesPart[]> {
  return all(api().serverStream(getJobFiles, { uuid, path: where }));
}

async function content(uuid: string, where: string): Promise<string> {
  return Buffer.concat((await parts(uuid, where)).map(({ data }) => data)).toString();
}

function put(uuid: string, where: string, files: Readonly<Record<string, string>>) {
  return api().clientStream(
    putJobFiles,
    (async function* () {
      yield { target: { uuid, path: where } };
      for (const [name, text] of Object.entries(files)) {
        yield { header: { path: name, size: BigInt(text.length) } };
        for (let at = 0; at < text.length; at += PIECE_BYTES) {
          yield { data: Buffer.from(text.slice(at, at + PIECE_BYTES)) };
        }
      }
    })(),
  );
}

function rnx(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], {
    cwd: home,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', HOME: home, RNX_CONFIG: daemon.nodesFile('developer') },
  });
}

test('files of a running job are listed, fetched and put', { skip }, async () => {
  const uuid = await waiting(
    'mkdir -p out/deep; echo one >out/a; echo two >out/deep/b; chmod 750 out/a',
  );
  assert.deepEqual(await names(uuid), ['out']);
  assert.deepEqual(await names(uuid, 'out'), ['a', 'deep']);
  const listed = rnx('job', 'ls', uuid, '/work/out');
  assert.match(listed.stdout, /^-rwxr-x--- +4 B .* a$/m);
  const got = rnx('job', 'get', uuid, 'out');
  assert.equal(got.status, 0, got.stderr);
  assert.match(got.stdout, /^Fetched 4 files \(8 B\) to out$/m);
  assert.equal(readFileSync(path.join(home, 'out/deep/b'), 'utf8'), 'two\n');
  assert.equal(statSync(path.join(home, 'out/a')).mode & 0o777, 0o750);
  assert.equal(rnx('job', 'get', uuid, 'out/a', '-').stdout, 'one\n');

  mkdirSync(path.join(home, 'bin'));
  writeFileSync(path.join(home, 'bin/run'), '#!/bin/sh\necho ran\n');
  chmodSync(path.join(home, 'bin/run'), 0o755);
  assert.match(rnx('job', 'put', uuid, 'bin').stdout, /^Put 2 files \(19 B\)$/m);
  assert.match(rnx('job', 'put', uuid, 'bin/run', 'out/other').stdout, /^Put 1 files/m);
  assert.deepEqual(await names(uuid, 'out'), ['a', 'deep', 'other']);
  await stop(uuid);
  // They are the job's own, and can be run there.
  const runner = await start(
    api(),
    shell('until [ -x go ]; do :; done; stat -c %u:%g go; ./go; cat dir/f'),
  );
  await put(runner, '', { 'dir/f': '' }).catch(() => {});
  await api().clientStream(
    putJobFiles,
    (async function* () {
      yield { target: { uuid: runner, path: '' } };
      yield { header: { path: 'dir', isDirectory: true } };
      yield { header: { path: 'dir/f', size: 3n } };
      yield { data: Buffer.from('in\n') };
      yield { header: { path: 'go', mode: 0o755, size: 19n } };
      yield { data: Buffer.from('#!/bin/sh\necho ran\n') };
    })(),
  );
  assert.match((await ended(api(), runner)).stdout, /0:0\nran\nin\n/);
});

test('what a job left in its work directory is there as long as it was asked for', {
  skip,
}, async () => {
  const { job } = await finish(
    api(),
    shell('echo left >file; mkdir d; exit 3', { keepWorkMs: 3_600_000n }),
  );
  const { uuid } = job;
  assert.equal(job.exitCode, 3);
  assert.equal(Number(job.keepWorkMs), 3_600_000);
  assert.deepEqual(await names(uuid), ['d', 'file']);
  assert.equal(await content(uuid, '/work/file'), 'left\n');
  await put(uuid, 'd', { note: 'read' });
  await assert.rejects(names(uuid, '/etc'), { kind: 'not-found', message: /only \/work is kept/ });
  await assert.rejects(names(uuid, '../../etc'), { kind: 'not-found' });
  // It outlives the daemon, and goes with the job.
  await daemon.kill();
  await daemon.restart();
  assert.equal(await content(uuid, 'd/note'), 'read');
  const images = path.join(daemon.directory, 'run/work');
  assert.ok(existsSync(path.join(images, `${uuid}.img`)));
  await api().unary(deleteJob, { uuid });
  assert.equal(existsSync(path.join(images, `${uuid}.img`)), false);

  const brief = (await finish(api(), shell('echo x >file', { keepWorkMs: 1n }))).job.uuid;
  await assert.rejects(names(brief), {
    kind: 'wrong-state',
    message: /is gone; start jobs with --keep-work/,
  });
  const plain = (await finish(api(), shell('echo x >file'))).job.uuid;
  await assert.rejects(names(plain), { kind: 'wrong-state' });
  assert.deepEqual(daemon.snapshot().mounts, []);
});

test('a kept work directory has its size, and all of them together theirs', { skip }, async (t) => {
  const small = await startDaemon({ filesystem: { keepWork: '1h', keptWorkBytes: '6MB' } });
  t.after(() => small.stop());
  const fill = shell('dd if=/dev/urandom of=file bs=64k 2>/dev/null; stat -c %s file', {
    workBytes: BigInt(4 * MB),
  });
  const [first, second] = [
    await finish(small.as('admin'), fill),
    await finish(small.as('admin'), fill),
  ];
  assert.ok(Math.abs(Number(first.stdout) - 4 * MB) < MB / 5, first.stdout);
  const ask = (uuid: string) => small.as('admin').unary(listJobFiles, { uuid });
  await assert.rejects(ask(first.job.uuid), { kind: 'wrong-state' });
  assert.equal((await ask(second.job.uuid)).files.length, 1);
});

test('no file is reached that is not the job’s, whatever it puts in the way', {
  skip,
}, async () => {
  await daemon.as('operator').unary(createVolume, { name: 'shared', size: '8MB' });
  const uuid = await waiting(
    `ln -s / root; ln -s ../../../../../../etc up; ln -s ${daemon.directory} home; ln -s /proc/1/root magic
    mkfifo pipe; echo in >/volumes/shared/file; mkdir d; ln -s /etc/passwd d/link; mkfifo d/pipe; echo x >d/x
    mkdir shut; echo secret >shut/file; chmod 000 shut/file`,
    { volumes: ['shared'], secretEnvironment: { TOKEN: 'hush-hush' } },
  );
  // Links lead within the job's root: to its own /etc, never to the host's.
  assert.match(await content(uuid, 'up/passwd'), /^root:x:0:0:root:\/work/);
  assert.match(await content(uuid, 'root/etc/passwd'), /^root:x:0:0:root:\/work/);
  for (const where of ['home', `/${daemon.directory}`, 'magic/etc/shadow', '/etc/shadow']) {
    await assert.rejects(parts(uuid, where), ofKind('not-found', 'invalid', 'wrong-state'));
  }
  assert.equal(await content(uuid, '/volumes/shared/file'), 'in\n');
  // What the kernel makes up would tell the secrets of the job.
  for (const where of ['/proc/1/environ', '/proc/2/environ', '/proc', '/sys/kernel', 'root/proc']) {
    await assert.rejects(parts(uuid, where), ofKind('wrong-state', 'not-found', 'invalid'));
  }
  // Pipes and devices are waited for by nobody.
  for (const where of ['pipe', '/dev/zero', '/dev/tty']) {
    await assert.rejects(parts(uuid, where), ofKind('invalid', 'wrong-state', 'not-found'));
    await assert.rejects(
      put(uuid, where, { f: 'x' }),
      ofKind('invalid', 'wrong-state', 'not-found'),
    );
  }
  const tree = await parts(uuid, 'd');
  const types = tree.flatMap(({ entry }) => (entry === undefined ? [] : [entry.type])).toSorted();
  assert.deepEqual(types, ['file', 'folder', 'link', 'other']);
  const shut = await parts(uuid, 'shut');
  assert.deepEqual(
    shut.flatMap(({ skipped }) => (skipped ? [skipped.reason] : [])),
    ['EACCES'],
  );
  // Nothing is put where the job could not write, nor through a link.
  await assert.rejects(put(uuid, '/etc', { x: 'x' }), { kind: 'wrong-state' });
  await assert.rejects(put(uuid, '/usr/bin', { x: 'x' }), { kind: 'wrong-state' });
  await assert.rejects(put(uuid, '', { 'root/tmp/x': 'x' }), ofKind('invalid', 'wrong-state'));
  await assert.rejects(put(uuid, 'd', { link: 'x' }), ofKind('invalid', 'wrong-state'));
  for (const name of ['proc/2/oom_score_adj', 'proc/2/mem', 'dev/pts/0', 'sys/kernel/notes']) {
    await assert.rejects(put(uuid, '/', { [name]: '777' }), { kind: 'wrong-state' });
  }
  for (const name of ['/abs', '../up', 'a/../b', '']) {
    await assert.rejects(put(uuid, '', { [name]: 'x' }), { kind: 'invalid' });
  }
  await stop(uuid);
  await daemon.as('admin').unary(removeVolume, { name: 'shared' });
});

test('a job that turns files into links and back meanwhile gains nothing', { skip }, async () => {
  const program = `
import os
os.makedirs('d', exist_ok=True)
print('ready', flush=True)
while True:
    for make in (lambda: open('d/t', 'w').write('mine'), lambda: os.symlink('/proc/1/environ', 'd/t'),
                 lambda: os.symlink('/etc', 'd/t'), lambda: os.mkfifo('d/t'), lambda: os.mkdir('d/t')):
        try: os.unlink('d/t')
        except IsADirectoryError: os.rmdir('d/t')
        except FileNotFoundError: pass
        except OSError: pass
        try: make()
        except OSError: pass
`;
  const uuid = await start(api(), python(program, { secretEnvironment: { TOKEN: 'hush-hush' } }));
  await printed(api(), uuid, 'ready');
  for (let round = 0; round < 30; round += 1) {
    const found = await parts(uuid, 'd').catch(() => []);
    const text = Buffer.concat(found.map(({ data }) => data)).toString();
    assert.ok(['', 'mine'].includes(text), text);
    await put(uuid, 'd', { t: 'mine' }).catch(() => {});
  }
  assert.equal((await statusOf(api(), uuid)).status, 'RUNNING');
  await stop(uuid);
});

test('names of any bytes, holes and big files come through as they are', { skip }, async () => {
  const uuid = await start(
    api(),
    python(
      `
import os, time
os.mkdir(b'odd'); os.chdir(b'odd')
open(b'two\\nlines', 'w').write('a'); open(b'\\xff\\x1b[31m', 'w').write('b')
f = open('sparse', 'wb'); f.write(b'begin'); f.seek(1 << 40); f.write(b'end'); f.close()
f = open('big', 'wb'); f.write(bytes(range(256)) * (1 << 15)); f.close()
print('ready', flush=True); time.sleep(10000)
`,
      { workBytes: BigInt(64 * MB) },
    ),
  );
  await printed(api(), uuid, 'ready');
  assert.equal((await names(uuid, 'odd')).length, 4);
  const got = rnx('job', 'get', uuid, 'odd', 'odd');
  assert.equal(got.status, 0, got.stderr);
  const sparse = statSync(path.join(home, 'odd/sparse'));
  assert.deepEqual([sparse.size, sparse.blocks < 64], [2 ** 40 + 3, true]);
  assert.equal(readFileSync(path.join(home, 'odd/two\nlines'), 'utf8'), 'a');
  const big = readFileSync(path.join(home, 'odd/big'));
  assert.deepEqual([big.length, big[1000], big.at(-1)], [8 * MB, 1000 % 256, 255]);
  const listed = rnx('job', 'ls', uuid, 'odd').stdout;
  assert.ok(listed.includes('two\\nlines') && !listed.includes('\u001b'));
  // What does not fit is refused, and the job goes on.
  await assert.rejects(put(uuid, '', { huge: 'x'.repeat(70 * MB) }), { kind: 'exhausted' });
  await stop(uuid);
  // Nor may more be put into its memory than it may have itself, however large its work directory is.
  const roomy = await waiting(':', { workBytes: BigInt(1024 * MB), maxMemory: 32 });
  await put(roomy, '', { some: 'x'.repeat(20 * MB) });
  await assert.rejects(put(roomy, '', { more: 'x'.repeat(20 * MB) }), { kind: 'exhausted' });
  await stop(roomy);
});

test('a list is one answer of bounded size, whatever a job names and dates its files', {
  skip,
}, async () => {
  const program = `
import os, time
os.mkdir('many')
for number in range(1000): os.symlink('x' * 4000, f'many/{number}')
for name, seconds in (('late', 1 << 60), ('early', -(1 << 60))):
    open(name, 'w').close()
    os.utime(name, ns=(seconds * 10**9, seconds * 10**9))
print('ready', flush=True); time.sleep(10000)
`;
  const uuid = await start(api(), python(program, { workBytes: BigInt(64 * MB) }));
  await printed(api(), uuid, 'ready');
  await assert.rejects(names(uuid, 'many'), { kind: 'exhausted', message: /more files than/ });
  const { files } = await api().unary(listJobFiles, { uuid });
  const times = files.map(({ path: name, mtimeNs }) => [String(Buffer.from(name)), mtimeNs]);
  assert.deepEqual(times[0], ['early', -(2n ** 63n)]);
  assert.deepEqual(times[1], ['late', 2n ** 63n - 1n]);
  assert.equal(rnx('job', 'ls', uuid).status, 0);
  await stop(uuid);
});

test('who may reach into jobs', { skip }, async () => {
  const uuid = await waiting('echo x >f');
  const viewer = daemon.as('viewer');
  await assert.rejects(viewer.unary(listJobFiles, { uuid }), { kind: 'denied' });
  await assert.rejects(all(viewer.serverStream(getJobFiles, { uuid, path: 'f' })), {
    kind: 'denied',
  });
  await stop(uuid);
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Matches an error of one of these kinds. */
function ofKind(...kinds: readonly string[]) {
  return (error: unknown) => {
    assert.ok(kinds.includes(String((error as { kind?: string }).kind)), String(error));
    return true;
  };
}
