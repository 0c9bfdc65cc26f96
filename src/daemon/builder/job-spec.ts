// Jobs that the builder makes for itself.

import type { JobSpec } from '../jobs/job.ts';

const MAX_NAME_CHARS = 63;
const GRACE_MS = 1000;

/** A job of the builder’s, without what makes it one. */
export function jobSpecOf(name: string, [command = '', ...args]: readonly string[]): JobSpec {
  return {
    name: name.slice(0, MAX_NAME_CHARS),
    command,
    args,
    limits: { cpuPercent: 0, memoryBytes: 0, ioBps: 0, cpuCores: '', processes: 0, workBytes: 0 },
    uploads: [],
    uploadId: '',
    startAtMs: 0,
    priority: 0,
    network: 'none',
    bandwidthBytesPerSecond: 0,
    egress: { closed: false, allow: [], deny: [] },
    publish: [],
    volumes: [],
    runtime: '',
    workDir: '/work',
    environment: {},
    secretEnvironment: {},
    timeoutMs: 0,
    keepWorkMs: 0,
    graceMs: GRACE_MS,
    stdin: false,
    init: true,
    allow: [],
    workflowUuid: '',
  };
}
