// The daemon's configuration: every text is a configuration within its bounds, or is refused with
// places.

import assert from 'node:assert/strict';
import { type Config, parseConfig } from '../../../src/daemon/config.ts';
import { JobletError } from '../../../src/shared/errors.ts';
import { target } from '../target.ts';

const FILE = 'joblet-config.yml';

export default target({
  seeds: [
    'version: "3.0"\nserver:\n  address: 0.0.0.0\n  port: 50051\n  nodeId: x\n',
    'joblet:\n  defaultCpuLimit: 100\n  defaultMemoryLimit: 512MB\n  maxConcurrentJobs: 100\n  jobTimeout: 1h\n  cleanupTimeout: 5s\n',
    'filesystem:\n  baseDir: /opt/joblet\n  allowedMounts: [/usr, /bin]\n  tmpBytes: 64MB\nvolumes:\n  default_disk_quota_bytes: 1GB\n',
    'grpc:\n  maxRecvMsgSize: 134217728\n  keepAliveTime: 30s\nlogging:\n  level: INFO\n  format: text\n  output: stdout\n',
    'security:\n  serverCert: |\n    x\ncgroup:\n  baseDir: /sys/fs/cgroup\n  cleanupTimeout: 100ms\nnetwork:\n  default_network: isolated\n',
    'a: &x 1\nb: *x\n',
    'joblet: 5\nserver:\n- 1\n',
  ],
  words: [
    'version: ',
    'server:',
    'joblet:',
    'cgroup:',
    'filesystem:',
    'grpc:',
    'logging:',
    'security:',
    'state:',
    'logs:',
    'run:',
    'uploads:',
    '\n  ',
    'port: ',
    'idRanges: ',
    'idRangeFirst: ',
    'maxMemoryLimit: ',
    'minMemoryLimit: ',
    'enableCgroup: ',
    'isolation:',
    '__proto__',
    'constructor',
    '[',
    '{',
    '? ',
    '!!binary ',
    '<<: ',
    '|\n',
    '%',
    '---',
    'null',
    '.nan',
    '-1',
  ],
  run(input) {
    const text = input.toString();
    let config: Config;
    try {
      config = parseConfig(text, FILE, { JOBLET_LOG_LEVEL: '' });
    } catch (error) {
      if (!(error instanceof JobletError) || error.kind !== 'invalid') throw error;
      assert.ok(error.problems.length > 0);
      for (const { field } of error.problems) assert.match(field, /^joblet-config\.yml:\d+:\d+$/);
      return;
    }
    const { joblet, grpc, server } = config;
    assert.ok(server.port >= 0 && server.port <= 65_535);
    for (const value of [...Object.values(joblet), ...Object.values(grpc)]) {
      assert.ok(typeof value !== 'number' || (Number.isSafeInteger(value) && value >= 0));
    }
    assert.ok(joblet.idRangeFirst >= 65_536);
    assert.ok(joblet.idRangeFirst + joblet.idRanges * 65_536 <= 2 ** 31);
  },
});
