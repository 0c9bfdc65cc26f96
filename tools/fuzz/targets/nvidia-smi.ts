// What NVIDIA's program says of its cards, and its driver in the kernel's log.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseCapabilities, parseCards } from '../../../src/daemon/linux/nvidia-smi.ts';
import { parseXid } from '../../../src/daemon/linux/xid-log.ts';
import { orRefused, target } from '../target.ts';

const recorded = path.join(import.meta.dirname, '../../../test/recorded/nvidia-smi.xml');

export default target({
  seeds: [
    readFileSync(recorded, 'utf8'),
    '<nvidia_smi_log><gpu><uuid>GPU-1</uuid><processes><process_info><pid>1</pid><used_memory>2 MiB</used_memory></process_info></processes></gpu></nvidia_smi_log>',
    'GPU-831d5e2f, 9.0\n',
    '4,1187,152345678,-;NVRM: Xid (PCI:0000:00:06): 31, pid=4242, name=python3\n',
  ],
  words: [
    '<gpu>',
    '</gpu>',
    '<!DOCTYPE nvidia_smi_log ',
    'N/A',
    ' MiB',
    ' W',
    'Active',
    'NVRM: Xid (',
  ],
  run(input) {
    const text = input.toString();
    for (const { processes, ...card } of orRefused(() => parseCards(text), 'unavailable') ?? []) {
      for (const value of Object.values(card)) {
        if (typeof value === 'number') assert.ok(Number.isFinite(value) && value >= 0);
        if (typeof value === 'string') assert.ok(value.length <= 200);
      }
      const { memoryUsed, memoryTotal, memoryFree, smClock, memoryClock } = card;
      const counts = [memoryUsed, memoryTotal, memoryFree, smClock, memoryClock];
      const { eccSingle, eccDouble, retiredPages, throttleReasons } = card;
      for (const { pid, memoryBytes } of processes) counts.push(pid, memoryBytes);
      for (const count of [...counts, eccSingle, eccDouble, retiredPages, throttleReasons]) {
        BigInt(count);
      }
    }
    for (const [uuid, version] of parseCapabilities(text)) {
      assert.ok(text.includes(`${uuid}, ${version}`));
    }
    const xid = parseXid(text);
    assert.ok(xid === undefined || Number.isFinite(xid.atUs));
  },
});
