import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeniedNames } from './denied-names.ts';

const HOUR_MS = 3_600_000;

function world(answers: Record<string, string[] | undefined>) {
  const asked: string[] = [];
  const changed: string[] = [];
  const clock = { ms: 0 };
  const names = new DeniedNames({
    async lookUp(name) {
      asked.push(name);
      return answers[name]?.map((address) => ({ address, ttlSeconds: 60 }));
    },
    changed: (name) => changed.push(name),
    now: () => clock.ms,
  });
  return { names, asked, changed, clock, answers };
}

test('what a denied name stands for is asked for once, for all who deny it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { names, asked } = world({ 'a.example': ['192.0.2.1', '2001:db8::1'], 'no.example': [] });
  assert.deepEqual(await names.hold('one', ['a.example', 'no.example']), []);
  assert.deepEqual(await names.hold('two', ['a.example']), []);
  assert.deepEqual(names.find('a.example'), ['192.0.2.1', '2001:db8::1']);
  assert.deepEqual(names.find('no.example'), []);
  assert.deepEqual(asked, ['a.example', 'no.example']);
  names.release('one');
  assert.deepEqual([names.find('no.example'), names.find('a.example')?.length], [undefined, 2]);
});

test('a denied name that nobody answers for is not known, and asked for again until it is', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { names, answers, changed } = world({});
  assert.deepEqual(await names.hold('one', ['a.example']), ['a.example']);
  answers['a.example'] = ['192.0.2.1'];
  t.mock.timers.tick(5_000);
  await names.hold('two', []);
  assert.deepEqual(names.find('a.example'), ['192.0.2.1']);
  assert.deepEqual(changed, ['a.example']);
});

test('a denied name is asked for again when its answer runs out, and told addresses stay for an hour', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { names, answers, changed, clock } = world({ 'a.example': ['192.0.2.1'] });
  await names.hold('one', ['a.example']);
  answers['a.example'] = ['192.0.2.2'];
  clock.ms = 60_000;
  t.mock.timers.tick(60_000);
  await names.hold('two', ['a.example']);
  assert.deepEqual(names.find('a.example'), ['192.0.2.1', '192.0.2.2']);
  // One that somebody else was told counts as well.
  names.saw('a.example', [{ address: '192.0.2.3', ttlSeconds: 1 }]);
  assert.equal(changed.length, 3);
  clock.ms = HOUR_MS;
  answers['a.example'] = undefined;
  names.saw('a.example', [{ address: '192.0.2.2', ttlSeconds: 1 }]);
  assert.deepEqual(names.find('a.example'), ['192.0.2.3', '192.0.2.2']);
  assert.equal(changed.length, 3);
});

test('of a denied name so many addresses are known at most', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const many = Array.from({ length: 300 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
  const { names } = world({ 'a.example': many });
  await names.hold('one', ['a.example']);
  assert.deepEqual(names.find('a.example'), many.slice(-256));
});
