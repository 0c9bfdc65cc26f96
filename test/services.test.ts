// Two services in runtimes of their own, on a network of theirs. The runtimes are real ones, which somebody has
// built: JOBLET_RUNTIME_TREES names the folder that a daemon has them in.

import './own-host.ts';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { cannotRun, type Daemon, startDaemon } from './harness.ts';
import { printed } from './job-calls.ts';
import { MAIN } from './rnx.ts';

const EXAMPLE = path.join(import.meta.dirname, '../examples/services');
const trees = process.env['JOBLET_RUNTIME_TREES'] ?? '';
const needed = ['openjdk-17', 'python-3.11'];

function cannotServe(): string | false {
  const isThere = trees !== '' && needed.every((name) => existsSync(path.join(trees, name)));
  return isThere ? false : `JOBLET_RUNTIME_TREES names no folder with ${needed.join(' and ')}`;
}

/** A line as a user types it, in the folder of the example. */
function rnx(daemon: Daemon, line: string): string {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [MAIN, ...line.split(' ').slice(1)],
    { cwd: EXAMPLE, env: { RNX_CONFIG: daemon.nodesFile('admin') }, encoding: 'utf8' },
  );
  assert.equal(status, 0, `${line}\n${stdout}${stderr}`);
  return stdout;
}

test('a service in Java and one in Python find each other by name on their own network (S2-20)', {
  skip: cannotRun() || cannotServe(),
}, async () => {
  const daemon = await startDaemon();
  try {
    for (const name of needed) {
      const tree = path.join(trees, name);
      execFileSync('cp', ['--archive', '--link', tree, path.join(daemon.directory, 'runtimes')]);
    }
    rnx(daemon, 'rnx network create test-env --cidr=10.10.0.0/24');
    const started = rnx(
      daemon,
      'rnx run --json --network=test-env --name=service-a --runtime=java:17 --upload=service-a --upload=ServiceA.java ./service-a',
    );
    await printed(daemon.as('admin'), JSON.parse(started).job_uuid, 'listening');
    const said = rnx(
      daemon,
      'rnx run --wait --network=test-env --name=service-b --runtime=python:3.11 --upload=service-b ./service-b',
    );
    assert.equal(said, 'service-a says: hello from Java 17\n');
  } finally {
    await daemon.stop();
  }
});
