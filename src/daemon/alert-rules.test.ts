import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { JobletError } from '../shared/errors.ts';
import { means, targetList } from './alert-rules.ts';
import { parseConfig } from './config.ts';

function problemsOf(text: string): string[] {
  try {
    parseConfig(text, 'joblet-config.yml');
    return [];
  } catch (error) {
    assert.ok(error instanceof JobletError);
    return error.problems.map(({ field, message }) => `${field.split(/:(.*)/)[1]} ${message}`);
  }
}

test('rules and targets are read, with sizes and times as everywhere', () => {
  const { alerts } = parseConfig(
    `alerts:
  interval: 30s
  targets:
    - {name: ops, webhook: "http://127.0.0.1:9093/hook", headers: {Authorization: Bearer x}}
    - {name: page, command: [/usr/local/bin/page, --now], user: root, timeout: 3s}
  rules:
    - {name: full, when: disk, above: 90, for: 5m, to: [ops, page]}
    - {name: nightly, when: job-failed, jobs: "nightly-*"}
    - {name: certs, when: certificate, below: 14d}
`,
    'joblet-config.yml',
  );
  assert.equal(alerts.intervalMs, 30_000);
  assert.equal(alerts.targets[1]?.timeout, 3000);
  const [full, nightly, certs] = alerts.rules;
  assert.deepEqual([full?.above, full?.for, full?.to], [90, 300_000, ['ops', 'page']]);
  assert.deepEqual([nightly?.jobs, nightly?.to], ['nightly-*', []]);
  assert.equal(certs?.below, 14 * 86_400_000);
});

test('the example of rules loads, and the guide shows it as it is', () => {
  const repository = path.resolve(import.meta.dirname, '../..');
  const example = readFileSync(path.join(repository, 'examples/alerts.yml'), 'utf8');
  const guide = readFileSync(path.join(repository, 'docs/guide/alerts.md'), 'utf8');
  assert.ok(guide.includes(`\`\`\`yaml\n${example}\`\`\``));
  assert.equal(parseConfig(example, 'alerts.yml').alerts.rules.length, 5);
});

test('every mistake in a rule or a target is named with its line and column', () => {
  const found = problemsOf(`alerts:
  targets:
    - {name: ops, webhook: ftp://x}
    - name: page
      command: page now
      usr: root
  rules:
    - name: full disk
      when: disc
    - {name: b, when: disk, abov: 3}
    - disk
`);
  assert.deepEqual(found.sort(), [
    '10:23 alerts.rules.1.when: disk needs above: the limit beyond which it fires',
    '10:29 alerts.rules.1.abov: is not known; did you mean above?',
    '11:7 alerts.rules.2: must be a rule: a map with name, when, and what that takes',
    '3:28 alerts.targets.0.webhook: must be a URL: https://... or http://...',
    '5:16 alerts.targets.1.command: must be a list: a program, its arguments',
    '6:7 alerts.targets.1.usr: is not known; did you mean user?',
    '8:13 alerts.rules.0.name: must be a short word without blanks',
    '9:13 alerts.rules.0.when: must be one of cpu, memory, load, disk, jobs-waiting, job-cpu, job-memory, job-failed, certificate',
  ]);
});

test('what has no meaning together is refused', () => {
  const found = problemsOf(`alerts:
  targets:
    - {name: ops, command: [page]}
    - {name: two, webhook: "http://x", command: [/bin/page]}
    - {name: none}
    - {name: odd, webhook: "http://x", user: root}
  rules:
    - {name: a, when: disk}
    - {name: b, when: job-failed, above: 3}
    - {name: c, when: cpu, above: 130}
    - {name: d, when: cpu, above: 90, jobs: x}
`);
  assert.deepEqual(found.sort(), [
    '10:35 alerts.rules.2.above: must be from 0 to 100',
    '11:45 alerts.rules.3.jobs: has no meaning with cpu, which takes above, for',
    '3:28 alerts.targets.0.command: must begin with the absolute path of a program; no shell is asked',
    '4:14 alerts.targets.1.name: must have either a webhook or a command',
    '5:14 alerts.targets.2.name: must have either a webhook or a command',
    '6:46 alerts.targets.3.user: goes with a command',
    '8:23 alerts.rules.0.when: disk needs above: the limit beyond which it fires',
    '9:42 alerts.rules.1.above: has no meaning with job-failed, which takes jobs',
  ]);
});

test('a target that is not there is named, and a name that stands twice', () => {
  const found = problemsOf(`alerts:
  targets: [{name: ops, webhook: "https://example.org/x"}]
  rules:
    - {name: a, when: job-failed, to: [ops, opps]}
    - {name: a, when: load, above: 9}
`);
  assert.deepEqual(found.sort(), [
    '4:45 alerts.rules.0.to.1: opps is no target; there is ops',
    '5:14 alerts.rules.1.name: a stands here twice',
  ]);
});

test('what may be a secret of a target is not shown', () => {
  const [shown] = targetList.format([
    { name: 'ops', webhook: 'https://hooks.example.org/T0/SECRET', headers: { Token: 'SECRET' } },
  ]);
  assert.deepEqual(shown, {
    name: 'ops',
    webhook: 'https://hooks.example.org/...',
    headers: { Token: '***' },
  });
});

test('names of jobs are found by a pattern in which only * is special', () => {
  assert.ok(means('nightly-*', 'nightly-db') && means('*', '') && means(undefined, 'x'));
  assert.ok(means('a.b', 'a.b') && !means('a.b', 'axb') && !means('nightly-*', 'my-nightly-db'));
});
