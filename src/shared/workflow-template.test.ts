import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { expand, isSecretName, resolve, type Variable } from './workflow-template.ts';

const MAX = 1000;
const put = (text: string, values: Readonly<Record<string, string | null>>) =>
  expand(text, (name) => values[name], MAX);

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are what is tested
const cases: readonly (readonly [text: string, result: string])[] = [
  ['${A}', 'one'],
  ['<${A}|${B}>', '<one|${A}>'],
  ['${NOBODY}', '${NOBODY}'],
  ['${NOBODY:-else}', 'else'],
  ['${EMPTY:-else}', 'else'],
  ['${EMPTY}', ''],
  ['${A:-else}', 'one'],
  ['${NOBODY:-}', ''],
  ['$${A}', '${A}'],
  ['$A $$ ${1} ${A B} ${', '$A $$ ${1} ${A B} ${'],
  ['${HIDDEN} ${HIDDEN:-x}', '${HIDDEN} ${HIDDEN:-x}'],
  ["'${A}'", "'one'"],
];

for (const [text, result] of cases) {
  test(`${text} becomes ${result}`, () => {
    assert.equal(put(text, { A: 'one', B: '${A}', EMPTY: '', HIDDEN: null }), result);
  });
}

test('what is put in is never gone through again, and an argument stays one argument', () => {
  const part = fc.oneof(
    fc.string().filter((text) => !text.includes('$')),
    fc.constantFrom('${A}', '${B}'),
  );
  fc.assert(
    fc.property(fc.array(part), fc.string(), fc.string(), (parts, a, b) => {
      const expected = parts.map((one) => (one === '${A}' ? a : one === '${B}' ? b : one)).join('');
      const expanded = expand(parts.join(''), (name) => ({ A: a, B: b })[name], 1_000_000);
      assert.equal(expanded, expected);
    }),
  );
});

test('a text that grows past its bound is given up', () => {
  assert.equal(
    expand('${A}'.repeat(1000), () => 'x'.repeat(1000), 5000),
    undefined,
  );
});

const own = (texts: Readonly<Record<string, string>>) =>
  new Map(
    Object.entries(texts).map(([name, text]) => [name, { text, isSecret: isSecretName(name) }]),
  );

const texts = (variables: ReadonlyMap<string, Variable>) =>
  Object.fromEntries([...variables].map(([name, { text }]) => [name, text]));

test('variables refer to each other in any order', () => {
  const forwards = { BASE: '/data', OUT: '${BASE}/out', LOG: '${OUT}/log' };
  const backwards = Object.fromEntries(Object.entries(forwards).reverse());
  for (const written of [forwards, backwards]) {
    const { variables, circles } = resolve(own(written), new Map(), MAX);
    assert.deepEqual(texts(variables), { BASE: '/data', OUT: '/data/out', LOG: '/data/out/log' });
    assert.deepEqual(circles, []);
  }
});

test('inner variables lie over outer ones, and a name in its own value is the outer one', () => {
  const outer = own({ PLACE: 'outer', KEPT: 'kept' });
  const { variables } = resolve(own({ PLACE: '${PLACE}/inner', ALSO: '${PLACE}' }), outer, MAX);
  assert.deepEqual(texts(variables), { PLACE: 'outer/inner', KEPT: 'kept', ALSO: 'outer/inner' });
});

test('what holds a secret is a secret', () => {
  const { variables } = resolve(
    own({ DB_PASSWORD: 'x', URL: 'db:${DB_PASSWORD}', NEXT: '${URL}' }),
    new Map(),
    MAX,
  );
  assert.deepEqual(
    [...variables].filter(([, { isSecret }]) => isSecret).map(([name]) => name),
    ['DB_PASSWORD', 'URL', 'NEXT'],
  );
});

test('a circle is named', () => {
  const { circles } = resolve(own({ A: '${B}', B: '${C}', C: '${A}' }), new Map(), MAX);
  assert.deepEqual(circles, [['A', 'B', 'C', 'A']]);
});

test('values that double each other come to their bound at once', () => {
  const written = Object.fromEntries(
    Array.from({ length: 100 }, (_, at) => [
      `V${at}`,
      at === 0 ? 'xxxx' : `\${V${at - 1}}`.repeat(2),
    ]),
  );
  const { tooLong } = resolve(own(written), new Map(), MAX);
  assert.ok(tooLong.length > 0);
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are what is tested
