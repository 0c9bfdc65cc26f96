import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { JobletError } from '../../shared/errors.ts';
import { Catalogue, refOf } from './catalogue.ts';
import { Uses } from './uses.ts';

const home = mkdtempSync(path.join(tmpdir(), 'joblet-catalogue-'));
after(() => rmSync(home, { recursive: true }));

let directory: string;
let catalogue: Catalogue;

beforeEach(() => {
  directory = mkdtempSync(path.join(home, 'runtimes-'));
  catalogue = new Catalogue(directory);
});

function unpack(place: string, name: string, version: string, more = ''): string {
  const folder = path.join(directory, place);
  mkdirSync(path.join(folder, 'isolated/usr/bin'), { recursive: true });
  writeFileSync(
    path.join(folder, 'runtime.yml'),
    `name: "${name}"\nversion: "${version}"\n${more}`,
  );
  return folder;
}

function refs(): string[] {
  return catalogue.list().map(refOf);
}

function refusalOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof JobletError, String(error));
    return `${error.kind}: ${error.message}`;
  }
  return '';
}

test('S0-40 S0-51 S0-26 flat, nested and versioned layouts are found side by side', () => {
  unpack('openjdk-21', 'openjdk-21', '21.0');
  unpack('python/python-3.12-custom', 'python-3.12-custom', '3.12.0');
  unpack('python-3.11-ml/1.2.0', 'python-3.11-ml', '1.2.0');
  unpack('python-3.11-ml/1.10.0', 'python-3.11-ml', '3.11');
  unpack('java/openjdk-17/17.0.9', 'openjdk-17', '17.0.9');
  assert.deepEqual(refs(), [
    'openjdk-17@17.0.9',
    'openjdk-21@21.0',
    'python-3.11-ml@1.10.0',
    'python-3.11-ml@1.2.0',
    'python-3.12-custom@3.12.0',
  ]);
  assert.equal(refOf(catalogue.get('python:3.11-ml')), 'python-3.11-ml@1.10.0');
  assert.equal(refOf(catalogue.get('java:17')), 'openjdk-17@17.0.9');
});

test('S0-26 what is unpacked, changed, renamed or removed counts at once', () => {
  assert.deepEqual(refs(), []);
  const flat = unpack('a', 'a', '1.0');
  assert.deepEqual(refs(), ['a@1.0']);
  unpack('a', 'a', '1.1');
  assert.deepEqual(refs(), ['a@1.1']);
  unpack('a/2.0', 'a', '2.0');
  assert.deepEqual(refs(), ['a@2.0', 'a@1.1']);
  mkdirSync(path.join(directory, 'later'));
  assert.deepEqual(refs(), ['a@2.0', 'a@1.1']);
  unpack('later', 'later', '1');
  renameSync(path.join(flat, '2.0'), path.join(flat, '3.0'));
  assert.deepEqual(refs(), ['a@3.0', 'a@1.1', 'later@1']);
  rmSync(flat, { recursive: true });
  assert.deepEqual(refs(), ['later@1']);
  rmSync(directory, { recursive: true });
  assert.deepEqual(refs(), []);
});

test('a link to another folder is another name for it, unless that lies elsewhere', () => {
  unpack('blue', 'python-3.11', '1.0.0');
  unpack('green', 'python-3.11', '2.0.0');
  symlinkSync('blue', path.join(directory, 'python-3.11'));
  assert.equal(refOf(catalogue.get('python-3.11')), 'python-3.11@1.0.0');
  rmSync(path.join(directory, 'python-3.11'));
  symlinkSync('green', path.join(directory, 'python-3.11'));
  assert.equal(refOf(catalogue.get('python-3.11')), 'python-3.11@2.0.0');

  const elsewhere = mkdtempSync(path.join(home, 'elsewhere-'));
  writeFileSync(path.join(elsewhere, 'runtime.yml'), 'name: evil\nversion: "1"\n');
  symlinkSync(elsewhere, path.join(directory, 'evil'));
  assert.equal(catalogue.find('evil'), undefined);
});

test('of several versions the one that is linked as current is the latest', () => {
  unpack('a/1.0.0', 'a', '1.0.0');
  unpack('a/2.0.0', 'a', '2.0.0');
  assert.equal(catalogue.get('a').version, '2.0.0');
  symlinkSync('1.0.0', path.join(directory, 'a/current'));
  assert.equal(catalogue.get('a').version, '1.0.0');
  assert.deepEqual(refs(), ['a@2.0.0', 'a@1.0.0']);
});

test('what is unfinished, hidden or part of a tree is no runtime', () => {
  unpack('.staging/a', 'a', '1');
  unpack('b', 'b', '1');
  unpack('b/isolated/c', 'c', '1');
  mkdirSync(path.join(directory, 'b/isolated/deep/d'), { recursive: true });
  symlinkSync('.staging/a', path.join(directory, 'a'));
  assert.deepEqual(refs(), ['b@1']);
});

test('S0-56 an unknown name is not found, and the right one suggested', () => {
  unpack('python-3.11-ml', 'python-3.11-ml', '3.11');
  assert.equal(
    refusalOf(() => catalogue.get('python-3.11ml')),
    'not-found: runtime not found: python-3.11ml (did you mean python-3.11-ml?)',
  );
  assert.equal(
    refusalOf(() => catalogue.get('python-3.11-ml@4')),
    'not-found: runtime not found: python-3.11-ml@4 (installed versions of python-3.11-ml: 3.11)',
  );
  assert.match(
    refusalOf(() => catalogue.get('perl')),
    /^not-found: runtime not found: perl \(`rnx/,
  );
  assert.match(
    refusalOf(() => catalogue.get('name@../x')),
    /^invalid: runtime: "name@..\/x" must/,
  );
});

test('a runtime that cannot be used is listed, with the reason', () => {
  unpack('broken', '../x', '1');
  unpack('foreign', 'foreign', '1', 'requirements: {architectures: [sparc]}\n');
  assert.match(
    refusalOf(() => catalogue.getUsable('broken')),
    /^wrong-state: runtime broken@ cannot be used: .*runtime.yml:1:7: name: must start/,
  );
  assert.match(
    refusalOf(() => catalogue.getUsable('foreign')),
    /it is for sparc, and this host is/,
  );
  assert.equal(catalogue.list().length, 2);
});

test('a tree is free when its last job has ended, also when it was renamed meanwhile', async () => {
  const uses = new Uses();
  const folder = unpack('a/1.0', 'a', '1.0');
  const runtime = catalogue.get('a');
  uses.hold('job-1', runtime);
  uses.hold('job-2', runtime);
  renameSync(folder, path.join(directory, 'a/1.0-old'));
  const moved = catalogue.list()[0];
  assert.ok(moved !== undefined);
  assert.deepEqual(uses.usersOf(moved), ['job-1', 'job-2']);
  let isFree = false;
  const free = uses.whenFree(moved).then(() => {
    isFree = true;
  });
  uses.release('job-1');
  uses.release('job-1');
  await Promise.resolve();
  assert.equal(isFree, false);
  uses.release('job-2');
  await free;
  assert.deepEqual(uses.usersOf(moved), []);
  await uses.whenFree(moved);
});
