// Texts of the kernel: mounts of the host and of a job, rights of a process.

import assert from 'node:assert/strict';
import { parseCgroupMounts } from '../../../src/daemon/linux/cgroup.ts';
import {
  namesOf,
  parseCapabilities,
  parseMounts,
  statusField,
} from '../../../src/daemon/linux/job-process.ts';
import {
  parseBlkio,
  parseInterfaces,
  parseIoStat,
  parseOpenFiles,
  parsePressure,
} from '../../../src/daemon/linux/job-usage.ts';
import { target } from '../target.ts';

export default target({
  seeds: [
    '29 24 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n' +
      '30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 24 0:27 / / rw - ext4 /dev/vda rw\n',
    '1 2 0:3 / /a\\040b rw - cgroup2 none rw',
    ' - cgroup',
    'Name:\tsh\nNoNewPrivs:\t1\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nSeccomp:\t2\n',
    'some avg10=1.50 avg60=0.00 avg300=0.00 total=6\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
    '254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 rbytes=1\n',
    '254:0 Read 4096\n254:0 Write 8192\nTotal 12288\n',
    'Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n',
    'Max open files            1024                 524288               files\n',
  ],
  words: [
    'CapBnd:\t',
    'CapEff:\tffffffffffffffff',
    'shared:1',
    ' - ',
    'cgroup',
    'cgroup2',
    ' rw',
    ',memory',
    '/sys/fs/cgroup',
    '\\040',
    '\n',
  ],
  run(input) {
    const text = input.toString();
    assert.ok(parseMounts(text).length <= text.split('\n').length);
    assert.ok(!statusField(text, 'Seccomp').includes('\n'));
    const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];
    // The kernel writes sixteen digits.
    if (sets.every((set) => /^[0-9a-f]{0,16}$/.test(statusField(text, set)))) {
      const names = parseCapabilities(text);
      assert.equal(new Set(names).size, names.length);
      for (const set of sets) {
        for (const name of namesOf(BigInt(`0x${statusField(text, set) || 0}`))) {
          assert.ok(names.includes(name));
        }
      }
    }
    for (const numbers of [
      ...Object.values(parseIoStat(text)),
      ...Object.values(parseBlkio(text, text)),
      ...Object.values(parseInterfaces(text)),
    ]) {
      assert.ok(Object.values(numbers).every((number) => typeof number === 'number'));
    }
    assert.equal(typeof parseOpenFiles(text), 'number');
    assert.ok([undefined, 3].includes(parsePressure(text)?.some.length));
    const mounts = parseCgroupMounts(text);
    assert.ok(mounts.length <= text.split('\n').length);
    for (const { kind, target: place, options } of mounts) {
      assert.ok(kind === 'v1' || options.length === 0);
      assert.ok(text.includes(place) && !place.includes(' '));
    }
  },
});
