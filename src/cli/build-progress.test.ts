import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuildProgress, barOf } from './build-progress.ts';
import { fakeOutput } from './output-fake.ts';
import type { Session } from './session.ts';

const phase = {
  phaseNumber: 7,
  totalPhases: 14,
  phaseName: 'Install base packages',
  message: '23 packages',
};

test('the bar of a build says which phase it is and how many there are', () => {
  assert.equal(barOf(phase), '[########            ]  7/14 Install base packages: 23 packages');
});

test('a build is a bar on a terminal, with what it has to say above', async () => {
  const err = fakeOutput({ terminal: true, columns: 40 });
  const progress = new BuildProgress({ json: false, err } as unknown as Session);
  await progress.phase(phase);
  await progress.line({ level: 'warn', message: 'careful\u001b[2J', timestamp: 0n });
  await progress.end();
  const bar = '[########            ]  7/14 Install ba';
  assert.equal(
    err.text(),
    `\r\u001b[K${bar}\r\u001b[K  warning: careful\\x1b[2J\n${bar}\r\u001b[K`,
  );
});

test('a build is lines for everybody else, and silent for JSON', async () => {
  const err = fakeOutput({ terminal: false });
  await new BuildProgress({ json: false, err } as unknown as Session).phase(phase);
  await new BuildProgress({ json: true, err } as unknown as Session).phase(phase);
  assert.equal(err.text(), ' 7/14 Install base packages: 23 packages\n');
});
