// The networks of a node as its configuration has them.

import type { Config } from '../config.ts';
import { FlowSource } from '../linux/flow-source.ts';
import { HostNetwork } from '../linux/host-network.ts';
import { LAUNCH_BINARY } from '../linux/launch-binary.ts';
import { Networks, type NetworksParts } from './networks.ts';
import { hostNameServers, Resolver } from './resolver.ts';

type Parts = Pick<
  NetworksParts,
  'store' | 'port' | 'directoryOf' | 'namesOf' | 'usersOf' | 'sent' | 'log'
>;

/** Nothing of the host is touched before they are started. */
export function openNetworks({ network, run, state }: Config, parts: Parts): Networks {
  const { log } = parts;
  const { nameServers, defaultNetwork, cidrs, maxCustom, allowHost } = network;
  return new Networks({
    ...parts,
    config: { instance: state.path, defaultNetwork, cidrs, maxCustom, allowHost },
    host: new HostNetwork(run.directory),
    resolver: new Resolver(() => (nameServers.length > 0 ? nameServers : hostNameServers()), log),
    hostNameServers,
    flowSource: new FlowSource(LAUNCH_BINARY, log),
  });
}
