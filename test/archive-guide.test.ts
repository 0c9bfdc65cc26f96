// The guide about the archive: its configurations hold, and its commands do what it says.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { queryJobs } from '../src/client/methods.ts';
import { parseConfig } from '../src/daemon/config.ts';
import { cannotRun, startDaemon } from './harness.ts';

const ROOT = path.join(import.meta.dirname, '..');
const guide = readFileSync(path.join(ROOT, 'docs/guide/persistence.md'), 'utf8');
const configurations = [...guide.matchAll(/```yaml\n([^`]+)```/g)].map(([, text = '']) => text);
const PLACE = '/mnt/backup/joblet';
const skip = cannotRun();

test('the configurations of the guide about the archive are taken', () => {
  const types = configurations.map(
    (text) => parseConfig(`version: "3.0"\n${text}`, 'guide').archive.type,
  );
  assert.deepEqual(types, ['s3', 'local']);
  const secret = 'archive:\n  type: s3\n  bucket: abc\n  secretAccessKey: xyz\n';
  assert.throws(() => parseConfig(secret, 'f'), /archive.secretAccessKey.*archive.credentialsFile/);
  assert.throws(() => parseConfig('archive:\n  type: s3\n', 'f'), /s3 needs archive.bucket/);
  const within = 'archive:\n  type: local\n  directory: /opt/joblet/logs/archive\n';
  assert.throws(
    () => parseConfig(within, 'f'),
    /f:3:14.*archive.directory.*lies in logs.directory/,
  );
});

test('every example of the guide about the archive works, and nothing shows what reads where', {
  skip,
}, async (t) => {
  const home = mkdtempSync(path.join(tmpdir(), 'joblet-guide-'));
  t.after(() => rmSync(home, { recursive: true }));
  const place = path.join(home, 'archive');
  mkdirSync(place);
  const [, local = ''] = configurations;
  const daemon = await startDaemon({
    ...parse(local.replace(PLACE, place)),
    logs: { directory: path.join(home, 'logs'), sealAfter: '100ms', retentionBytes: 1 },
    logging: { level: 'DEBUG' },
  });
  t.after(() => daemon.stop());
  const env = { PATH: process.env['PATH'], HOME: home, RNX_CONFIG: daemon.nodesFile('admin') };
  const removed = daemon.logged(/output of an ended job is removed/);
  let id = '';
  const run = (line: string) => {
    const command = line
      .replace(/\brnx\b/, `'${process.execPath}' '${ROOT}/src/cli/main.ts'`)
      .replaceAll(/\bJOB\b/g, id)
      .replaceAll(PLACE, place);
    const ran = spawnSync('sh', ['-c', command], { env, cwd: home, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${line}\n${ran.stderr}`);
    return ran.stdout;
  };
  const [first = '', second = '', third = '', last = '', ...more] =
    guide.match(/(?<=^ {4})(rnx|python3) .*$/gm) ?? [];
  assert.equal(more.length, 0);
  run(first);
  await removed;
  id = (await daemon.as('admin').unary(queryJobs, { limit: 1 })).jobs[0]?.uuid ?? '';
  const record = JSON.parse(run(second));
  assert.equal(record.id, id);
  assert.deepEqual([record.name, record.status, record.exitCode], ['kept', 'FAILED', 3]);
  assert.deepEqual(readdirSync(path.join(home, 'logs', id)), []);
  assert.equal(run(third), 'hello\n');
  // As on a new node, to which only the state was restored.
  rmSync(path.join(home, 'logs', id), { recursive: true });
  assert.equal(run(third), 'hello\n');
  const gone = daemon.logged(/a deleted job is out of the archive/);
  run(last);
  await gone;
  assert.equal(existsSync(path.join(place, id)), false);
  await assertDoctor(path.join(daemon.directory, 'joblet-config.yml'), place);
});

async function assertDoctor(config: string, place: string): Promise<void> {
  const ask = () => {
    const args = [path.join(ROOT, 'src/daemon/main.ts'), 'doctor', '--config', config, '--json'];
    const said = spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout;
    const checks = JSON.parse(said).checks as { group: string; state: string; found: string }[];
    return checks.find(({ group }) => group === 'Archive');
  };
  assert.deepEqual(ask()?.state, 'ok');
  rmSync(place, { recursive: true });
  const broken = ask();
  assert.equal(broken?.state, 'missing');
  assert.match(broken.found, new RegExp(`there is no directory ${place}`));
}
