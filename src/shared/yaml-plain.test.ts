// What is read in one pass against the YAML library: where there is an answer, the library says the same,
// with the same places, and finds nothing wrong.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { maskSecrets } from './workflow-mask.ts';
import { parsePlainYaml } from './yaml-plain.ts';
import { type Part, type Path, parseAnyYamlText, parseYamlText } from './yaml-text.ts';

/** Pieces of which YAML is made, and that mean something else in another place. */
const pieces = fc.constantFrom(
  ...['a', 'b: ', 'key:', 'c-d: 1', 'x y', '"q"', "'s'", '"q\\n\\"', "it''s", '-c', '- ', '-', ' '],
  ...['  ', '    ', '\n', '\n', '\n  ', '\n    ', '\n  - ', '\n- ', '[', ']', '{', '}', ', ', ','],
  ...[':', ': ', '#', ' # c', '|', '|-', ': |\n', '>', '&x', '*x', '!t', '?', '? ', '%', '@', '~'],
  ...[
    '<<: ',
    '---',
    '...',
    '\t',
    '\\',
    '$',
    '$(A)',
    'http://x',
    'ä',
    '1.10',
    '__proto__: ',
    '<',
    '=',
  ],
);
const soups = fc.array(pieces, { maxLength: 25 }).map((parts) => parts.join(''));

const words = fc.constantFrom(
  'a',
  'b',
  'c.d',
  'e-f',
  'g_1',
  '7',
  'environment',
  'secret_environment',
  'A_KEY',
);
const texts = fc.oneof(
  words,
  fc.constantFrom(
    'two words',
    'a:b',
    '-x',
    '"a, b: #c"',
    "'it''s'",
    '"a\\tb"',
    'x # c',
    '1.10',
    'a,b [c]',
  ),
);

interface Tree {
  readonly text?: string;
  readonly items?: readonly Tree[];
  readonly pairs?: readonly (readonly [string, Tree])[];
  readonly isFlow?: boolean;
}

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    texts.map((text): Tree => ({ text })),
    fc.record({ items: fc.array(tie('tree'), { maxLength: 3 }), isFlow: fc.boolean() }),
    fc.record({
      pairs: fc.uniqueArray(fc.tuple(words, tie('tree')), {
        maxLength: 3,
        selector: ([key]) => key,
      }),
      isFlow: fc.boolean(),
    }),
  ),
}));

function flow({ text, items, pairs }: Tree): string {
  if (text !== undefined) return text.replace(/^([^"'].*[,[\]#].*)$/, '"$1"');
  if (items !== undefined) return `[${items.map(flow).join(', ')}]`;
  return `{${(pairs ?? []).map(([key, value]) => `${key}: ${flow(value)}`).join(', ')}}`;
}

/** As lines below something that stands `indent` spaces in. */
function block(node: Tree, indent: number): string {
  const { text, items = [], pairs = [], isFlow } = node;
  const inside = indent + 2;
  const start = `\n${' '.repeat(inside)}`;
  if (text?.includes('words')) return ` |-${start}${text}${start}# no comment\n`;
  if (text !== undefined) return ` ${text}`;
  if (isFlow === true || items.length + pairs.length === 0) return ` ${flow(node)}`;
  const lines = [
    ...items.map((item) => `-${block(item, inside)}`),
    ...pairs.map(([key, value]) => `${key}:${block(value, inside)}`),
  ];
  return lines.map((line) => start + line).join('');
}

const documents = fc
  .uniqueArray(fc.tuple(words, tree), { minLength: 1, maxLength: 4, selector: ([key]) => key })
  .map((pairs) => `${pairs.map(([key, value]) => `${key}:${block(value, 0)}`).join('\n')}\n`);

/** A document with a few of its characters changed. */
const broken = fc
  .tuple(documents, fc.array(fc.tuple(fc.nat(300), fc.nat(3), pieces), { maxLength: 3 }))
  .map(([text, edits]) =>
    edits.reduce((now, [at, length, piece]) => {
      const place = at % (now.length + 1);
      return now.slice(0, place) + piece + now.slice(place + length);
    }, text),
  );

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  const entries: (readonly [PropertyKey, unknown])[] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return [at, ...entries.flatMap(([word, inside]) => pathsOf(inside, [...at, word]))];
}

/** Whether there is an answer; it is the library's. */
function isSame(text: string): boolean {
  if (parsePlainYaml(text) === undefined) return false;
  const fast = parseYamlText(text, 'f', 'as written');
  const slow = parseAnyYamlText(text, 'f', 'as written');
  assert.deepEqual(fast.root, slow.root);
  assert.deepEqual(slow.repeated, []);
  for (const at of pathsOf(slow.root)) {
    for (const part of ['key', 'value'] satisfies Part[]) {
      assert.equal(fast.placeOf(at, part), slow.placeOf(at, part), `${at.map(String)} ${part}`);
      assert.equal(fast.placeOf([...at, 'no'], part), slow.placeOf([...at, 'no'], part));
    }
  }
  return true;
}

test('what is read in one pass is what the YAML library reads, at the same places', (t) => {
  let same = 0;
  for (const [texts, numRuns] of [
    [documents, 300],
    [broken, 500],
    [soups, 300],
  ] as const) {
    fc.assert(
      fc.property(texts, (text) => {
        same += Number(isSame(text));
      }),
      { numRuns },
    );
  }
  t.diagnostic(`${same} texts were plain`);
  assert.ok(same > 250);
});

test('the secrets of a plain text are masked as the YAML library finds them', () => {
  // A tab is not plain.
  const behind = '#\t\n';
  fc.assert(
    fc.property(fc.oneof(documents, broken), (text) => {
      if (parsePlainYaml(text) === undefined) return;
      assert.equal(`${maskSecrets(text)}\n${behind}`, maskSecrets(`${text}\n${behind}`));
    }),
    { numRuns: 200 },
  );
});

test('the examples are plain, nearly all of them', () => {
  const folder = path.join(import.meta.dirname, '../../examples/workflows');
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  const plain = names.filter((name) => isSame(readFileSync(path.join(folder, name), 'utf8')));
  assert.ok(plain.length >= names.length - 2, `${plain}`);
});
