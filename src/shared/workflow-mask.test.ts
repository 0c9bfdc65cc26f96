import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWorkflow } from './workflow-file.ts';
import { maskSecrets } from './workflow-mask.ts';

test('the shown text is the text without the values of secrets', () => {
  const text = `# a comment
environment:
  PLAIN: seen
  API_TOKEN: hidden-1   # why
secret_environment: {A: hidden-2, B: 'hidden-3'}
jobs:
  a:
    command: echo
    secret_environment:
      KEY: |
        hidden-4
        hidden-5
      EMPTY:
    environment: {X_PASSWORD: "hidden-6", Y: seen}
`;
  const shown = maskSecrets(text);
  assert.doesNotMatch(shown, /hidden/);
  assert.match(shown, /# a comment/);
  assert.match(shown, /PLAIN: seen/);
  assert.match(shown, /API_TOKEN: "\*{3}" {3}# why/);
  const { jobs } = parseWorkflow(shown, 'w.yaml');
  assert.deepEqual(Object.values(jobs[0]?.secretEnvironment ?? {}).toSorted(), [
    '',
    ...Array.from({ length: 5 }, () => '***'),
  ]);
});
