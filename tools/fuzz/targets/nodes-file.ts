// The client's nodes file: read with or without the YAML library it means the same, and what is wrong
// with it is said with its name.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import {
  chooseEntry,
  parseAddress,
  readNodesFile,
  resolveNode,
} from '../../../src/client/nodes-file.ts';
import { parsePlainYaml } from '../../../src/client/plain-yaml.ts';
import { orRefused, orRefusedLater, target } from '../target.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-nodes-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const file = path.join(directory, 'rnx-config.yml');

const pem = '-----BEGIN CERTIFICATE-----\n      MIIB+/=\n      -----END CERTIFICATE-----\n';
const node = `    address: "127.0.0.1:50051"\n    nodeId: 8f94c5b2-1234-4678-9abc-def012345678\n    cert: |\n      ${pem}    key: |\n      ${pem}    ca: |\n      ${pem}`;

export default target({
  seeds: [
    `# made by joblet\nversion: "3.0"\n\nnodes:\n  default:\n${node}`,
    `nodes:\n  a:\n${node}    isDefault: true\n  b:\n${node}`,
    `default_node: b\nnodes:\n  a: {address: x, cert: y}\n  b: [1]\n`,
    'nodes: &x\n  a: *x\n',
    '[::1]:50051',
  ],
  words: [
    'nodes:',
    'default:',
    'isDefault: true',
    'default_node: ',
    ': |\n',
    '\n  ',
    '\n    ',
    '__proto__',
    'constructor',
    '"',
    '- ',
    '{',
    '[',
    '&a ',
    '*a',
    '<<: ',
    '!!',
    '%YAML',
    '---\n',
    'null',
    '.inf',
    '0x1f',
  ],
  async run(input) {
    const text = input.toString();
    const plain = parsePlainYaml(text);
    if (plain !== undefined) assert.deepEqual(plain, parse(text, { logLevel: 'error' }));
    const address = orRefused(() => parseAddress(text, 'x'), 'invalid');
    if (address !== undefined) {
      assert.ok(address.host !== '' && address.port >= 1 && address.port <= 65_535);
    }
    writeFileSync(file, input);
    const found = await orRefusedLater(() => readNodesFile(file), 'invalid');
    if (found === undefined) return;
    assert.ok(found.nodes.length > 0);
    for (const { name } of found.nodes) {
      assert.equal(chooseEntry(found, name === '' ? undefined : name) === undefined, false);
    }
    await orRefusedLater(() => resolveNode({ config: file }, {}), 'invalid', 'not-found');
  },
});
