import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseXid } from './xid-log.ts';

test('an error of a card is found in the kernel’s log by the card’s place, whoever wrote it how', () => {
  const body = '31, pid=4242, name=python3, Ch 00000008, intr 00000000. MMU Fault';
  assert.deepEqual(parseXid(`4,1187,152345678,-;NVRM: Xid (PCI:0000:00:06): ${body}\n`), {
    bus: '0000:00:06',
    atUs: 152_345_678,
  });
  assert.deepEqual(parseXid(`4,9,7,c;NVRM: Xid (0000:3B:00): ${body}`)?.bus, '0000:3b:00');
  assert.deepEqual(
    parseXid(`4,9,7,-;NVRM: Xid (PCI:00010000:3b:00): ${body}`)?.bus,
    '00010000:3b:00',
  );
  assert.deepEqual(parseXid(`4,9,7,-;NVRM: Xid (PCI:00000001:3b:00): ${body}`)?.bus, '0001:3b:00');
  for (const record of [
    '6,339,5140900,-;NVRM: loading NVIDIA UNIX Open Kernel Module',
    '4,9,7,-;someone says NVRM: Xid (PCI:0000:00:06): 31',
    'NVRM: Xid (PCI:0000:00:06): 31',
    '',
  ]) {
    assert.equal(parseXid(record), undefined);
  }
});
