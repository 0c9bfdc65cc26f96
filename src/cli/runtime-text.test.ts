import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RuntimeInfo, TestRuntimeResponse } from '../client/runtime-messages.ts';
import { decode, encode, type Input } from '../client/wire.ts';
import { runtimeTable, runtimeText, sizeWord, testedText } from './runtime-text.ts';

const MB = 1024 ** 2;

function runtime(fields: Input<typeof RuntimeInfo>) {
  return decode(RuntimeInfo, encode(RuntimeInfo, { type: 'system', available: true, ...fields }));
}

function tested(fields: Input<typeof TestRuntimeResponse>) {
  return decode(TestRuntimeResponse, encode(TestRuntimeResponse, fields));
}

const row = (name: string, version: string, sizeMb: number, description: string) =>
  runtime({ name, version, sizeBytes: BigInt(sizeMb * MB), description });

test('S0-20 S0-21 the list of runtimes is a table with a total', () => {
  const runtimes = [
    row('python-3.11-ml', '3.11', 475, 'Python 3.11 with ML packages for AI development'),
    row('python-3.11', '3.11', 200, 'Lightweight Python for general development'),
    row('openjdk-21', '21.0', 371, 'OpenJDK 21 LTS for enterprise applications'),
    row('graalvmjdk-21', '21.0', 490, 'GraalVM JDK 21 with native-image and polyglot'),
  ];
  assert.equal(
    runtimeTable({ runtimes, diskBytes: 0n }, false),
    `RUNTIME         VERSION  TYPE    SIZE     DESCRIPTION
-------         -------  ----    ----     -----------
python-3.11-ml  3.11     system  475MB    Python 3.11 with ML packages for AI development
python-3.11     3.11     system  200MB    Lightweight Python for general development
openjdk-21      21.0     system  371MB    OpenJDK 21 LTS for enterprise applications
graalvmjdk-21   21.0     system  490MB    GraalVM JDK 21 with native-image and polyglot

Total runtimes: 4
`,
  );
});

test('a wide list says what each has for itself, and what all have on the disk', () => {
  const shared = { name: 'a', version: '1', sizeBytes: BigInt(2000 * MB) };
  const runtimes = [
    runtime({ ...shared, uniqueBytes: BigInt(1.5 * MB) }),
    runtime({ ...shared, name: 'b', problem: 'it is for arm64', uniqueBytes: 0n }),
  ];
  assert.equal(
    runtimeTable({ runtimes, diskBytes: BigInt(2500 * MB) }, true),
    `RUNTIME  VERSION  TYPE    SIZE     OWN    DESCRIPTION
-------  -------  ----    ----     ---    -----------
a        1        system  2GB      1.5MB
b        1        system  2GB      0B     (unusable: it is for arm64)

Total runtimes: 2
On disk: 2.4GB (1.5GB are shared)
`,
  );
});

test('S0-14 S0-22 a runtime is told with its requirements and packages', () => {
  const text = runtimeText(
    runtime({
      name: 'python-3.11-ml',
      version: '3.11',
      description: 'Completely isolated Python 3.11 with ML packages',
      requirements: {
        minMemoryBytes: BigInt(512 * MB),
        recommendedMemoryBytes: BigInt(2048 * MB),
        architectures: ['x86_64', 'amd64'],
      },
      packages: ['numpy>=1.24.3,<2.0', 'pandas>=2.0.3,<2.1'],
      environment: { PYTHONPATH: '/x' },
    }),
    false,
  );
  assert.equal(
    text,
    `Runtime: python-3.11-ml
Type: system
Version: 3.11
Description: Completely isolated Python 3.11 with ML packages

Requirements:
  Minimum Memory: 512MB
  Recommended Memory: 2GB
  Architectures: x86_64, amd64

Pre-installed Packages:
  - numpy>=1.24.3,<2.0
  - pandas>=2.0.3,<2.1

Usage:
  rnx job run --runtime=python-3.11-ml <command>
`,
  );
});

test('S0-24 a passed test says so, and how to go on', () => {
  const passed = tested({ success: true, output: 'Runtime resolution successful' });
  assert.equal(
    testedText('python-3.11-ml', 'python', passed),
    `Testing runtime: python-3.11-ml
✓ Runtime test passed
Output: Runtime resolution successful

To test the runtime in a job:
  rnx job run --runtime=python-3.11-ml python --version
`,
  );
});

test('a failed test says which it was, and why', () => {
  const failed = tested({
    error: 'numbers: it ended with 3',
    exitCode: 3,
    tests: [
      { name: 'imports', passed: true, durationMs: 12n },
      { name: 'numbers', problem: 'it ended with 3' },
    ],
  });
  assert.equal(
    testedText('x', '', failed),
    `Testing runtime: x
✗ Runtime test failed
  ✓ imports (12 ms)
  ✗ numbers: it ended with 3
Error: numbers: it ended with 3
Exit code: 3
`,
  );
});

test('a size is one short word', () => {
  const words = [0, 999, 1536, 10 * MB, 475 * MB, 1023.6 * MB, 1.9 * 1024 * MB].map(sizeWord);
  assert.deepEqual(words, ['0B', '999B', '1.5KB', '10MB', '475MB', '1GB', '1.9GB']);
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.ok(sizeWord(bytes).length <= 7)));
});
