// MonitoringService: what this node is.

import type { MonitoringService } from '../../gen/joblet/monitoring_pb.ts';
import { version } from '../version.ts';
import type { Handlers } from './handlers.ts';

export function monitoringHandlers(): Handlers<typeof MonitoringService> {
  return {
    getServerVersion: async () => ({
      version: version.version,
      gitCommit: version.gitCommit,
      component: 'joblet',
      goVersion: `node ${process.versions.node}`,
      platform: `${process.platform}/${process.arch}`,
    }),
  };
}
