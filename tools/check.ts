// What can be said about the code without running the product.

import path from 'node:path';
import { NODE_FLAGS, ROOT, step } from './steps.ts';

const npx = (...args: string[]) => ['npx', '--no-install', ...args];

/** Cheap ones first. */
export const staticChecks: readonly (readonly [string, readonly string[]])[] = [
  ['types', npx('tsc')],
  ['style', npx('biome', 'ci', '--colors=off', '--error-on-warnings')],
  ['dead code', npx('knip')],
  ['rules of the API', npx('buf', 'lint')],
  ['changes of the API', npx('buf', 'breaking', '--against', 'proto/baseline.binpb')],
];

/** Runs all of them, also after one failed. The exit code is 0 when none did. */
async function runChecks(): Promise<number> {
  let failed = 0;
  for (const [name, command] of staticChecks) failed += await step(name, command);
  return failed === 0 ? 0 : 1;
}

const SANITIZED = {
  JOBLET_LAUNCH: path.join(ROOT, 'native/build/joblet-launch-asan'),
} as const;

/** Tests that drive the launcher by itself. */
const LAUNCHER_TESTS = [
  'test/launcher.test.ts',
  'test/launched-job.test.ts',
  'test/keeper.test.ts',
  'test/launcher-failures.test.ts',
  'test/standby.test.ts',
];

/** `./dev check`: the static checks, the rules of the house, and the launcher under sanitizers. */
export async function check(): Promise<number> {
  const test = [process.execPath, ...NODE_FLAGS, '--test'];
  const codes = [
    await runChecks(),
    await step('rules of the house', [...test, 'test/tidy.test.ts']),
    (await step('build with sanitizers', ['make', '-s', '-C', 'native', 'asan'])) ||
      (await step('launcher under sanitizers', [...test, ...LAUNCHER_TESTS], SANITIZED)),
  ];
  return codes.every((code) => code === 0) ? 0 : 1;
}
