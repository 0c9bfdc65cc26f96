// The guide about networks: every command in it does what it says.

import './own-host.ts';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { queryJobs, stopJob } from '../src/client/methods.ts';
import { cannotRun, startDaemon } from './harness.ts';
import { OUTSIDE, openWorld } from './network-world.ts';

const ROOT = path.join(import.meta.dirname, '..');
const MAIN = path.join(ROOT, 'src/cli/main.ts');

/** What the guide promises that a command prints. */
const printed: Readonly<Record<string, RegExp>> = {
  'rnx network list': /^isolated \(built-in\)/m,
  'rnx network inspect test-env': /^Jobs: 1\n.*service-a$/m,
  'rnx job run --network=agents --name=worker --max-memory=256 --wait getent ahostsv4 coordinator':
    /^10\.31\.0\.\d+ +STREAM coordinator/,
  'rnx job network show JOB': /^Never sends: 10\.0\.0\.0\/8, udp:\*$/m,
  'rnx job network allow JOB tcp:example.org:443': /^Sends only: tcp:example\.org:443$/m,
  'rnx job network deny JOB 192.0.2.0/24': /^Never sends: .*192\.0\.2\.0\/24$/m,
  'rnx job network reset JOB': /^Sends: all/,
  'rnx job network flows JOB': /^TIME +VERDICT/,
  'rnx --json job network flows JOB': /"omitted": 0/,
};

test('every example of the guide about networks works (S0-35, S2-19, S2-20, S2-27)', {
  skip: cannotRun(),
}, async (t) => {
  // Its host has the address that the guide publishes at.
  const world = await openWorld(OUTSIDE);
  t.after(() => world.close());
  const daemon = await startDaemon({ network: { default_network: 'isolated' } });
  t.after(() => daemon.stop());
  const home = mkdtempSync(path.join(tmpdir(), 'joblet-guide-'));
  t.after(() => rmSync(home, { recursive: true }));
  for (const name of ['rnx', 'service-b', 'crawl', 'resolver']) {
    const program = name === 'rnx' ? `exec '${process.execPath}' '${MAIN}' "$@"` : 'sleep 60';
    writeFileSync(path.join(home, name), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  }
  const env = {
    PATH: `${home}:${process.env['PATH']}`,
    HOME: home,
    RNX_CONFIG: daemon.nodesFile('admin'),
  };
  const api = daemon.as('admin');
  const guide = readFileSync(path.join(ROOT, 'docs/guide/networks.md'), 'utf8');
  const commands: readonly string[] = guide.match(/(?<=^ {4})rnx .*$/gm) ?? [];
  assert.ok(commands.length > 15);
  for (const command of commands) {
    // JOB is the newest one that runs.
    const { jobs } = await api.unary(queryJobs, { statuses: ['RUNNING'], limit: 1 });
    const uuid = jobs[0]?.uuid ?? '';
    // Who follows a job sees the end of it.
    if (command.includes('--follow')) await api.unary(stopJob, { uuid, force: true });
    const child = spawn('sh', ['-c', command.replace(/\bJOB\b/, uuid)], { env, cwd: home });
    const [code, out, err] = await Promise.all([
      new Promise((resolve) => child.once('exit', resolve)),
      text(child.stdout),
      text(child.stderr),
    ]);
    assert.deepEqual([code, err], [0, ''], command);
    const wanted = printed[command];
    if (wanted !== undefined) assert.match(out, wanted, command);
  }
  assert.ok(Object.keys(printed).every((command) => commands.includes(command)));
});
