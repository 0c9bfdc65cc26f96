// Which of the addresses that the world's DNS says of a name a rule by name may open.

import { BlockList, isIPv6 } from 'node:net';

/** However short a name is to be remembered: the job has to have time to go there. */
export const CLOSED_NAMES_TTL_SECONDS = 5;

/** One list for both would take every IPv4 address for one of those that IPv6 writes them as. */
const inner4 = new BlockList();
const inner6 = new BlockList();
for (const [address, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['224.0.0.0', 3],
] as const) {
  inner4.addSubnet(address, prefix, 'ipv4');
}
for (const [address, prefix] of [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  inner6.addSubnet(address, prefix, 'ipv6');
}

/** Whether an address is one of the world, and not of somebody's own network. */
export function isPublic(address: string): boolean {
  return isIPv6(address) ? !inner6.check(address, 'ipv6') : !inner4.check(address, 'ipv4');
}
