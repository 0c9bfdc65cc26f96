// The file by which a job says values: what is written is read, and whatever else stands there is
// refused at once.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parseOutputs, readOutputFile } from './output-file.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'outputs-'));
});

after(() => rmSync(folder, { recursive: true, force: true }));

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);
const line = fc
  .string({
    unit: fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      fc.constantFrom('\u2028', '\u2029', '\u0085'),
    ),
  })
  .map((text) => text.replace(/[\0\r\n]/g, ''));
const value = fc.oneof(
  line,
  fc.array(line, { minLength: 2 }).map((lines) => lines.join('\n')),
);

/** As a job would write it. */
function written(outputs: ReadonlyMap<string, string>): string {
  return [...outputs]
    .map(([word, text]) =>
      text.includes('\n') ? `${word}<<E-N-D\n${text}\nE-N-D\n` : `${word}=${text}\n`,
    )
    .join('');
}

test('what a job says is read back, whatever it is', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
      const outputs = new Map(pairs.filter(([, text]) => !text.split('\n').includes('E-N-D')));
      const reading = parseOutputs(Buffer.from(written(outputs)), [...outputs.keys()]);
      assert.deepEqual(reading, { outputs: Object.fromEntries(outputs) });
    }),
  );
});

test('any bytes are outputs that were declared, or a sentence', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const reading = parseOutputs(bytes, ['a']);
      if ('problem' in reading) assert.match(reading.problem, /^(its|line)/);
      else
        assert.deepEqual(
          Object.keys(reading.outputs).filter((word) => word !== 'a'),
          [],
        );
    }),
  );
});

const wrong: readonly (readonly [text: string, why: RegExp])[] = [
  ['a=1\nb=2\n', /^line 2 of its outputs says b, which is none of its outputs/],
  ['a\n', /line 1 of its outputs is neither NAME=VALUE nor NAME<<WORD/],
  ['a<<END\nx\n', /begins a, which has no end/],
  ['a<<\n', /has no end/],
  ['a=\0', /hold a NUL/],
];

for (const [text, why] of wrong) {
  test(`${JSON.stringify(text)} is refused`, () => {
    const reading = parseOutputs(Buffer.from(text), ['a']);
    assert.match('problem' in reading ? reading.problem : '', why);
  });
}

test('whatever a job puts into the place of its file is not followed, waited for or read without bound', () => {
  const at = (word: string) => path.join(folder, word);
  writeFileSync(at('fine'), 'a=1\n');
  assert.deepEqual(readOutputFile(at('fine'), ['a']), { outputs: { a: '1' } });
  assert.deepEqual(readOutputFile(at('none'), ['a']), { outputs: {} });
  symlinkSync(at('fine'), at('link'));
  execFileSync('mkfifo', [at('pipe')]);
  mkdirSync(at('folder'));
  writeFileSync(at('big'), '');
  truncateSync(at('big'), 2 ** 40);
  for (const word of ['link', 'pipe', 'folder', 'big']) {
    assert.ok('problem' in readOutputFile(at(word), ['a']), word);
  }
});
