// What a job connected to, as clients see it.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GetJobFlowsRequest, JobFlowSchema } from '../../gen/joblet/jobs_pb.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Networks } from '../networks/networks.ts';
import { rfc3339 } from './rfc3339.ts';

export interface FlowParts {
  readonly jobs: Pick<Jobs, 'get'>;
  readonly networks: Pick<Networks, 'flows'>;
}

export async function* readFlows(
  { jobs, networks }: FlowParts,
  { uuid, follow }: Pick<GetJobFlowsRequest, 'uuid' | 'follow'>,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof JobFlowSchema>> {
  const { id } = jobs.get(uuid);
  for await (const each of networks.flows.read(id, { follow, signal })) {
    if ('omitted' in each) {
      yield { omitted: BigInt(each.omitted) };
      continue;
    }
    const { number, verdict, way, protocol, address, port, name } = each;
    yield {
      ...{ number, verdict, way, protocol, address, port, name },
      time: rfc3339(each.atMs),
      endTime: rfc3339(each.endedAtMs),
      sentBytes: BigInt(each.sentBytes),
      receivedBytes: BigInt(each.receivedBytes),
    };
  }
}
