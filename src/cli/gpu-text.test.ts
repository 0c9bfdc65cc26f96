import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { NodeGpusSchema } from '../gen/joblet/monitoring_pb.ts';
import { gpuLines, gpuTable, nothingText } from './gpu-text.ts';
import { fakeOutput } from './output-fake.ts';

const MB = 1024n ** 2n;
const { gpus } = create(NodeGpusSchema, {
  gpus: [
    {
      jobUuid: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
      metrics: {
        index: 0,
        uuid: 'GPU-1\u001b[31m',
        name: 'NVIDIA H100 80GB HBM3',
        utilization: 100,
        memoryUsed: 2577n * MB,
        memoryTotal: 81_559n * MB,
        memoryPercent: 3.16,
        temperature: 52,
        powerDraw: 326.4,
        powerLimit: 700,
        throttleReasons: 0x24n,
      },
    },
    { metrics: { index: 1, name: 'NVIDIA A100' }, problem: 'it is split (MIG)' },
    { metrics: { index: 2, name: 'NVIDIA A100' } },
  ],
});

test('GPUs are a line each: what they do, and which job has them, or why none can', () => {
  const text = gpuTable(gpus, { out: fakeOutput({}) });
  assert.match(text, /^GPU {2}NAME +MEMORY +USE +TEMP +POWER +JOB\n-+\n/);
  assert.match(
    text,
    /^0 +NVIDIA H100 80GB HBM3 +2\.52 GB of 79\.65 GB +100% +52 C +326 of 700 W +f47ac10b-/m,
  );
  assert.match(text, /^1 .*none can have it: it is split/m);
  assert.match(text, /^2 .* free$/m);
});

test('a block of a GPU says why it is held back, and no name moves the cursor', () => {
  const text = gpuLines(gpus);
  assert.match(text, /^GPU 0: NVIDIA H100 80GB HBM3\n {2}UUID: GPU-1\\x1b\[31m\n {2}Job: f47ac10b/);
  assert.match(text, /Throttled: power limit, heat\n/);
  assert.ok(!text.includes('undefined') && !text.includes('\u001b'));
});

test('where there is no GPU, it is said why', () => {
  const none = create(NodeGpusSchema, { problem: 'gpu.enabled is false' });
  assert.equal(nothingText(none), 'Jobs of this node can have no GPU: gpu.enabled is false\n');
});
