// The system-call filter alone: that the program made from the table says what the table says, that
// the table's numbers are the kernel's, and that the filter refuses by itself, with nothing of the
// sandbox around it and all of root's rights.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import { buildProbe, cannotBuildProbes, cannotCompile } from './probe-build.ts';

const skip = cannotBuildProbes();
const noHeaders = cannotCompile();
const x86 = process.arch === 'x64';
const notRoot =
  process.getuid?.() === 0 ? false : 'only root has the rights that are to be useless';

/** From here on the kernel's headers may be older than the table. */
const FIRST_SHARED_NUMBER = 424;

interface Call {
  readonly name: string;
  /** x86_64, i386, arm64; -1 where it does not exist. */
  readonly numbers: readonly number[];
  readonly rule: string;
}

let calls: readonly Call[];

before(() => {
  if (skip !== false) return;
  const lines = run(buildProbe('seccomp-table'), 'table');
  calls = lines.map((line) => {
    const [name = '', x86_64, i386, arm64, rule = ''] = line.split(' ');
    return { name, numbers: [Number(x86_64), Number(i386), Number(arm64)], rule };
  });
});

function run(program: string, ...args: readonly string[]): string[] {
  return execFileSync(program, args, { encoding: 'utf8' }).trimEnd().split('\n');
}

/** What a probe reports of each call, without its last line. */
interface Attempt {
  readonly name: string;
  readonly convention: string;
  readonly result: string;
}

function attempts(lines: readonly string[]): Attempt[] {
  return lines.slice(0, -1).map((line) => {
    const [name = '', convention = '', result = ''] = line.split(' ');
    return { name, convention, result };
  });
}

const refusals = ['EPERM', 'EACCES', 'ENOSYS', 'SIGSYS', 'no-convention', 'pretended'];

function reached(all: readonly Attempt[]): Set<string> {
  return new Set(all.filter(({ result }) => !refusals.includes(result)).map(({ name }) => name));
}

test('every number in every convention gets the answer of the table', { skip }, () => {
  const lines = run(buildProbe('seccomp-table'), 'compare');
  const last = /^compared (\d+), longest path (\d+), instructions (\d+)$/.exec(lines.at(-1) ?? '');
  assert.equal(lines.length, 1, lines.slice(0, 10).join('\n'));
  assert.ok(Number(last?.[1]) > 20_000, lines.join('\n'));
});

/** The headers of the kernel that say what a call's number is, one for each column of the table. */
const headers = [
  ['asm/unistd_64.h', x86],
  ['asm/unistd_32.h', x86],
  ['asm-generic/unistd.h', true],
] as const;

for (const [column, [header, here]] of headers.entries()) {
  test(`the table has the numbers of ${header}`, { skip: noHeaders || !here }, (t) => {
    // Asked for without any source: only what the header defines.
    // As arm64 includes the generic one; the others do not know the word.
    const arm64 = '-D__ARCH_WANT_SET_GET_RLIMIT';
    const flags = ['-E', '-dM', arm64, '-include', header, '-x', 'c', '/dev/null'];
    const text = execFileSync('gcc', flags, { encoding: 'utf8' });
    const defined = new Map<string, string>();
    for (const [, name = '', value = ''] of text.matchAll(/^#define (__NR\w+) (\w+)$/gm)) {
      defined.set(name, value);
    }
    const known = new Map<string, number>();
    for (const [name, value] of defined) {
      // Some numbers have one name for both sizes of the machine's word.
      known.set(name.replace('__NR_', ''), Number(defined.get(value) ?? value));
    }
    assert.ok(known.size > 200, `${header} defines ${known.size} calls`);
    let newer = 0;
    for (const { name, numbers } of calls) {
      const ours = numbers[column] ?? -1;
      const theirs = known.get(name) ?? -1;
      if (theirs < 0 && ours > FIRST_SHARED_NUMBER) newer++;
      else assert.equal(ours, theirs, name);
    }
    if (newer > 0) t.diagnostic(`${newer} calls are newer than this machine's headers`);
  });
}

test('with all rights of root no refused call is reached', { skip: skip || notRoot }, () => {
  const lines = run(buildProbe('under-filter'), '0', buildProbe('syscalls'));
  const all = attempts(lines);
  assert.deepEqual(
    all.filter(({ result }) => !refusals.includes(result)),
    [],
  );
  const conventions = new Set(all.map(({ convention }) => convention));
  assert.deepEqual([...conventions].toSorted(), x86 ? ['i386', 'native', 'x32'] : ['native']);
  // Every row of the table was tried, in each convention where it exists.
  const native = calls.filter(({ numbers }) => (numbers[x86 ? 0 : 2] ?? -1) >= 0);
  const tried = new Set(all.filter((each) => each.convention === 'native').map(({ name }) => name));
  assert.deepEqual(
    native.filter(({ name }) => !tried.has(name)),
    [],
  );
});

const doors = [
  ['ptrace', '1', ['TRACING']],
  ['userns', '2', ['MOUNTING', 'CHROOT', 'MOUNT_API', 'JOIN', 'NAMESPACE']],
  ['chroot', '4', ['CHROOT']],
] as const;

for (const [door, allow, rules] of doors) {
  test(`opening ${door} opens that and nothing else`, { skip: skip || notRoot }, () => {
    const lines = run(buildProbe('under-filter'), allow, buildProbe('syscalls'));
    const open = reached(attempts(lines));
    const meant = calls.filter(({ rule }) => (rules as readonly string[]).includes(rule));
    assert.ok(meant.length > 0);
    // A kernel older than a call says ENOSYS, as the filter would have.
    const here = meant.filter(
      ({ numbers, rule }) => rule !== 'MOUNT_API' || (numbers[0] ?? 0) < 450,
    );
    for (const { name, numbers } of here) {
      if ((numbers[x86 ? 0 : 2] ?? -1) >= 0) assert.ok(open.has(name), `${name} is not open`);
    }
    const names = new Set(meant.map(({ name }) => name));
    assert.deepEqual(
      [...open].filter((name) => !names.has(name)),
      [],
    );
  });
}

test('the probe finds calls that nobody refuses', { skip: skip || notRoot }, (t) => {
  // Outside of any filter, as a user without rights: else "reached 0" could mean a broken probe.
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-probe-'));
  t.after(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o755);
  const probe = path.join(directory, 'syscalls');
  copyFileSync(buildProbe('syscalls'), probe);
  const nobody = { uid: 65534, gid: 65534, cwd: '/' };
  const text = execFileSync(probe, { encoding: 'utf8', ...nobody });
  const open = reached(attempts(text.trimEnd().split('\n')));
  for (const name of ['ptrace', 'add_key', 'unshare', 'clone', 'personality', 'fsconfig']) {
    assert.ok(open.has(name), `${name} was not reached without a filter`);
  }
  assert.ok(open.size > 30, `${open.size} calls reached`);
});
