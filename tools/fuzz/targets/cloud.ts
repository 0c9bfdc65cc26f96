// What answers in the place of a cloud's service: whatever that says comes to a few short names.

import assert from 'node:assert/strict';
import { askedFor } from '../../../src/daemon/telemetry/cloud.ts';
import { target } from '../target.ts';

const firmware = ['Amazon EC2', 'Google Compute Engine', '7783-7084-3265-9085-8269-3286-77'];

export default target({
  seeds: [
    '{"region":"eu-1","availabilityZone":"eu-1a","instanceId":"i-1","instanceType":"m.large"}',
    '{"location":"westeurope","zone":"1","vmId":"02aab8a4-74ef-476e-8182-f6d2ba4166a6","vmSize":"D2"}',
    'projects/1/zones/europe-west1-b',
    '<html>404</html>',
    '[]',
    'null',
  ],
  words: ['"region":', '"zone":', '"vmId":', '/', '-', '\u001b[31m', '__proto__', '"'],
  async run(input) {
    const text = input.toString();
    for (const word of firmware) {
      const cloud = await askedFor({ words: [word], isVirtual: true }, async () => text);
      assert.deepEqual(Object.keys(cloud).toSorted(), [
        'hypervisor',
        'instanceId',
        'instanceType',
        'provider',
        'region',
        'zone',
      ]);
      for (const name of Object.values(cloud)) assert.match(name, /^[\w.:/ -]{0,128}$/);
    }
  },
});
