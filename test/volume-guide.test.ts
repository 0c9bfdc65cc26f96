// The guides about storage, volumes and files of jobs: every command in them does what it says.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { queryJobs } from '../src/client/methods.ts';
import { cannotRun, startDaemon } from './harness.ts';

const ROOT = path.join(import.meta.dirname, '..');
const MAIN = path.join(ROOT, 'src/cli/main.ts');
const skip = cannotRun();

/** What the guide promises that a command prints. */
const printed: Readonly<Record<string, string>> = {
  "rnx job run --wait --work-size=64MB sh -c 'df -B1M --output=size,target /work /tmp /dev/shm | tail -n +2'":
    '       64 /work\n       64 /tmp\n       64 /dev/shm\n',
  'rnx job run --wait --work-size=2MB sh -c \'dd if=/dev/zero of=big bs=64k 2>&1 | grep -o "No space left on device"\'':
    'No space left on device\n',
  'rnx job run --wait sh -c \'touch /usr/file 2>&1 | grep -o "Read-only file system"\'':
    'Read-only file system\n',
  'rnx job run --wait --volume=datasets cat /volumes/datasets/input.csv': '1,2\n',
  'rnx job run --wait --volume=datasets:/data cat /data/input.csv': '1,2\n',
  'rnx job run --wait --volume=datasets:/work/in:ro cat in/input.csv': '1,2\n',
  'rnx job run --wait --volume=results cat /volumes/results/count': '4\n',
  'rnx job run --wait --volume=results:/work cat hello.txt': 'hello\n',
  "rnx job run --wait --volume=results sh -c 'sort -rn /volumes/results/numbers | head -1'": '5\n',
  'rnx job get JOB out/answer -': '42\n',
  'rnx job get LAST report -': 'done\n',
};

test('S0-52 every example of the guides about storage, volumes and files of jobs works', {
  skip,
}, async (t) => {
  const daemon = await startDaemon();
  t.after(() => daemon.stop());
  const home = mkdtempSync(path.join(tmpdir(), 'joblet-guide-'));
  t.after(() => rmSync(home, { recursive: true }));
  const rnx = path.join(home, 'rnx');
  writeFileSync(rnx, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  chmodSync(rnx, 0o755);
  const env = {
    PATH: `${home}:${process.env['PATH']}`,
    HOME: home,
    RNX_CONFIG: daemon.nodesFile('admin'),
  };
  const commands: readonly string[] = ['storage', 'volumes', 'job-files'].flatMap((name) => {
    const guide = readFileSync(path.join(ROOT, `docs/guide/${name}.md`), 'utf8');
    return guide.match(/(?<=^ {4})rnx .*$/gm) ?? [];
  });
  assert.ok(commands.length > 20);
  for (const command of commands) {
    // JOB is the one of that name, and LAST the newest of all.
    const { jobs } = await daemon.as('admin').unary(queryJobs, { limit: 100 });
    const job = jobs.find(({ name }) => name === 'maker')?.uuid ?? '';
    const line = command.replace(/\bJOB\b/, job).replace(/\bLAST\b/, jobs[0]?.uuid ?? '');
    const ran = spawnSync('sh', ['-c', line], { env, cwd: home, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${command}\n${ran.stderr}`);
    const wanted = printed[command];
    if (wanted !== undefined) assert.equal(ran.stdout, wanted, command);
  }
  assert.ok(Object.keys(printed).every((command) => commands.includes(command)));
});
