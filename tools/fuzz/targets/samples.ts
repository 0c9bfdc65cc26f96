// What is kept of a job's use: a line that is believed has whole numbers wherever they are counted with,
// whatever a disk or an archive made of it.

import assert from 'node:assert/strict';
import { toGpuMetrics } from '../../../src/daemon/rpc/gpu-view.ts';
import { without } from '../../../src/daemon/telemetry/base.ts';
import { type Line, parseLine, readLines } from '../../../src/daemon/telemetry/sample-file.ts';
import { firstUsage, lastUsage } from '../../../src/daemon/telemetry/series.ts';
import { collect, target } from '../target.ts';

const { cpu, memory, ...rest } = firstUsage(1795694748738);
const device = {
  readBytes: 4096,
  writeBytes: 0,
  readOps: 1,
  writeOps: 0,
  discardBytes: 0,
  discardOps: 0,
};
const some = [0.5, 0, 100];
const traffic = { rxBytes: 1, rxPackets: 2, txBytes: 3, txPackets: 4 };
const base = {
  cpu,
  memory: { faults: 7, majorFaults: 1 },
  devices: { '8:0': device },
  limitHits: 2,
};
const sample = {
  ...rest,
  cpu: { ...cpu, usageUsec: 1500, pressure: { some, full: some } },
  memory,
  io: { devices: { '8:0': device } },
};
const gpu = {
  ...{ index: 1, uuid: 'GPU-1', name: 'H100', computeCapability: '9.0', driverVersion: '580' },
  ...{ utilization: 68.5, memoryUsed: 1, memoryTotal: 2, memoryFree: 1, encoderUtil: 0 },
  ...{
    decoderUtil: 0,
    smClock: 1980,
    memoryClock: 2619,
    pcieRx: 1024,
    pcieTx: 0.5,
    temperature: 43,
  },
  ...{ temperatureMemory: 44, powerDraw: 141.14, powerLimit: 700, fanSpeed: 0, eccSingle: 0 },
  ...{ eccDouble: 0, xidErrors: 0, retiredPages: 0, throttleReasons: 4, processesCount: 1 },
  ...{ processesMemory: 7, computeMode: 'Default' },
};
const withGpu = { ...sample, gpus: [gpu] };
const lines = [{ base }, { sample }, { sample: withGpu }, { traffic }].map((line) =>
  JSON.stringify(line),
);

/** Every number, however deep. */
function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersOf) : [];
}

function check(line: Line): void {
  assert.deepEqual(parseLine(JSON.stringify(line)), line);
  if (!('sample' in line)) return;
  const total = { endedAtMs: 1, cpuUsec: 1, readBytes: 1, writtenBytes: 1, traffic };
  const used = without(line.sample, base);
  for (const usage of [line.sample, used, lastUsage(line.sample, total, 'v2')]) {
    for (const part of [usage.cpu.usageUsec, usage.processes.openFds]) BigInt(part);
    for (const each of usage.gpus ?? []) toGpuMetrics(each);
    assert.ok(numbersOf(usage).every((number) => Number.isFinite(number)));
  }
}

export default target({
  seeds: [...lines, `${lines.join('\n')}\n{"sample":{"atMs":1`, '{"sample":{"atMs":1}}', '{}'],
  words: ['"atMs":', '"cpu":', '"devices":{', '"pressure":', 'null', '1e400', '__proto__', '\n'],
  async run(input) {
    const text = input.toString();
    const [one] = text.split('\n').map(parseLine);
    if (one !== undefined) check(one);
    let lastMs = 0;
    const read = readLines('/nonexistent', async (name) => (name.includes('old') ? text : ''));
    for (const line of await collect(read)) {
      if (!('sample' in line)) continue;
      assert.ok(line.sample.atMs > lastMs);
      lastMs = line.sample.atMs;
    }
  },
});
