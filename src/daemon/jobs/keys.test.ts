import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity, Job, JobKey } from './job.ts';
import { type Keyed, Keys } from './keys.ts';

const ann: Identity = { name: 'ann', role: 'developer', certificate: '', peer: '' };
const bob: Identity = { ...ann, name: 'bob' };

const key = (text: string, digests: JobKey['digests'] = { command: 'a' }): JobKey => ({
  text,
  digests,
});

/** Keys of jobs that are recorded when they have been made. */
function keeper() {
  const kept = new Map<string, Keyed>();
  let made = 0;
  const keys = new Keys((owner, text) => kept.get(`${owner} ${text}`));
  const once = (who: Identity, wanted: JobKey, fails = false) =>
    keys.once(wanted, who, async () => {
      await Promise.resolve();
      if (fails) throw new Error('the disk is full');
      made += 1;
      const id = `job ${made}`;
      kept.set(`${who.name} ${wanted.text}`, { id, digests: wanted.digests });
      return { id } as Job;
    });
  return { once, kept, made: () => made };
}

test('asked for again, also at the same time, a job is the one that exists', async () => {
  const { once, made } = keeper();
  const answers = await Promise.all([
    once(ann, key('k')),
    once(ann, key('k')),
    once(ann, key('k')),
  ]);
  answers.push(await once(ann, key('k')));
  assert.deepEqual(
    answers,
    [true, false, false, false].map((isNew) => ({ id: 'job 1', isNew })),
  );
  assert.equal(made(), 1);
});

test('a key is its caller’s own', async () => {
  const { once } = keeper();
  assert.equal((await once(ann, key('k'))).id, 'job 1');
  assert.equal((await once(bob, key('k'))).id, 'job 2');
});

test('another wish under the same key is refused, and what differs is named', async () => {
  const { once, made } = keeper();
  const first = once(ann, key('k', { command: 'a', args: 'b' }));
  const error = /key "k" belongs to job job 1, .* other values of args, max_cpu; take another key/;
  await assert.rejects(once(ann, key('k', { command: 'a', max_cpu: 'c' })), error);
  await first;
  await assert.rejects(once(ann, key('k', { command: 'a', max_cpu: 'c' })), error);
  assert.equal(made(), 1);
});

test('a key is free when its job could not be made, and when it has been deleted', async () => {
  const { once, kept } = keeper();
  await assert.rejects(once(ann, key('k'), true), /disk is full/);
  assert.equal((await once(ann, key('k'))).id, 'job 1');
  kept.clear();
  assert.equal((await once(ann, key('k', { command: 'other' }))).id, 'job 2');
});
