// NetworkService: translates between messages and the networks of this node.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { NetworkSchema, NetworkService } from '../../gen/joblet/networks_pb.ts';
import { invalid, type Problem } from '../../shared/errors.ts';
import { formatBytes } from '../../shared/units.ts';
import type { NetworkView } from '../networks/catalogue.ts';
import { MAX_BANDWIDTH, MIN_BANDWIDTH } from '../networks/network.ts';
import type { Networks } from '../networks/networks.ts';
import { readEgress, toEgress } from './egress.ts';
import type { Handlers } from './handlers.ts';
import { rfc3339 } from './rfc3339.ts';

export interface NetworkParts {
  readonly networks: Pick<Networks, 'list' | 'get' | 'create' | 'remove' | 'membersOf'>;
  /** The name of a job, or an empty one. */
  readonly nameOf: (jobId: string) => string;
}

export function networkHandlers({
  networks,
  nameOf,
}: NetworkParts): Handlers<typeof NetworkService> {
  return {
    createNetwork: async ({ name, cidr, bandwidthBytesPerSecond, ...rest }, { identity }) => {
      const problems: Problem[] = [];
      const report = (field: string, message: string) => problems.push({ field, message });
      const egress = readEgress(rest.egress, report);
      const bytesPerSecond = Number(bandwidthBytesPerSecond);
      if (
        bytesPerSecond !== 0 &&
        !(bytesPerSecond >= MIN_BANDWIDTH && bytesPerSecond <= MAX_BANDWIDTH)
      ) {
        const message = `is from ${formatBytes(MIN_BANDWIDTH)} to ${formatBytes(MAX_BANDWIDTH)} a second; 0 is no limit`;
        report('bandwidth_bytes_per_second', message);
      }
      if (problems.length > 0) throw invalid(problems);
      const made = await networks.create({ name, cidr, bytesPerSecond, egress }, identity);
      return { name: made.name, cidr: made.cidr, bridge: made.bridge, cidr6: made.cidr6 };
    },

    listNetworks: async () => ({ networks: networks.list().map(toNetwork) }),

    getNetwork: async ({ name }) => {
      const jobs = networks.membersOf(name).map(({ jobId, addresses, publish }) => ({
        uuid: jobId,
        name: nameOf(jobId),
        addresses: [...addresses],
        publish: [...publish],
      }));
      return { ...toNetwork(networks.get(name)), jobs };
    },

    removeNetwork: async ({ name }, { identity }) => {
      await networks.remove(name, identity);
      return { success: true, message: `Network '${name}' removed successfully` };
    },
  };
}

function toNetwork(view: NetworkView) {
  const { name, cidr, cidr6, bridge, gateway, peers, jobCount } = view;
  return {
    ...{ name, cidr, cidr6, bridge, gateway, peers, jobCount },
    builtin: view.isBuiltin,
    bandwidthBytesPerSecond: BigInt(view.bytesPerSecond),
    egress: toEgress(view.egress),
    createdTime: view.isBuiltin ? '' : rfc3339(view.createdAtMs),
  } satisfies MessageInitShape<typeof NetworkSchema>;
}
