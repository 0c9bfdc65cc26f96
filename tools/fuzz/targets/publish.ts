// Ports of the host that lead into jobs: what is understood is written into rules of the packet filter,
// so nothing else may be in it.

import assert from 'node:assert/strict';
import { formatPublished, isSamePlace, parsePublished } from '../../../src/shared/publish.ts';
import { target } from '../target.ts';

export default target({
  seeds: ['8080:80', '0.0.0.0:53:5353/udp', '[2001:db8::1]:443:8443/tcp', '*:80:80'],
  words: ['127.0.0.1:', '[', ']:', '::', '/udp', '/tcp', '*:', '65535', '::ffff:', '%eth0'],
  run(input) {
    const port = parsePublished(input.toString());
    if (typeof port === 'string') {
      assert.ok(port.length < 600);
      return;
    }
    const whole = formatPublished(port);
    assert.match(whole, /^(\*|[\d.]+|\[[0-9a-f:.]+\]):\d+:\d+\/(tcp|udp)$/);
    assert.deepEqual(parsePublished(whole), port);
    assert.ok(isSamePlace(port, port));
  },
});
