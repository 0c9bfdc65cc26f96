import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../../shared/errors.ts';
import { askCapabilities, askCards, parseCapabilities, parseCards } from './nvidia-smi.ts';

const RECORDED = readFileSync(
  path.join(import.meta.dirname, '../../../test/recorded/nvidia-smi.xml'),
  'utf8',
);
const MB = 1024 ** 2;

test('what nvidia-smi said of an H100 is read field by field, and N/A is nothing', () => {
  const [card, ...others] = parseCards(RECORDED);
  assert.deepEqual(others, []);
  assert.deepEqual(card, {
    uuid: 'GPU-00000000-0000-4000-8000-000000000000',
    name: 'NVIDIA H100 80GB HBM3',
    driverVersion: '580.159.04',
    isSplit: false,
    utilization: 0,
    memoryUsed: 0,
    memoryTotal: 81_559 * MB,
    memoryFree: 81_079 * MB,
    encoderUtil: 0,
    decoderUtil: 0,
    smClock: 345,
    memoryClock: 2619,
    pcieRx: 554 * 1024,
    pcieTx: 1026 * 1024,
    temperature: 37,
    temperatureMemory: 40,
    powerDraw: 85.65,
    powerLimit: 700,
    fanSpeed: 0,
    eccSingle: 0,
    eccDouble: 0,
    retiredPages: 0,
    throttleReasons: 1,
    computeMode: 'Default',
    processes: [],
  });
});

test('older drivers name fans, powers, errors and reasons in their way, and are understood', () => {
  const [card] = parseCards(`<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v11.dtd">
<nvidia_smi_log><driver_version>470.82.01</driver_version><gpu id="00000000:3B:00.0">
<product_name>Tesla T4</product_name><uuid>GPU-1</uuid><mig_mode><current_mig>N/A</current_mig></mig_mode>
<fan_speed>33 %</fan_speed><compute_mode>Exclusive_Process</compute_mode>
<clocks_throttle_reasons><clocks_throttle_reason_gpu_idle>Not Active</clocks_throttle_reason_gpu_idle>
<clocks_throttle_reason_sw_power_cap>Active</clocks_throttle_reason_sw_power_cap>
<clocks_throttle_reason_hw_thermal_slowdown>Active</clocks_throttle_reason_hw_thermal_slowdown></clocks_throttle_reasons>
<ecc_errors><volatile><single_bit><device_memory>2</device_memory><total>3</total></single_bit>
<double_bit><total>1</total></double_bit></volatile></ecc_errors>
<retired_pages><multiple_single_bit_retirement><retired_count>4</retired_count></multiple_single_bit_retirement>
<double_bit_retirement><retired_count>1</retired_count></double_bit_retirement></retired_pages>
<power_readings><power_draw>27.51 W</power_draw><power_limit>70.00 W</power_limit></power_readings>
<processes><process_info><pid>4242</pid><type>C</type><process_name>a &amp; b</process_name><used_memory>1011 MiB</used_memory></process_info></processes>
</gpu></nvidia_smi_log>`);
  assert.ok(card !== undefined);
  const { fanSpeed, powerDraw, powerLimit, eccSingle, eccDouble, retiredPages } = card;
  assert.deepEqual([fanSpeed, powerDraw, powerLimit], [33, 27.51, 70]);
  assert.deepEqual([eccSingle, eccDouble, retiredPages], [3, 1, 5]);
  assert.deepEqual([card.throttleReasons, card.computeMode], [0x44, 'Exclusive_Process']);
  assert.deepEqual(card.processes, [{ pid: 4242, memoryBytes: 1011 * MB }]);
});

test('whatever nvidia-smi says is read as numbers that are numbers, or refused', () => {
  const pieces = RECORDED.split(/(?<=>)|(?=<)/);
  const broken = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(
        fc.tuple(
          fc.nat(pieces.length),
          fc.constantFrom('', '<gpu>', '</gpu>', '1e9 W', '-5 C', '&#x0;', '9'.repeat(400)),
        ),
        { maxLength: 6 },
      )
      .map((changes) => {
        const all = [...pieces];
        for (const [at, text] of changes) all[at] = text;
        return all.join('');
      }),
  );
  fc.assert(
    fc.property(broken, (text) => {
      try {
        for (const { processes, ...card } of parseCards(text)) {
          for (const value of Object.values(card)) {
            assert.ok(typeof value !== 'number' || (Number.isFinite(value) && value >= 0));
            assert.ok(typeof value !== 'string' || value.length <= 200);
          }
          const counts = processes.flatMap(({ pid, memoryBytes }) => [pid, memoryBytes]);
          for (const count of [...counts, card.memoryUsed, card.eccSingle, card.smClock]) {
            assert.ok(Number.isSafeInteger(count));
          }
        }
      } catch (error) {
        assert.ok(error instanceof JobletError && error.kind === 'unavailable', String(error));
      }
    }),
  );
});

test('what a generation can do is read where it is said', () => {
  assert.deepEqual(
    [...parseCapabilities('GPU-831d5e2f-092c, 9.0\nGPU-1, 7.5\n')],
    [
      ['GPU-831d5e2f-092c', '9.0'],
      ['GPU-1', '7.5'],
    ],
  );
  assert.deepEqual(
    [...parseCapabilities('Field "compute_cap" is not a valid field to query.')],
    [],
  );
});

test('a program that hangs is ended in its time, one that fails is quoted, and none is waited for', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-smi-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const program = (name: string, script: string) => {
    const file = path.join(directory, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return file;
  };
  await assert.rejects(
    askCards(program('hangs', 'exec sleep 600'), 50),
    /hangs: took longer than 50 ms$/,
  );
  const fails = program('fails', 'echo "NVML: Driver/library version mismatch" >&2; exit 18');
  await assert.rejects(askCards(fails, 5000), /fails: NVML: Driver\/library version mismatch$/);
  assert.deepEqual([...(await askCapabilities(fails, 5000))], []);
  await assert.rejects(askCards('/nonexistent/nvidia-smi', 5000), /ENOENT/);
});
