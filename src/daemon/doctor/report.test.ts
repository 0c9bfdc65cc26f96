import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatJson, formatText, judge, type Line } from './report.ts';

function line(given: Partial<Line>): Line {
  return {
    group: 'Kernel',
    name: 'version',
    needed: 'jobs',
    state: 'ok',
    found: 'Linux 6.12',
    means: 'Jobs are made with calls that older kernels lack.',
    remedy: 'Boot a newer kernel.',
    ...given,
  };
}

test('only what every job needs decides whether a host is sound', () => {
  const feature = { feature: 'networks' };
  assert.equal(judge([line({}), line({ needed: feature, state: 'missing' })]).sound, true);
  assert.equal(judge([line({ needed: 'speed', state: 'missing' })]).sound, true);
  assert.equal(judge([line({ state: 'limited' })]).sound, true);
  assert.equal(judge([line({ state: 'missing' })]).sound, false);
  assert.equal(judge([line({ state: 'unknown' })]).sound, false);
});

test('features that cannot be had are named in the last line, once; those of later versions are not', () => {
  const networks = line({ needed: { feature: 'networks' }, state: 'missing' });
  const gpus = line({ needed: { later: 'GPUs' }, state: 'missing' });
  const memory = line({ needed: { feature: 'volumes' }, state: 'limited' });
  const { sound, sentence } = judge([line({}), networks, networks, gpus, memory]);
  assert.equal(sound, true);
  assert.equal(
    sentence,
    'Jobs can run here with everything that is promised. Not to be had: networks.',
  );
  assert.match(formatText('a', [gpus], 60, false), /needed for: GPUs \(a later version\)/);
});

test('what is wanting says what that means and what to do; what is not says neither', () => {
  const text = formatText('a', [line({}), line({ name: 'swap', state: 'missing' })], 60, false);
  assert.equal(
    text,
    `joblet doctor: a

Kernel
  ok       version: Linux 6.12
  missing  swap: Linux 6.12
           - needed for: all jobs
           - it means: Jobs are made with calls that older
             kernels lack.
           - what to do: Boot a newer kernel.

Something that is promised cannot be kept here: swap.
`,
  );
});

test('what only root can find out is not called missing', () => {
  const text = formatText('a', [line({ state: 'unknown' })], 60, false);
  assert.doesNotMatch(text, /it means/);
  assert.match(text, /Run joblet doctor as\nroot\.\n$/);
});

test('colours and columns are for a terminal', () => {
  const lines = [line({ state: 'limited', found: 'word '.repeat(60).trim() })];
  assert.ok(formatText('a', lines, 72, true).includes('\u001b[33mlimited\u001b[0m'));
  for (const each of formatText('a', lines, 72, false).split('\n'))
    assert.ok(each.length <= 72, each);
});

test('JSON has every check, with its state', () => {
  const json = JSON.parse(formatJson('a', [line({}), line({ state: 'limited' })]));
  assert.equal(json.sound, true);
  assert.deepEqual(
    json.checks.map(({ state, means }: { state: string; means?: string }) => [
      state,
      means !== undefined,
    ]),
    [
      ['ok', false],
      ['limited', true],
    ],
  );
});
