// What can be said about the code without running it, as part of the tests: one report, one summary.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { staticChecks } from '../tools/check.ts';
import { ROOT } from '../tools/steps.ts';

for (const [name, [program = '', ...args]] of staticChecks) {
  test(`${name}: ${args.slice(1).join(' ')} finds nothing`, async () => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const [code] = (await closed) as [number | null];
    assert.equal(code, 0, `${out}${err}`);
  });
}
