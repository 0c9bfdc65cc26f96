import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { parsePlainYaml } from './plain-yaml.ts';

const pem = ['-----BEGIN CERTIFICATE-----', 'MIIB+/=', '-----END CERTIFICATE-----'];

const sample = `# made by joblet
version: "3.0"

nodes:
  default:
    address: "127.0.0.1:50051"
    nodeId: 8f94c5b2-1234-4678-9abc-def012345678
    isDefault: true
    cert: |
      ${pem.join('\n      ')}
    key: |
      ${pem.join('\n      ')}

    # the CA of all nodes
    ca: |
      ${pem.join('\n      ')}
  far-away:
    address: host.example.org:50051
    cert: |
      x
`;

test('a nodes file is read, and means what it means to a YAML library', () => {
  const value = parsePlainYaml(sample);
  assert.ok(value !== undefined);
  assert.deepEqual(value, parse(sample));
});

test('anything fancier is left to the library', () => {
  for (const text of [
    '',
    'a: [1, 2]',
    'a: {b: c}',
    'a: 3.0',
    'a: 12',
    'a: ~',
    'a: null',
    'a: yes\n  no',
    'a: "x\\n"',
    "a: 'it''s'",
    'a: b # comment',
    'a: &x b',
    'a: >\n  folded',
    'a: |-\n  strip',
    'a: b: c',
    'a: foo:',
    '- a',
    'a: b\na: c',
    'a: b\n c: d',
    'a:\tb',
    'a: b\r\n',
    '---\na: b',
    'a:',
    '? a',
  ]) {
    assert.equal(parsePlainYaml(text), undefined, text);
  }
});

test('whatever is read here means the same to a YAML library', () => {
  const words = fc.constantFrom(
    'a',
    'nodes',
    'key',
    ':',
    ': ',
    '|',
    ' |',
    '\n',
    '\n  ',
    '\n    ',
    '"',
    "'",
    '#',
    ' #',
    '-',
    '- ',
    'true',
    'null',
    '12',
    '1e3',
    '0x1f',
    '127.0.0.1:50051',
    'x.y',
    '\\',
    '{',
    '[',
    '&',
    '*',
    '!',
    '%',
    '>',
    '@',
    '`',
    ',',
    '\n\n',
    ' ',
    '~',
    '.inf',
    '__proto__',
    'a: b\n',
    'a:\n  b: c\n',
    'k: |\n  x\n',
  );
  let understood = 0;
  fc.assert(
    fc.property(fc.array(words, { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      const value = parsePlainYaml(text);
      if (value === undefined) return;
      understood++;
      assert.deepEqual(value, parse(text), JSON.stringify(text));
    }),
    { numRuns: 20_000 },
  );
  assert.ok(understood > 100, `only ${understood} texts were understood`);
});

test('every file of the plain form is understood', () => {
  const name = fc
    .stringMatching(/^[a-z][a-z0-9-]{0,10}$/)
    .filter((text) => !/^(null|true|false)$/.test(text));
  const block = fc.array(fc.stringMatching(/^[!-~]{1,64}$/), { minLength: 1, maxLength: 4 });
  const node = fc.record({ address: name, cert: block });
  fc.assert(
    fc.property(fc.dictionary(name, node, { minKeys: 1, maxKeys: 3 }), (nodes) => {
      const text = Object.entries(nodes)
        .map(
          ([key, one]) =>
            `  ${key}:\n    address: "${one.address}"\n    cert: |\n      ${one.cert.join('\n      ')}\n`,
        )
        .join('');
      const value = parsePlainYaml(`nodes:\n${text}`);
      assert.deepEqual(value, parse(`nodes:\n${text}`));
      assert.ok(value !== undefined);
    }),
  );
});
