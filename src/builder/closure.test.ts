import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { platforms } from '../shared/platform.ts';
import { Closure } from './closure.ts';
import { type ElfWish, makeElf } from './elf-samples.ts';

let tree: string;

beforeEach(() => {
  tree = mkdtempSync(path.join(tmpdir(), 'joblet-closure-'));
});
afterEach(() => rmSync(tree, { recursive: true }));

function put(target: string, content: Partial<ElfWish> | string): void {
  const file = path.join(tree, target);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : makeElf({ bits: 64, ...content }));
}

function missing(...ignored: readonly string[]): string[] {
  return new Closure(tree, platforms.x64, ignored)
    .missing()
    .map(({ target, library }) => `${target} needs ${library}`);
}

test('S0-57 S1-11 what a program needs and the tree lacks is named with both', () => {
  put('/usr/bin/tool', { interpreter: '/lib64/ld.so', needed: ['libone.so.1', 'libtwo.so.2'] });
  put('/usr/lib/x86_64-linux-gnu/libone.so.1', { needed: ['libthree.so'] });
  assert.deepEqual(missing(), [
    '/usr/bin/tool needs /lib64/ld.so',
    '/usr/bin/tool needs libtwo.so.2',
    '/usr/lib/x86_64-linux-gnu/libone.so.1 needs libthree.so',
  ]);
  assert.deepEqual(missing('libt*', 'ld.so'), ['/usr/bin/tool needs /lib64/ld.so']);
});

test('libraries are found by the tree’s links, configuration and search paths, and beside', () => {
  put('/usr/lib64/ld.so', {});
  symlinkSync('usr/lib64', path.join(tree, 'lib64'));
  put('/usr/bin/tool', {
    interpreter: '/lib64/ld.so',
    needed: ['libconf.so', 'liborigin.so', 'libabsolute.so'],
    runpath: '$ORIGIN/../own:/opt/link',
  });
  put('/etc/ld.so.conf', 'include /etc/ld.so.conf.d/*.conf\n');
  put('/etc/ld.so.conf.d/a.conf', '# a comment\n/srv/configured\n');
  put('/srv/configured/libconf.so', {});
  put('/usr/own/liborigin.so', {});
  put('/opt/real/libabsolute.so', {});
  symlinkSync('/opt/real', path.join(tree, 'opt/link'));
  put('/usr/lib/jvm/lib/libjava.so', { needed: ['libjvm.so'] });
  put('/usr/lib/jvm/lib/server/libjvm.so', {});
  assert.deepEqual(missing(), []);
});

test('a library of another width does not count, nor does one that a link leads out for', () => {
  put('/usr/bin/tool', { needed: ['libnarrow.so', 'libout.so'] });
  put('/usr/lib/libnarrow.so', { bits: 32 });
  symlinkSync('../../../../../../../../usr/lib/os-release', path.join(tree, 'usr/lib/libout.so'));
  symlinkSync('loop', path.join(tree, 'usr/lib/loop'));
  assert.deepEqual(missing(), [
    '/usr/bin/tool needs libnarrow.so',
    '/usr/bin/tool needs libout.so',
  ]);
});
