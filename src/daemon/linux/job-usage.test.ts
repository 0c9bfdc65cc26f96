import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  noTraffic,
  parseBlkio,
  parseInterfaces,
  parseIoStat,
  parseOpenFiles,
  parsePressure,
  sumOfDisks,
} from './job-usage.ts';

test('pressure is read with and without the line of all tasks, and is nothing where it is not kept', () => {
  const some = 'some avg10=1.50 avg60=0.25 avg300=0.00 total=123\n';
  const full = 'full avg10=0.75 avg60=0.10 avg300=0.01 total=45\n';
  assert.deepEqual(parsePressure(some + full), {
    some: [1.5, 0.25, 0],
    full: [0.75, 0.1, 0.01],
  });
  // That of processors had one line until Linux 5.13.
  assert.deepEqual(parsePressure(some), { some: [1.5, 0.25, 0], full: [0, 0, 0] });
  assert.equal(parsePressure(''), undefined);
});

test('traffic with disks is the same in the words of either version', () => {
  const wanted = {
    '8:0': {
      readBytes: 4096,
      writeBytes: 8192,
      readOps: 1,
      writeOps: 2,
      discardBytes: 512,
      discardOps: 3,
    },
  };
  const v2 = '8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=512 dios=3\n7:1 \n';
  assert.deepEqual(parseIoStat(v2)['8:0'], wanted['8:0']);
  const bytes = '8:0 Read 4096\n8:0 Write 8192\n8:0 Discard 512\n8:0 Total 12800\nTotal 12800\n';
  const operations = '8:0 Read 1\n8:0 Write 2\n8:0 Discard 3\nTotal 6\n';
  assert.deepEqual(parseBlkio(bytes, operations), wanted);
});

test('what goes through a loop device counts once, whether or not v2 counts it for the disk behind it', () => {
  const wrote = (writeBytes: number) => ({ ...noTraffic, writeBytes });
  const both = { devices: { '7:0': wrote(100), '7:3': wrote(20), '254:0': wrote(5) } };
  assert.equal(sumOfDisks(both, 'v2').writeBytes, 120);
  assert.equal(
    sumOfDisks({ devices: { ...both.devices, '8:0': wrote(130) } }, 'v2').writeBytes,
    135,
  );
  assert.equal(sumOfDisks(both, 'v1').writeBytes, 125);
  assert.equal(sumOfDisks({ devices: { '254:0': wrote(5) } }, 'v2').writeBytes, 5);
});

test('each interface is read by its columns', () => {
  const heading = 'Inter-|   Receive\n face |bytes    packets\n';
  const line = '  eth0: 1000000 20 1 2 0 0 0 0 2000000 30 3 4 0 0 0 0\n';
  assert.deepEqual(parseInterfaces(heading + line), {
    eth0: {
      rxBytes: 1_000_000,
      rxPackets: 20,
      rxErrors: 1,
      rxDropped: 2,
      txBytes: 2_000_000,
      txPackets: 30,
      txErrors: 3,
      txDropped: 4,
    },
  });
});

test('the limit of descriptors is the soft one', () => {
  assert.equal(
    parseOpenFiles('Max open files            1024                 524288  files\n'),
    1024,
  );
});
