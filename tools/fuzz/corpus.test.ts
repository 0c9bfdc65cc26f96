// What fuzzing once found stays found: every target on all its seeds, on the inputs that broke it, and
// on a few changes of them. `./dev fuzz` goes on from there.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../steps.ts';
import { FOUND, inputsIn } from './inputs.ts';
import { execute } from './loop.ts';
import { Chance, mutate } from './mutate.ts';
import { nativeTargets } from './native.ts';
import { MAX_BYTES } from './target.ts';
import { targets } from './targets.ts';

/** Changed inputs for each target, beside those that are known. */
const CHANGED = 100;

/** Of readers that need a server or a disk. */
const CHANGED_SLOWLY = 10;
const slow: readonly string[] = [
  'config',
  'fetched-files',
  'grpc',
  'log-segments',
  'pack',
  'uploads',
];

for (const [name, { load }] of Object.entries(targets)) {
  test(`${name}: every input that is known does no harm, nor do small changes of it`, async (t) => {
    const target = (await load()).default;
    t.after(() => target.close?.());
    const known = [
      ...target.seeds.map((seed) => Buffer.from(seed as string)),
      ...inputsIn(`${FOUND}/${name}`),
    ];
    const { words = [], maxBytes = MAX_BYTES } = target;
    const chance = new Chance(1);
    const material = { chance, words, corpus: known, maxBytes };
    const count = slow.includes(name) ? CHANGED_SLOWLY : CHANGED;
    const changed = Array.from({ length: count }, () => mutate(chance.one(known), material));
    for (const input of [...known, ...changed]) {
      const finding = await execute(target, input);
      assert.equal(finding?.error, undefined, `input ${input.toString('base64')}`);
    }
  });
}

test('inputs that were found belong to a target', () => {
  const names = readdirSync(path.join(ROOT, FOUND));
  assert.deepEqual(
    names.filter((name) => !Object.hasOwn(targets, name)),
    [],
  );
});

test('the C program reads every input that is known under sanitizers, and no promise is broken', () => {
  const build = spawnSync('make', ['-s', '-j2', '-C', 'native', 'replay'], { cwd: ROOT });
  assert.equal(build.status, 0, String(build.stderr));
  assert.ok(nativeTargets.length > 0);
  for (const name of nativeTargets.map((each) => path.basename(each))) {
    const inputs = globSync(`native/fuzz/corpus/${name}/*`, { cwd: ROOT });
    assert.ok(inputs.length > 0, name);
    const { status, stderr } = spawnSync(`native/build/replay/${name}`, inputs, { cwd: ROOT });
    assert.equal(status, 0, String(stderr));
  }
});
