// From how a job is held to what clients see of it.

import type { MessageInitShape as Init } from '@bufbuild/protobuf';
import type { JobPostureSchema } from '../../gen/joblet/jobs_pb.ts';
import type { Job } from '../jobs/job.ts';
import type { Held } from '../jobs/postures.ts';
import { HOST_NETWORK } from '../networks/network.ts';
import { networkNote } from './job-view.ts';

const NAMESPACES = ['mount', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'user'] as const;

/** How a job is held. */
export function toPosture(job: Job, { posture, kernel }: Held): Init<typeof JobPostureSchema> {
  const { opened } = posture;
  return {
    namespaces: NAMESPACES.filter((kind) => !posture.shared.some((each) => each === kind)).map(
      (kind) => (kind === 'net' ? 'network' : kind),
    ),
    firstId: posture.firstId,
    idCount: posture.idCount,
    capabilities: [...posture.capabilities],
    noNewPrivs: true,
    filter:
      opened.length === 0 ? 'standard' : `standard, with the calls of ${opened.join(' and ')}`,
    opened: [...opened],
    root: job.spec.runtime || 'host',
    readOnly: [...posture.readOnly],
    writable: posture.writable.map(({ path, bytes, kind }) => ({
      path,
      bytes: BigInt(bytes),
      kind,
    })),
    limits: [...posture.limits],
    gpus: posture.gpus.map(({ index, uuid }) => `${index} (${uuid})`),
    network: posture.shared.includes('net')
      ? `that of the host, as ${job.spec.network === HOST_NETWORK ? 'an admin asked for it' : 'it builds a runtime'}`
      : `${job.spec.network} (${networkNote(job.spec.network)})`,
    init: posture.init ? 'an init of joblet, which reaps orphans' : 'the command itself',
    startedBy: `joblet ${posture.startedBy}`,
    ...(kernel === undefined
      ? {}
      : {
          kernel: {
            pid: kernel.pid,
            confirmed: [...kernel.confirmed, ...kernel.limits],
            deviations: [...kernel.deviations],
          },
        }),
  };
}
