import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { networkEnvironment, parsePip, writeHostConfig } from './host-config.ts';

test('of pip’s configuration a build is told where packages are, and nothing else', () => {
  const text = [
    '# a comment',
    '[global]',
    'index-url = https://index.example/simple',
    'extra-index-url =',
    '    https://one.example',
    '    https://two.example',
    'cache-dir = /root/cache',
    '[install]',
    'trusted_host: index.example',
    '[freeze]',
    'timeout = 1',
  ].join('\n');
  assert.deepEqual(parsePip(text), [
    ['index-url', 'https://index.example/simple'],
    ['extra-index-url', ' https://one.example https://two.example'],
    ['trusted-host', 'index.example'],
  ]);
});

test('what a user and the environment say of registries goes before the host’s', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'joblet-host-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(path.join(folder, '.config/pip'), { recursive: true });
  writeFileSync(path.join(folder, '.config/pip/pip.conf'), '[global]\nindex-url = https://user\n');
  writeFileSync(
    path.join(folder, '.npmrc'),
    '@a:registry=https://a.example\n//a.example/:_authToken=t\nprefix=/opt\n',
  );
  const env = { HOME: folder, PIP_TIMEOUT: '7', npm_config_registry: 'https://npm.example' };
  await writeHostConfig(path.join(folder, 'input'), { kind: 'none' }, [], env);
  const read = (name: string) => readFileSync(path.join(folder, 'input/host', name), 'utf8');
  assert.match(read('pip.conf'), /^index-url = https:\/\/user$/m);
  assert.match(read('pip.conf'), /^timeout = 7$/m);
  assert.match(read('npmrc'), /^@a:registry=https:\/\/a\.example\n\/\/a\.example\/:_authToken=t$/m);
  assert.match(read('npmrc'), /^registry=https:\/\/npm\.example$/m);
  assert.doesNotMatch(read('npmrc'), /prefix/);
});

test('a build goes through the host’s proxy', () => {
  const env = networkEnvironment({ HTTPS_PROXY: 'http://proxy:1', no_proxy: 'localhost' });
  assert.equal(env['https_proxy'], 'http://proxy:1');
  assert.equal(env['no_proxy'], 'localhost');
  assert.equal(env['http_proxy'], undefined);
});
