import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../../shared/errors.ts';
import { NvidiaSmi, parseCapabilities, parseCards } from './nvidia-smi.ts';

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

/** A folder with a pipe `held`: who holds it open is alive. */
function world(t: TestContext): { held: string; program: (text: string) => NvidiaSmi } {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-smi-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const held = path.join(directory, 'held');
  execFileSync('mkfifo', [held]);
  const program = (text: string) => {
    const file = path.join(directory, 'nvidia-smi');
    writeFileSync(file, text, { mode: 0o755 });
    return new NvidiaSmi(file);
  };
  return { held, program };
}

test('a program that hangs is ended in its time with what it has started, and one that fails is quoted', async (t) => {
  const { held, program } = world(t);
  const hangs = program(`#!/bin/sh\nsleep 600 > ${held}; true\n`);
  const ended = readFile(held, 'utf8');
  await assert.rejects(hangs.cards(500), /nvidia-smi: took longer than 500 ms$/);
  assert.equal(await ended, '');
  const fails = program('#!/bin/sh\necho "NVML: Driver/library version mismatch"; exit 18\n');
  await assert.rejects(fails.cards(5000), /nvidia-smi: NVML: Driver\/library version mismatch$/);
  assert.deepEqual([...(await fails.capabilities(5000))], []);
  await assert.rejects(program('#!/bin/sh\nkill -9 $$\n').cards(5000), /ended with SIGKILL$/);
  const endless = program('#!/bin/sh\nexec cat /dev/zero\n');
  await assert.rejects(endless.cards(60_000), /said more than 16777216 bytes$/);
  await assert.rejects(new NvidiaSmi('/nonexistent/nvidia-smi').cards(5000), /ENOENT/);
});

/** Nobody hears of its end while another process traces it, as none does of one that a driver holds in the kernel. */
const HELD = `#!/usr/bin/env python3
import ctypes, os, signal
seized, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    PTRACE_SEIZE = 0x4206
    os.write(tell, b'%d' % ctypes.CDLL(None).ptrace(PTRACE_SEIZE, os.getppid(), 0, 0))
    open('HELD').read()
    os._exit(0)
assert os.read(seized, 9) == b'0'
signal.pause()
`;

test('a program that no signal ends is waited for no longer, and no other is started beside it', async (t) => {
  const { held, program } = world(t);
  const smi = program(HELD.replace('HELD', held));
  await assert.rejects(smi.cards(1500), /took longer than 1500 ms$/);
  await assert.rejects(smi.cards(60_000), /process \d+ hangs$/);
  await (await open(held, 'w')).close();
});
