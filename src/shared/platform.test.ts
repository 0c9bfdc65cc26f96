import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meansPlatform, platformOf, platforms } from './platform.ts';

test('S0-47 each architecture has its folder of libraries and its dynamic linker', () => {
  assert.equal(platformOf('x64')?.libraries, 'x86_64-linux-gnu');
  assert.equal(platformOf('x64')?.linker, '/lib64/ld-linux-x86-64.so.2');
  assert.equal(platformOf('arm64')?.libraries, 'aarch64-linux-gnu');
  assert.equal(platformOf('arm64')?.linker, '/lib/ld-linux-aarch64.so.1');
  assert.equal(platformOf('s390x'), undefined);
});

test('S0-46 a platform is meant by any of its names, whatever distribution they begin with', () => {
  const { x64, arm64 } = platforms;
  for (const word of [
    'linux/amd64',
    'amd64',
    'x86_64',
    'ubuntu-amd64',
    'rhel-amd64',
    'amzn/amd64',
  ]) {
    assert.ok(meansPlatform(word, x64), word);
    assert.ok(!meansPlatform(word, arm64), word);
  }
  for (const word of ['linux/arm64', 'aarch64', 'ubuntu-arm64', 'amzn-arm64']) {
    assert.ok(meansPlatform(word, arm64), word);
  }
  for (const word of ['windows/amd64', 'linux/arm', '', '/', 'amd64/linux']) {
    assert.ok(!meansPlatform(word, x64) && !meansPlatform(word, arm64), word);
  }
});
