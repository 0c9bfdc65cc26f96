// rnx against a real daemon, as a user and a script see it: what it prints, and how it ends.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';

const ROOT = path.join(import.meta.dirname, '..');
const MAIN = path.join(ROOT, 'src/cli/main.ts');
const skip = cannotRun();

let daemon: Daemon;
let files: string;
let config: string;

before(async () => {
  if (skip) return;
  daemon = await startDaemon();
  config = daemon.nodesFile('admin');
  files = mkdtempSync(path.join(tmpdir(), 'rnx-test-'));
});

after(async () => {
  if (skip) return;
  rmSync(files, { recursive: true, force: true });
  await daemon.stop();
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly bytes: Buffer;
}

interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts rnx; its environment is what is given and nothing else. */
function start(args: readonly string[], { env, cwd }: RunOptions = {}) {
  return spawn(process.execPath, [MAIN, ...args], {
    cwd: cwd ?? files,
    env: { PATH: process.env['PATH'] ?? '', HOME: files, TZ: 'UTC', RNX_CONFIG: config, ...env },
  });
}

async function rnxWith(options: RunOptions, ...args: string[]): Promise<Ran> {
  const child = start(args, options);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (data) => out.push(data));
  child.stderr.on('data', (data) => err.push(data));
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);
  const [code] = await once(child, 'close');
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), err: Buffer.concat(err).toString(), bytes };
}

const rnx = (...args: string[]) => rnxWith({}, ...args);

/** Runs a job to its end without looking at it; answers its id. */
async function finished(...args: string[]): Promise<string> {
  const { out } = await rnx('--json', 'job', 'run', '--wait', ...args);
  return JSON.parse(out).job_uuid;
}

/** Starts a job that runs until it is stopped; answers its id. */
async function running(...flags: string[]): Promise<string> {
  const { out } = await rnx('--json', 'job', 'run', ...flags, 'sleep', '1000');
  const { job_uuid: uuid, status } = JSON.parse(out);
  assert.equal(status, 'RUNNING');
  return uuid;
}

/** What rnx writes to a terminal of 80 columns. */
function onTerminal(env: Readonly<Record<string, string>>, ...args: string[]): string {
  const line = [process.execPath, MAIN, ...args]
    .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
    .join(' ');
  const { stdout } = spawnSync('script', ['-qec', `stty cols 80; ${line}`, '/dev/null'], {
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: files,
      RNX_CONFIG: config,
      TERM: 'xterm',
      ...env,
    },
    input: '',
  });
  return stdout.replaceAll('\r\n', '\n');
}

test('an empty node has no jobs', { skip }, async () => {
  assert.deepEqual(
    [(await rnx('job', 'list')).out, (await rnx('list')).out],
    ['No jobs found\n', 'No jobs found\n'],
  );
  assert.equal((await rnx('--json', 'job', 'list')).out, '[]\n');
});

test('S2-39 S4-10 a job is run, and told in lines that scripts parse', { skip }, async () => {
  for (const words of [['run'], ['job', 'run']]) {
    const { code, out, err } = await rnx(...words, '--max-cpu=50', 'echo', 'Hello, Joblet!');
    assert.deepEqual([code, err], [0, '']);
    assert.match(
      out,
      /^Job started:\nID: [0-9a-f-]{36}\nCommand: echo 'Hello, Joblet!'\nStatus: (RUNNING|COMPLETED)\nStartTime: \S+Z\nMaxCPU: 50\nMaxMemory: \d+\nNetwork: /,
    );
  }
});

test('S0-3 S4-39 a shell line runs as one word, and as the words of a shell', {
  skip,
}, async () => {
  const one = await rnx('job', 'run', '--wait', 'echo a && echo b');
  assert.deepEqual([one.code, one.out], [0, 'a\nb\n']);
  const words = await rnx('job', 'run', '--wait', 'bash', '-c', 'sleep 0 && echo done');
  assert.equal(words.out, 'done\n');
});

test('arguments reach the program byte for byte', { skip }, async () => {
  const args = ['', '--help', '-x', '--', 'größe', "a'b", 'a b'];
  const { out } = await rnx('job', 'run', '--wait', 'printf', '<%s>', ...args);
  assert.equal(out, args.map((arg) => `<${arg}>`).join(''));
});

test('--wait shows both streams apart and ends as the job did', { skip }, async () => {
  const job = ['sh', '-c', 'echo out; echo err >&2; exit 3'];
  const { code, out, err } = await rnx('job', 'run', '--wait', ...job);
  assert.deepEqual([code, out, err], [3, 'out\n', 'err\n']);
});

test('--follow says which job it is beside its output', { skip }, async () => {
  const { code, out, err } = await rnx('job', 'run', '-f', 'echo', 'hi');
  assert.deepEqual([code, out], [0, 'hi\n']);
  assert.match(err, /^Job started:\nID: .*\nStatus: COMPLETED\n$/s);
});

test('the exit code tells how a job ended, or that there was none', { skip }, async () => {
  writeFileSync(path.join(files, 'plain'), 'not a program');
  const wait = ['job', 'run', '--wait'];
  const cases: readonly (readonly [number, RegExp, readonly string[]])[] = [
    [137, /^$/, [...wait, 'sh', '-c', 'kill -9 $$']],
    [124, /ran past its timeout/, [...wait, '--timeout=200ms', 'sleep', '100']],
    [127, /ENOENT/, [...wait, 'no-such-program']],
    [126, /EACCES/, [...wait, '--upload=plain', './plain']],
    [125, /unknown flag: --nope/, [...wait, '--nope', 'true']],
    [125, /max_cpu/, [...wait, '--max-cpu=1000000', 'true']],
    [125, /must specify a command/, wait],
    [1, /must specify a command/, ['job', 'run']],
    [1, /ENOENT/, ['job', 'run', 'no-such-program']],
  ];
  for (const [code, err, args] of cases) {
    const ran = await rnx(...args);
    assert.equal(ran.code, code, `${args.join(' ')}: ${ran.err}`);
    assert.match(ran.err, err);
  }
});

test('standard input reaches the job, and its end does', { skip }, async () => {
  const input = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at & 0xff));
  const echoed = await rnxWith({ input }, 'job', 'run', '-i', 'cat');
  assert.deepEqual([echoed.code, echoed.bytes.equals(input)], [0, true]);
  const counted = await rnxWith({ input: '' }, 'job', 'run', '-i', '--wait', 'wc', '-c');
  assert.equal(counted.out.trim(), '0');
});

test('S0-12 files and folders arrive with their names and executable bits', { skip }, async () => {
  mkdirSync(path.join(files, 'project/empty'), { recursive: true });
  writeFileSync(path.join(files, 'project/run.sh'), '#!/bin/sh\necho "ran $1"\n');
  chmodSync(path.join(files, 'project/run.sh'), 0o755);
  const content = await rnx('job', 'run', '--wait', '--upload-dir=project', './run.sh', 'x');
  assert.deepEqual([content.out, content.code], ['ran x\n', 0]);
  assert.equal(content.err, 'Uploading 2 files (0.00 MB)...\n');
  const folder = await rnx('job', 'run', '--wait', '--upload', 'project', 'ls -p project');
  assert.equal(folder.out, 'empty/\nrun.sh\n');
});

test('uploads of any size arrive whole', { skip }, async () => {
  const bytes = Buffer.alloc(20 * 1024 * 1024);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at);
  writeFileSync(path.join(files, 'big.bin'), bytes);
  const { code, bytes: echoed } = await rnx(
    ...['job', 'run', '--wait', '--max-memory=256', '--upload=big.bin', 'cat', 'big.bin'],
  );
  assert.equal(code, 0);
  assert.ok(echoed.equals(bytes));
});

test('a list shows the newest first, and only what was asked for', { skip }, async () => {
  const first = await finished('--name=first', 'true');
  const second = await finished('--name=second', 'false');
  const { out } = await rnx('--json', 'job', 'list', '--limit=2');
  const jobs = JSON.parse(out);
  assert.deepEqual(
    jobs.map(({ id, name, status, exit_code }: Record<string, unknown>) => [
      id,
      name,
      status,
      exit_code,
    ]),
    [
      [second, 'second', 'FAILED', 1],
      [first, 'first', 'COMPLETED', 0],
    ],
  );
  const failed = JSON.parse((await rnx('job', 'list', '--status=failed', '--json')).out);
  assert.ok(failed.length > 0);
  for (const job of failed) assert.equal(job.status, 'FAILED');
  const text = await rnx('job', 'list', '--name=first');
  assert.match(
    text.out,
    new RegExp(
      `^ID +NAME +NODE ID +STATUS +START TIME +COMMAND\n-+\n${first} +first +test-node +COMPLETED +[-0-9]{10} [:0-9]{8} +true\n$`,
    ),
  );
  assert.match((await rnx('job', 'list', '--status=NOPE')).err, /--status: "NOPE" is not a status/);
});

test('S4-12 S4-16 the oldest spellings print what they always did', { skip }, async () => {
  const id = await finished('echo', 'hello');
  const { out } = await rnx('list', '--limit=1');
  assert.match(out, new RegExp(`^${id} COMPLETED StartTime: \\S+Z Command: echo hello\n$`));
  assert.match(
    (await rnx('status', id)).out,
    new RegExp(
      `^Id: ${id}\nCommand: echo hello\nStatus: COMPLETED\nStarted At: \\S+\nEnded At: \\S+\nMaxCPU: 100\nMaxMemory: 512\nMaxIOBPS: 0\nExitCode: 0\n$`,
    ),
  );
});

test('S4-11 S4-38 status knows everything about a job but its secrets', { skip }, async () => {
  const id = await finished('--name=s', '-e', 'A=b', '-s', 'TOKEN=hunter2', 'echo', 'hi');
  const { out } = await rnx('job', 'status', id.slice(0, 12));
  assert.match(
    out,
    new RegExp(
      `^Job ID: ${id}\nJob Name: s\nNode ID: test-node\nCommand: echo hi\nStatus: COMPLETED\n`,
    ),
  );
  assert.match(out, /\n {2}A=b\n {2}TOKEN=\*\*\* \(secret\)\n/);
  const json = await rnx('--json', 'job', 'status', id);
  const status = JSON.parse(json.out);
  assert.deepEqual(
    [status.uuid, status.exitCode, status.environment, status.secretEnvironment],
    [id, 0, { A: 'b' }, { TOKEN: '***' }],
  );
  assert.doesNotMatch(`${out}${json.out}`, /hunter2/);
});

test('S4-42 a log goes into a pipe byte for byte', { skip }, async () => {
  const id = await finished('sh', '-c', "printf 'a\\000\\033[31m\\377\\r\\n'; printf err >&2");
  for (const words of [['log'], ['job', 'log']]) {
    const { code, bytes, err } = await rnx(...words, id.slice(0, 8));
    assert.deepEqual([code, bytes.toString('latin1'), err], [0, 'a\0\u001b[31m\u00ff\r\nerr', '']);
  }
  assert.equal((await rnx('job', 'log', '--stream=stderr', id)).out, 'err');
});

test('a log can begin near its end, with times, and as JSON', { skip }, async () => {
  const id = await finished('sh', '-c', 'seq 1 100');
  assert.equal((await rnx('job', 'log', '--tail=2', id)).out, '99\n100\n');
  assert.match(
    (await rnx('job', 'log', '--tail', '1', '--timestamps', id)).out,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 100\n$/,
  );
  const lines = (await rnx('job', 'log', id, '--json')).out.trimEnd().split('\n');
  const chunks = lines.map((line) => JSON.parse(line));
  assert.match(chunks.map(({ data }) => data).join(''), /^1\n.*\n100\n$/s);
  for (const { timestamp, stream } of chunks) {
    assert.equal(stream, 'stdout');
    assert.equal(new Date(timestamp).toISOString(), timestamp);
  }
});

test('S4-17 a log is followed to the end of its job, or read as far as it goes', {
  skip,
}, async () => {
  const child = start([
    'job',
    'run',
    '-i',
    '--follow',
    'sh',
    '-c',
    'echo one; read line; echo $line',
  ]);
  const closed = once(child, 'close');
  const [first] = await once(child.stdout, 'data');
  assert.equal(String(first), 'one\n');
  const newest = JSON.parse((await rnx('--json', 'job', 'list', '--limit=1')).out)[0].id;
  assert.equal((await rnx('job', 'log', '--follow=false', newest)).out, 'one\n');
  const following = rnx('job', 'log', '-f', newest);
  child.stdin.end('two\n');
  assert.equal((await following).out, 'one\ntwo\n');
  assert.equal((await closed)[0], 0);
});

test('S4-18 on a terminal control sequences are text, and colours only where wanted', {
  skip,
}, async () => {
  const id = await finished('printf', '\\033]0;title\\007red\\rEVIL\\n');
  const log = onTerminal({}, 'job', 'log', id);
  assert.match(log, new RegExp(`^Logs for job ${id} \\(Press Ctrl\\+C to exit if streaming\\):\n`));
  assert.match(log, /\n\^\[\]0;title\^Gred\nEVIL\n$/);
  assert.ok(onTerminal({}, 'job', 'log', '--raw', id).endsWith('\u001b]0;title\u0007red\rEVIL\n'));
  const colored = 'Status: \u001b[32mCOMPLETED\u001b[0m\n';
  assert.ok(onTerminal({}, 'job', 'status', id).includes(colored));
  for (const name of ['NO_COLOR', 'RNX_NO_COLOR']) {
    assert.match(onTerminal({ [name]: '1' }, 'job', 'status', id), /Status: COMPLETED\n/, name);
  }
  for (const line of onTerminal({ NO_COLOR: '1' }, 'job', 'list').trimEnd().split('\n')) {
    assert.ok(line.length <= 80, line);
  }
});

test('S4-13 S4-14 S4-31 a job is stopped once, and a second stop is an error', {
  skip,
}, async () => {
  const id = await running();
  const { code, out } = await rnx('job', 'stop', id.slice(0, 8));
  assert.equal(code, 0);
  assert.match(
    out,
    new RegExp(
      `^Job stopped successfully:\nID: ${id}\nStatus: STOPPED\nExitCode: -1\nEndTime: \\S+Z\n$`,
    ),
  );
  const second = await rnx('job', 'stop', id);
  assert.deepEqual([second.code, second.out], [1, '']);
  assert.match(
    second.err,
    new RegExp(`^Error: job is not running: ${id} \\(current status: STOPPED\\)`),
  );
  const forced = await rnx('stop', '--force', '--json', await running());
  assert.equal(JSON.parse(forced.out).status, 'STOPPED');
});

test('the timeout of a running job is moved, and a job that was stopped says by whom', {
  skip,
}, async () => {
  const id = await running();
  const { code, out } = await rnx('job', 'extend', id.slice(0, 8), '--timeout=10m');
  assert.equal(code, 0);
  const until = 'Timeout: \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d \\(in 10m\\)';
  assert.match(
    out,
    new RegExp(`^Job extended successfully:\nID: ${id}\nStatus: RUNNING\n${until}\n$`),
  );
  assert.match((await rnx('job', 'status', id)).out, /Timeout: 10m.* \(until \d{4}-/);
  const none = JSON.parse((await rnx('job', 'extend', '--timeout=0', '--json', id)).out);
  assert.deepEqual(none, { uuid: id, status: 'RUNNING', timeout_time: '' });
  assert.match((await rnx('job', 'extend', id)).err, /^Error: how long may it run\?/);
  await rnx('job', 'stop', '--force', id);
  assert.match((await rnx('job', 'status', id)).out, /Message: stopped by test-\w+/);
});

test('a job that is asked for again with its key is the same job', { skip }, async () => {
  const run = (...more: string[]) =>
    rnx('job', 'run', '--idempotency-key=of-rnx', '--priority=-1', ...more);
  const first = await run('true');
  const again = await run('true');
  assert.match(again.out, /^Job was asked for before with this key:\n/);
  const idOf = (text: string) => /^ID: (\S+)$/m.exec(text)?.[1];
  assert.equal(idOf(again.out), idOf(first.out));
  const other = await run('false');
  assert.deepEqual([other.code, other.out], [1, '']);
  assert.match(other.err, /belongs to job .* other values of command; take another key/);
});

test('S4-26 S4-30 a job that is not there is named, and errors are JSON where it is asked for', {
  skip,
}, async () => {
  const id = '00000000-0000-4000-8000-000000000000';
  for (const words of [
    ['job', 'status'],
    ['job', 'log'],
    ['job', 'stop'],
    ['status'],
    ['job', 'delete'],
  ]) {
    const { code, out, err } = await rnx(...words, id);
    assert.deepEqual([code, out], [1, ''], words.join(' '));
    assert.match(err, new RegExp(`^Error: job not found: ${id}`));
    const json = await rnx('--json', ...words, id);
    const { error, ...shape } = JSON.parse(json.out);
    assert.deepEqual([json.code, json.err], [1, '']);
    assert.deepEqual(shape, { code: 'NOT_FOUND', message: `job not found: ${id}`, details: [] });
    assert.deepEqual(error, { kind: 'not-found', ...shape });
  }
  for (const args of [
    ['job', 'list', '--limit=x'],
    ['nope'],
    ['--nope'],
    ['job', 'run', '--nope', 'x'],
  ]) {
    const { code, out, err } = await rnx('--json', ...args);
    assert.deepEqual([code, err, JSON.parse(out).error.kind], [1, '', 'invalid'], args.join(' '));
  }
  // Also where it is asked for behind what cannot be read.
  const { code, out } = await rnx('job', 'list', '--nope', '--json');
  assert.deepEqual([code, JSON.parse(out).code], [1, 'INVALID_ARGUMENT']);
});

test('S0-36 a job is scheduled, shown with its time, and taken back', { skip }, async () => {
  const { out } = await rnx('job', 'run', '--schedule=1hour', '--name=later', 'true');
  assert.match(
    out,
    /^Job scheduled:\nID: \S+\nName: later\nCommand: true\nStatus: SCHEDULED\nSchedule Input: 1hour\nScheduled Time: \S+Z\n/,
  );
  const id = /^ID: (.*)$/m.exec(out)?.[1] ?? '';
  assert.match((await rnx('job', 'status', id)).out, /Time Until Execution: (1h|59m)/);
  assert.match(
    (await rnx('job', 'list', '--name=later')).out,
    /SCHEDULED +[-0-9]{10} [:0-9]{8} +true/,
  );
  const canceled = await rnx('job', 'cancel', id);
  assert.match(
    canceled.out,
    /^Scheduled job canceled successfully:\nID: \S+\nStatus: CANCELED\nNote: /,
  );
  assert.match((await rnx('job', 'cancel', id)).err, /^Error: /);
});

test('what a job used is shown from a moment on, and in sum by either name of it', {
  skip,
}, async () => {
  const id = await finished('true');
  assert.match((await rnx('job', 'metrics', '--since', '1h', id)).out, /^═══ Metrics Sample at /);
  const { code, err } = await rnx('job', 'metrics', '--since', '2100-01-01T00:00:00Z', id);
  assert.equal(code, 1);
  assert.match(err, /^Error: no metrics available/);
  for (const flag of ['--summary', '--aggregate']) {
    assert.match((await rnx('job', 'metrics', flag, '--since=1h', id)).out, /^ +MIN +MEAN/);
  }
});

test('jobs are deleted one by one and all together, running ones never', { skip }, async () => {
  const id = await finished('true');
  const busy = await running();
  assert.match(
    (await rnx('job', 'delete', id)).out,
    /^Job deleted successfully:\nID: \S+\nMessage: ./,
  );
  assert.equal((await rnx('job', 'delete', busy)).code, 1);
  const all = JSON.parse((await rnx('--json', 'job', 'delete-all')).out);
  assert.deepEqual([all.success, all.skipped_count], [true, 1]);
  assert.ok(all.deleted_count > 0);
  assert.equal(JSON.parse((await rnx('--json', 'job', 'list')).out).length, 1);
  await rnx('job', 'stop', '--force', busy);
  assert.match(
    (await rnx('delete-all')).out,
    /^Jobs deleted successfully:\nDeleted: 1\nSkipped: 0 /,
  );
});

test('Ctrl-C leaves a followed job running', { skip }, async () => {
  const child = start(['job', 'run', '--follow', 'sh', '-c', 'echo up; exec sleep 1000']);
  let err = '';
  child.stderr.on('data', (text) => {
    err += text;
  });
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  assert.equal(code, 130);
  const id = /^ID: (.*)$/m.exec(err)?.[1] ?? '';
  assert.match(err, new RegExp(`Stopping log stream\\.\\.\\. The job runs on: rnx job log ${id}`));
  const log = start(['job', 'log', id]);
  let said = '';
  log.stderr.on('data', (text) => {
    said += text;
  });
  await once(log.stdout, 'data');
  log.kill('SIGINT');
  assert.equal((await once(log, 'close'))[0], 130);
  assert.match(said, /Stopping log stream\.\.\.\n$/);
  assert.equal((await rnx('job', 'stop', '--force', id)).code, 0);
});

test('Ctrl-C ends a job that is waited for, twice kills it', { skip }, async () => {
  const gentle = start(['job', 'run', '--wait', 'sh', '-c', 'echo up; exec sleep 1000']);
  await once(gentle.stdout, 'data');
  gentle.kill('SIGINT');
  assert.equal((await once(gentle, 'close'))[0], 143);
  const stubborn = start([
    'job',
    'run',
    '--wait',
    '--grace=1h',
    'sh',
    '-c',
    'trap "" TERM; echo up; while :; do sleep 1; done',
  ]);
  await once(stubborn.stdout, 'data');
  stubborn.kill('SIGINT');
  await once(stubborn.stderr, 'data');
  stubborn.kill('SIGINT');
  assert.equal((await once(stubborn, 'close'))[0], 143);
});

test('Ctrl-C takes back a job that waits for its time', { skip }, async () => {
  const child = start(['job', 'run', '--wait', '--schedule=1hour', 'true']);
  let err = '';
  child.stderr.on('data', (text) => {
    err += text;
  });
  await once(child.stderr, 'data');
  child.kill('SIGINT');
  assert.equal((await once(child, 'close'))[0], 125);
  const id = /^Job (\S+) waits for its time; Ctrl-C takes it back\n/.exec(err)?.[1] ?? '';
  assert.equal(JSON.parse((await rnx('--json', 'job', 'status', id)).out).status, 'CANCELED');
});

test('a job that is followed or waited for can be told as JSON', { skip }, async () => {
  const lines = (await rnx('--json', 'job', 'run', '--follow', 'echo', 'hi')).out
    .trimEnd()
    .split('\n');
  const [started, output, ended] = lines.map((line) => JSON.parse(line));
  assert.equal(lines.length, 3);
  assert.deepEqual([output.stream, output.data], ['stdout', 'hi\n']);
  assert.deepEqual(
    [ended.job_uuid, ended.status, ended.exit_code],
    [started.job_uuid, 'COMPLETED', 0],
  );
  const env = { RNX_OUTPUT_FORMAT: 'json' };
  const waited = await rnxWith({ env }, 'job', 'run', '--wait', 'false');
  assert.deepEqual([waited.code, JSON.parse(waited.out).exit_code], [1, 1]);
});

test('S4-28 a viewer may look and not touch', { skip }, async () => {
  const env = { RNX_CONFIG: daemon.nodesFile('viewer') };
  assert.equal((await rnxWith({ env }, 'job', 'list')).code, 0);
  const refused = await rnxWith({ env }, 'job', 'run', 'true');
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^Error: role viewer is not allowed to perform operation run_job/);
});

test('S4-36 S4-40 S4-41 the daemon is found by address and certificate files', {
  skip,
}, async () => {
  const { cert, key, ca } = daemon.node('admin');
  const old = path.join(files, 'old');
  mkdirSync(path.join(old, 'certs'), { recursive: true });
  writeFileSync(path.join(old, 'certs/client-cert.pem'), cert);
  writeFileSync(path.join(old, 'certs/client-key.pem'), key);
  writeFileSync(path.join(old, 'certs/ca-cert.pem'), ca);
  const server = `localhost:${daemon.port}`;
  const flags = [
    '--cert=certs/client-cert.pem',
    '--key',
    'certs/client-key.pem',
    '--ca=certs/ca-cert.pem',
  ];
  const byFlags = await rnxWith(
    { cwd: old },
    `--server=${server}`,
    ...flags,
    'run',
    '--wait',
    'echo',
    'hi',
  );
  assert.deepEqual([byFlags.out, byFlags.code], ['hi\n', 0]);
  const byDefaults = await rnxWith({ cwd: old }, `--server=${server}`, 'list', '--limit=1');
  assert.match(byDefaults.out, /Command: echo hi/);
  const env = {
    JOBLET_SERVER: server,
    JOBLET_CERT_PATH: './certs/client-cert.pem',
    JOBLET_KEY_PATH: './certs/client-key.pem',
    JOBLET_CA_PATH: './certs/ca-cert.pem',
  };
  const byEnv = await rnxWith({ cwd: old, env }, 'job', 'run', '--wait', 'echo', 'env');
  assert.equal(byEnv.out, 'env\n');
});

test('a daemon that is not there is named, with the way out', { skip }, async () => {
  const { cert, key, ca } = daemon.node('admin');
  const nodes = { nodes: { gone: { address: 'localhost:1', cert, key, ca } } };
  writeFileSync(path.join(files, 'gone.yml'), JSON.stringify(nodes));
  const { code, err } = await rnx('--config=gone.yml', 'job', 'list');
  assert.equal(code, 1);
  assert.match(
    err,
    /^Error: cannot reach the daemon at localhost:1: nobody listens there; start the daemon/,
  );
});

test('S4-47 version, nodes and config-help tell about both ends', { skip }, async () => {
  assert.match((await rnx('version')).out, /^rnx \S+.*\njoblet \d+\.\d+\.\d+.*\n$/);
  const version = JSON.parse((await rnx('version', '--json')).out);
  assert.deepEqual(Object.keys(version.rnx), [
    'version',
    'git_commit',
    'git_tag',
    'build_date',
    'go_version',
    'platform',
    'proto_commit',
  ]);
  assert.match(version.joblet.version, /^\d/);
  assert.match(
    (await rnx('nodes')).out,
    /\n\* default\n {4}Address: localhost:\d+\n {4}Node ID: -\n {4}Cert: present\n/,
  );
  const { cert, key } = daemon.node('admin');
  assert.ok(!(await rnx('nodes', '--json')).out.includes(key.split('\n')[1] ?? cert));
  const help = await rnxWith({ env: { RNX_CONFIG: '/nonexistent' } }, 'config-help');
  assert.equal(help.code, 0);
  assert.match(help.out, /version: "3\.0"\n {2}nodes:/);
});

test('completion scripts are valid for their shells, and complete', { skip }, async (t) => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = await rnx('completion', shell);
    assert.equal(script.code, 0, shell);
    const file = path.join(files, `rnx.${shell}`);
    writeFileSync(file, script.out);
    const { status, stderr, error } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    if (error === undefined) assert.deepEqual([status, stderr], [0, ''], shell);
    else t.diagnostic(`${shell} is not here to read its script`);
  }
  const { out } = await rnx('completion', 'bash');
  const complete = (...words: string[]) => {
    const ask = `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; __rnx_complete; echo "\${COMPREPLY[@]}"`;
    return spawnSync('bash', ['-c', `${out}\n${ask}`], { encoding: 'utf8' }).stdout.trim();
  };
  assert.equal(complete('rnx', 'ver'), 'version');
  assert.equal(complete('rnx', 'job', 'delete'), 'delete delete-all');
  assert.equal(complete('rnx', '--json', 'job', 'run', '--max-m'), '--max-memory');
  assert.equal(complete('rnx', 'job', 'log', '--stream', '=', 'stdo'), 'stdout');
  assert.equal(complete('rnx', 'job', 'list', '--status', 'RUN'), 'RUNNING');
  assert.equal(complete('rnx', 'completion', 'f'), 'fish');
});

test('a closed pipe ends rnx without a word', { skip }, async () => {
  const id = await finished('seq', '1', '200000');
  const line = `'${process.execPath}' '${MAIN}' job log ${id} | head -1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', line], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', HOME: files, RNX_CONFIG: config },
  });
  assert.deepEqual([stdout, stderr], ['1\n141\n', '']);
});

test('output that cannot be written is an error that says so, and no bug', { skip }, () => {
  const line = (args: string) => `'${process.execPath}' '${MAIN}' ${args}`;
  const ran = (script: string) =>
    spawnSync('sh', ['-c', script], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', HOME: files, RNX_CONFIG: config },
    });
  const full = ran(`${line('nodes')} >/dev/full`);
  assert.equal(full.status, 1);
  assert.match(full.stderr, /^Error: standard output cannot be written: ENOSPC: [^(]*$/);
  // Where not even that can be said, the exit code says it.
  const { status, stderr } = ran(`${line('--json nodes')} >/dev/full`);
  assert.deepEqual([status, stderr], [1, '']);
});

test('what a later version brings says so', { skip }, async () => {
  for (const args of [['admin']]) {
    const { code, err } = await rnx(...args);
    assert.equal(code, 1);
    assert.match(err, /^Error: .*later/);
  }
});

const bundle = path.join(ROOT, 'dist/rnx');
const noBundle = existsSync(bundle) ? false : 'the bundle has not been built (npm run build)';

test('S2-11 the bundle runs, also through a link to it', { skip: skip || noBundle }, () => {
  const link = path.join(files, 'rnx');
  spawnSync('ln', ['-sf', bundle, link]);
  const env = { PATH: process.env['PATH'] ?? '', HOME: files, RNX_CONFIG: config };
  for (const program of [bundle, link]) {
    const { status, stdout } = spawnSync(program, ['job', 'run', '--wait', 'echo', 'hi'], {
      encoding: 'utf8',
      env,
    });
    assert.deepEqual([status, stdout], [0, 'hi\n']);
  }
});
