import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentCard } from '../linux/nvidia-smi.ts';
import { type Found, Gpus } from './gpus.ts';
import { GpuPool } from './pool.ts';

const quiet = { warn() {}, info() {} };
const GB = 1024 ** 3;

function gpusWith(more: Partial<Found>): Gpus {
  const two = [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, memoryBytes: GB, group: 0 }));
  return new Gpus(
    {
      isEnabled: true,
      pool: new GpuPool(two, 'first-fit'),
      equipment: undefined,
      smi: undefined,
      numbers: new Map(two.map(({ uuid, index }) => [uuid, index])),
      capabilities: new Map(),
      xids: undefined,
      ...more,
    },
    quiet,
  );
}

test('who asks for GPUs that are not there hears why, and who asks for none is never refused', () => {
  const wish = (count: number, gb = 0) => ({ count, memoryBytes: gb * GB });
  gpusWith({}).check(wish(2, 1));
  assert.throws(() => gpusWith({}).check(wish(3)), {
    kind: 'exhausted',
    message: 'gpu_count: asks for 3 GPUs, and this node has 2; rnx gpu list shows them',
  });
  assert.throws(() => gpusWith({}).check(wish(1, 2)), { message: /has 2, 0 of them so big/ });
  const none = new GpuPool([], 'first-fit', 'nvidia-smi is not there');
  assert.throws(() => gpusWith({ pool: none }).check(wish(1)), {
    kind: 'wrong-state',
    message: 'jobs of this node can have no GPU: nvidia-smi is not there',
  });
  const off = gpusWith({ isEnabled: false });
  assert.throws(() => off.check(wish(1)), { kind: 'wrong-state', message: /gpu\.enabled: true/ });
  off.check(undefined);
});

test('where there is nobody to ask, there are no GPUs, and nothing is known of them', async () => {
  const gpus = gpusWith({});
  assert.deepEqual(await gpus.list(), []);
  assert.equal(await gpus.usageOf([{ index: 0, uuid: 'GPU-0' }], 0, () => []), undefined);
});

test('one look at the GPUs is for all jobs that are sampled then', async () => {
  const answers: (() => void)[] = [];
  const smi = {
    cards: async () => {
      await new Promise<void>((resolve) => answers.push(resolve));
      return ['GPU-0', 'GPU-1'].map(silentCard);
    },
  };
  const gpus = gpusWith({ smi });
  const samples = [0, 1].map((index) =>
    gpus.usageOf([{ index, uuid: `GPU-${index}` }], 0, () => []),
  );
  assert.equal(answers.length, 1);
  answers[0]?.();
  const uuids = (await Promise.all(samples)).map((usages) => usages?.map(({ uuid }) => uuid));
  assert.deepEqual(uuids, [['GPU-0'], ['GPU-1']]);
});

test('a card that falls off keeps its number and its job, moves no other, and is given to nobody', async () => {
  const names = ['GPU-1', 'GPU-9'];
  const smi = { cards: async () => names.map(silentCard) };
  const gpus = gpusWith({ smi });
  gpus.pool.take('job', { count: 1, memoryBytes: 0 });
  const listed = (await gpus.list()).map(({ usage, jobId, problem }) => [
    usage.index,
    usage.uuid,
    jobId,
    problem.split(/[ ;]/, 4).join(' '),
  ]);
  assert.deepEqual(listed, [
    [0, 'GPU-0', 'job', 'nvidia-smi does not name'],
    [1, 'GPU-1', '', ''],
    [2, 'GPU-9', '', 'it was not there'],
  ]);
  gpus.pool.release('job');
  const both = { count: 2, memoryBytes: 0 };
  assert.match(gpus.pool.shortage(both) ?? '', /needs 2 GPUs, and 1 of 2 are free/);
  gpus.pool.take('next', { count: 1, memoryBytes: 0 });
  assert.deepEqual(gpus.pool.of('next'), [{ index: 1, uuid: 'GPU-1' }]);
  gpus.pool.release('next');
  names.push('GPU-0');
  gpus.pool.see(names);
  assert.equal(gpus.pool.shortage(both), undefined);
});

test('a job that was given a card which is gone gets none, rather than fewer than it asked for', () => {
  const card = (index: number) => ({
    uuid: `GPU-${index}`,
    bus: `0000:00:0${index}.0`,
    minor: index,
    node: 0,
    information: '',
    binding: undefined,
  });
  const gpus = gpusWith({
    equipment: {
      driver: { version: '1', params: '', versionText: '', major: 1, uvmMajor: 1 },
      files: { libraries: [], links: [], programs: [] },
      cards: [card(0)],
      cuda: [],
    },
  });
  const both = [0, 1].map((index) => ({ index, uuid: `GPU-${index}` }));
  gpus.pool.retake('job', both);
  assert.deepEqual([gpus.partOf('job', true), gpus.problem], [undefined, '']);
});
