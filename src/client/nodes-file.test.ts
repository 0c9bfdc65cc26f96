import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os, { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../shared/errors.ts';
import {
  chooseEntry,
  parseAddress,
  readNodesFile,
  resolveNode,
  searchPaths,
  toNodesFile,
} from './nodes-file.ts';

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const complete = { address: 'host.example:50052', nodeId: 'n1', cert: pem, key: pem, ca: pem };

/** Runs in a directory of its own. */
async function inDirectory(
  files: Readonly<Record<string, string>>,
  body: () => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'rnx-'));
  const before = process.cwd();
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
      writeFileSync(path.join(directory, name), text);
    }
    process.chdir(directory);
    await body();
  } finally {
    process.chdir(before);
    rmSync(directory, { recursive: true });
  }
}

/** JSON is YAML, and needs the YAML library to be read. */
function yamlOf(nodes: object, more: object = {}): string {
  return JSON.stringify({ version: '3.0', nodes, ...more });
}

function block(text: string): string {
  return `|\n${text.trimEnd().replace(/^/gm, '      ')}\n`;
}

const plain = `version: "3.0"
nodes:
  default:
    address: "host.example:50052"
    nodeId: n1
    cert: ${block(pem)}    key: ${block(pem)}    ca: ${block(pem)}`;

test('what is odd in a nodes file is not quoted on the terminal', async (t) => {
  const warn = t.mock.method(process, 'emitWarning', () => {});
  await inDirectory({ 'x.yml': `!odd\n? [a]\n: b\n${plain}` }, async () => {
    const { nodes } = await readNodesFile('x.yml');
    assert.equal(nodes.length, 1);
  });
  assert.equal(warn.mock.callCount(), 0);
});

test('a node is read from its file, with the certificates as they stand there', async () => {
  await inDirectory({ 'rnx-config.yml': plain }, async () => {
    assert.deepEqual(await resolveNode({}, {}), {
      name: 'default',
      host: 'host.example',
      port: 50_052,
      nodeId: 'n1',
      cert: pem,
      key: pem,
      ca: pem,
      source: "node 'default' in rnx-config.yml",
    });
  });
});

test('nodes files are found in their order, and a named one comes first', async () => {
  assert.match(
    searchPaths().join(' '),
    /^rnx-config\.yml config.rnx-config\.yml .*\.rnx.*\/etc.*\/opt/,
  );
  const named = (name: string) => yamlOf({ [name]: complete });
  const files = {
    'rnx-config.yml': named('here'),
    'config/rnx-config.yml': named('below'),
    'flag.yml': named('flag'),
    'env.yml': named('env'),
  };
  await inDirectory(files, async () => {
    const nameBy = async (choice: object, env: Record<string, string>) =>
      (await resolveNode(choice, env)).name;
    assert.equal(await nameBy({}, {}), 'here');
    assert.equal(await nameBy({}, { RNX_CONFIG: 'env.yml' }), 'env');
    assert.equal(await nameBy({ config: 'flag.yml' }, { RNX_CONFIG: 'env.yml' }), 'flag');
    rmSync('rnx-config.yml');
    assert.equal(await nameBy({}, {}), 'below');
  });
});

test('without any file the way to one is shown', async () => {
  await inDirectory({}, async () => {
    await assert.rejects(resolveNode({}, {}, ['rnx-config.yml', 'b.yml']), {
      kind: 'not-found',
      message:
        /failed to load client configuration: .* \(looked for rnx-config\.yml, b\.yml\).*rnx config-help/,
    });
  });
});

test('a file that was named but is not there is not passed over', async () => {
  await inDirectory({ 'rnx-config.yml': plain }, async () => {
    const message = /failed to load client configuration from nope\.yml/;
    await assert.rejects(resolveNode({ config: 'nope.yml' }, {}), { kind: 'not-found', message });
    await assert.rejects(resolveNode({}, { RNX_CONFIG: 'nope.yml' }), { message });
  });
});

test('the node is the one asked for, the marked one, default_node, `default`, or the only one', () => {
  const choose = (nodes: object, wanted?: string, more: object = {}) =>
    chooseEntry(toNodesFile({ nodes, ...more }, 'f.yml'), wanted).name;
  assert.equal(choose({ a: complete, b: complete }, 'b'), 'b');
  assert.equal(choose({ a: complete, b: { ...complete, isDefault: true } }), 'b');
  assert.equal(choose({ a: complete, b: complete }, undefined, { default_node: 'b' }), 'b');
  assert.equal(choose({ a: complete, default: complete }), 'default');
  assert.equal(choose({ a: complete }), 'a');
  assert.equal(choose({ a: complete }, 'default'), 'a');
  assert.throws(() => choose({ a: complete, b: complete }), /several nodes .* a, b/);
  assert.throws(() => choose({ a: complete, b: complete }, 'c'), {
    kind: 'not-found',
    message: "node 'c' is not in f.yml; it has a, b",
  });
});

test('RNX_NODE chooses the node, --node wins over it', async () => {
  const file = yamlOf({ a: complete, b: complete });
  await inDirectory({ 'rnx-config.yml': file }, async () => {
    assert.equal((await resolveNode({}, { RNX_NODE: 'b' })).name, 'b');
    assert.equal((await resolveNode({ node: 'a' }, { RNX_NODE: 'b' })).name, 'a');
  });
});

test('an incomplete node is refused by the name of what it lacks', async () => {
  for (const field of ['address', 'cert', 'key', 'ca']) {
    const file = yamlOf({ default: { ...complete, [field]: '' } });
    await inDirectory({ 'rnx-config.yml': file }, async () => {
      await assert.rejects(resolveNode({}, {}), {
        kind: 'invalid',
        message: new RegExp(`rnx-config.yml: node 'default' has no ${field}`),
      });
    });
  }
});

test('a path where PEM text belongs is named', async () => {
  const file = yamlOf({ default: { ...complete, key: '/etc/key.pem' } });
  await inDirectory({ 'rnx-config.yml': file }, async () => {
    await assert.rejects(resolveNode({}, {}), /the key of node 'default' is not PEM text/);
  });
});

test('a file that is no nodes file is refused by name', async () => {
  for (const text of ['[]', 'nodes: {}', 'nodes: [a]', 'a: b: c', 'nodes:\n  a: 1', '']) {
    await inDirectory({ 'x.yml': text }, async () => {
      await assert.rejects(readNodesFile('x.yml'), { kind: 'invalid', message: /^x\.yml: / }, text);
    });
  }
});

test('a file we may not read is told apart from one that is not there', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may read every file');
  await inDirectory({ 'x.yml': plain }, async () => {
    chmodSync('x.yml', 0);
    await assert.rejects(readNodesFile('x.yml'), { kind: 'denied' });
  });
});

const certs = {
  'certs/client-cert.pem': pem,
  'certs/client-key.pem': pem,
  'certs/ca-cert.pem': pem,
};

test('S4-36 address and certificate files can be named by flags, with their old defaults', async () => {
  await inDirectory({ ...certs, 'admin.pem': `${pem}admin\n` }, async () => {
    const node = await resolveNode({ server: 'prod.example.com:50051', cert: 'admin.pem' }, {});
    assert.deepEqual(
      [node.host, node.port, node.name],
      ['prod.example.com', 50_051, 'prod.example.com:50051'],
    );
    assert.match(node.cert, /admin/);
    const defaults = await resolveNode({ ca: 'certs/ca-cert.pem' }, {});
    assert.deepEqual([defaults.host, defaults.port], ['localhost', 50_051]);
  });
});

test('S4-36 the certs folder is used when there is no nodes file', async () => {
  await inDirectory(certs, async () => {
    assert.equal((await resolveNode({}, {}, ['rnx-config.yml'])).host, 'localhost');
  });
});

test('S4-41 address and certificate files can be named by the environment, flags win', async () => {
  await inDirectory({ ...certs, 'x.pem': `${pem}x\n`, 'rnx-config.yml': plain }, async () => {
    const env = {
      JOBLET_SERVER: 'env.example:1',
      JOBLET_CERT_PATH: 'x.pem',
      JOBLET_KEY_PATH: 'x.pem',
      JOBLET_CA_PATH: 'x.pem',
    };
    const node = await resolveNode({}, env);
    assert.deepEqual([node.host, node.port], ['env.example', 1]);
    assert.match(`${node.cert}${node.key}${node.ca}`, /x\n.*x\n.*x\n/s);
    assert.equal((await resolveNode({ server: 'flag.example' }, env)).host, 'flag.example');
    assert.equal((await resolveNode({ node: 'default' }, env)).host, 'host.example');
  });
});

test('a certificate file that is missing is named with the flag that names another', async () => {
  await inDirectory({}, async () => {
    await assert.rejects(resolveNode({ server: 'a' }, {}), {
      kind: 'not-found',
      message: /--cert: .*client-cert\.pem.*JOBLET_CERT_PATH/,
    });
  });
});

test('a node cannot be chosen in both ways at once', async () => {
  await assert.rejects(resolveNode({ server: 'a', node: 'b' }, {}), { kind: 'invalid' });
});

test('addresses are host, host:port or [v6]:port', () => {
  assert.deepEqual(parseAddress('a.b', 'x'), { host: 'a.b', port: 50_051 });
  assert.deepEqual(parseAddress('a.b:7', 'x'), { host: 'a.b', port: 7 });
  assert.deepEqual(parseAddress('[::1]:7', 'x'), { host: '::1', port: 7 });
  for (const text of ['', ':1', 'a:0', 'a:65536', 'a:b', '::1', 'http://a', 'a b', '[x]:1']) {
    assert.throws(() => parseAddress(text, '--server'), {
      kind: 'invalid',
      message: /^--server: /,
    });
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const { host, port } = parseAddress(text, 'x');
        assert.ok(host !== '' && port > 0 && port < 65_536);
      } catch (error) {
        assert.ok(error instanceof JobletError);
      }
    }),
  );
});

test('any document is a nodes file or refused as invalid', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.record({ nodes: fc.anything() })), (value) => {
      try {
        assert.ok(toNodesFile(value, 'f').nodes.length > 0);
      } catch (error) {
        assert.ok(error instanceof JobletError && error.kind === 'invalid');
      }
    }),
  );
});

test('a user without a home, as in a container, still has the other places', (t) => {
  t.mock.method(os, 'homedir', () => {
    throw new Error('uv_os_homedir returned ENOENT');
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const paths = searchPaths();
  assert.equal(paths.length, 4);
  assert.equal(paths[0], 'rnx-config.yml');
});
