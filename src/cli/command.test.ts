import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../shared/errors.ts';
import { type Flag, type Flags, parseArgv } from './command.ts';

const flags = {
  wait: { kind: 'switch', help: '' },
  follow: { kind: 'switch', short: 'f', on: true, help: '' },
  name: { kind: 'text', value: 'NAME', help: '' },
  env: { kind: 'list', short: 'e', value: 'NAME=VALUE', help: '' },
  'max-cpu': { kind: 'integer', value: 'PERCENT', help: '' },
  timeout: { kind: 'ms', value: 'TIME', help: '' },
  'work-size': { kind: 'bytes', value: 'SIZE', help: '' },
  registry: { kind: 'text', value: '[ADDRESS]', bare: '', help: '' },
} as const satisfies Flags;

function parse(argv: readonly string[], until: 'end' | 'first-word' = 'end') {
  const { values, words, problem } = parseArgv(argv, flags, until);
  if (problem !== undefined) throw problem;
  return { values, words };
}

test('a value stands behind the flag or behind an equals sign', () => {
  for (const argv of [['--name', 'x=y'], ['--name=x=y']]) {
    assert.equal(parse(argv).values['name'], 'x=y');
  }
  for (const argv of [
    ['-e', 'A=1', '--env=B='],
    ['--env', 'A=1', '-e=B='],
  ]) {
    assert.deepEqual(parse(argv).values['env'], ['A=1', 'B=']);
  }
});

test('what is not said has its default', () => {
  const { values } = parse([]);
  assert.deepEqual(values, {
    wait: false,
    follow: true,
    name: undefined,
    env: [],
    'max-cpu': undefined,
    timeout: undefined,
    'work-size': undefined,
    registry: undefined,
  });
});

test('a flag that means something without a value has none at the end and before another flag', () => {
  for (const argv of [['--registry'], ['--registry', '--wait'], ['--registry=']]) {
    assert.equal(parse(argv).values['registry'], '');
  }
  assert.equal(parse(['--registry', '/packs']).values['registry'], '/packs');
});

test('an empty value is refused, whatever the flag, unless it means something without one', () => {
  for (const [name, { kind, value, bare }] of Object.entries<Flag>(flags)) {
    if (kind === 'switch' || bare !== undefined) continue;
    const message = `--${name} is empty: give --${name}=${value}, or leave it out`;
    assert.throws(() => parse([`--${name}=`]), { kind: 'invalid', message });
    assert.throws(() => parse([`--${name}`, '']), { kind: 'invalid', message });
  }
});

test('a switch takes no word, but may be set behind an equals sign', () => {
  const { values, words } = parse(['--wait', 'true', '--follow=false']);
  assert.deepEqual([values['wait'], values['follow'], words], [true, false, ['true']]);
  assert.throws(() => parse(['--wait=yes']), /--wait=true or --wait=false/);
});

test('numbers, times and sizes are checked, and the flag is named', () => {
  const { values } = parse(['--max-cpu=50', '--timeout', '1m30s', '--work-size=1GB']);
  assert.deepEqual(
    [values['max-cpu'], values['timeout'], values['work-size']],
    [50, 90_000, 2 ** 30],
  );
  for (const text of ['x', '-1', '1.5', '1e3', '0x10', '99999999999', ' 5']) {
    assert.throws(() => parse([`--max-cpu=${text}`]), /^JobletError: --max-cpu: /, text);
  }
  assert.throws(
    () => parse(['--timeout=soon']),
    /^JobletError: --timeout: "soon" is not a duration/,
  );
  assert.throws(() => parse(['--work-size=big']), /^JobletError: --work-size: /);
});

test('an unknown flag is named, also one of a single dash', () => {
  assert.throws(() => parse(['--nope=1']), /unknown flag: --nope;/);
  assert.throws(() => parse(['--cpu=50']), /unknown flag: --cpu; did you mean --max-cpu\?/);
  assert.throws(() => parse(['-x']), /unknown flag: -x;/);
  assert.throws(() => parse(['-undefined', 'x']), /unknown flag: -undefined;/);
  assert.throws(() => parse(['--__proto__']), /unknown flag: --__proto__;/);
});

test('a flag without its value says how to write it', () => {
  assert.throws(() => parse(['--name']), /--name needs a value: --name=NAME/);
});

test('everything behind the first word is left alone where it belongs to somebody else', () => {
  const { values, words } = parse(['--wait', 'grep', '--name', '-e', '--', '--help'], 'first-word');
  assert.equal(values['wait'], true);
  assert.deepEqual(words, ['grep', '--name', '-e', '--', '--help']);
});

test('-- ends the flags and is not a word itself', () => {
  assert.deepEqual(parse(['--wait', '--', '--name', '--'], 'first-word').words, ['--name', '--']);
  assert.deepEqual(parse(['a', '--', '-x']).words, ['a', '-x']);
});

test('flags and words mix where all of them are ours', () => {
  const { values, words } = parse(['a', '--name=x', 'b', '-', '-f']);
  assert.deepEqual([values['name'], values['follow'], words], ['x', true, ['a', 'b', '-']]);
});

test("a command's own arguments arrive as they are, whatever they look like", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (args) => {
      assert.deepEqual(parse(['--wait', 'cmd', ...args], 'first-word').words, ['cmd', ...args]);
      assert.deepEqual(parse(['--', ...args], 'first-word').words, args);
    }),
  );
});

test('any line is either read or refused as invalid', () => {
  const token = fc.oneof(
    fc.string(),
    fc.constantFrom('--name', '-e', '--max-cpu=', '--wait', '--', '-'),
  );
  fc.assert(
    fc.property(fc.array(token), (argv) => {
      const { problem } = parseArgv(argv, flags, 'end');
      assert.ok(
        problem === undefined || (problem instanceof JobletError && problem.kind === 'invalid'),
      );
    }),
  );
});
