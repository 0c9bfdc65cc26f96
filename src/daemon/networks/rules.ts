// What jobs may reach, as one table of nftables, made whole and put in the place of the one before at
// once. Pure: everything that is open or closed can be read off here.
//
// A job reaches nothing of the host but the names of its gateway. What it sends elsewhere is looked at
// packet by packet, also of connections that stand, so that a rule which is taken away ends them.

import { formatAddress, formatCidr, network6 } from '../../shared/cidr.ts';
import type { Network } from './network.ts';

/** Never reached, whatever a network allows: not for hosts, or there to say what only the host may know. */
const CLOSED = [
  '0.0.0.0/8', // this network
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, and the metadata of most clouds
  '100.100.100.200', // metadata of one more
  '168.63.129.16', // and of another
  '192.0.0.192', // and of a third
  '224.0.0.0/3', // multicast, reserved, broadcast
] as const;
const CLOSED6 = [
  '::/96', // unspecified, loopback, IPv4 in old clothes
  '::ffff:0:0/96', // IPv4 again
  '64:ff9b::/96', // and translated on the way
  '2002::/16', // and in tunnels
  'fd00:ec2::254', // metadata
  'fd20:ce::254', // metadata
  'fe80::/10', // link-local
  'ff00::/8', // multicast
] as const;

export interface Facts {
  readonly table: string;
  /** What the names of all interfaces of ours begin with. */
  readonly interfaces: string;
  /** Of IPv6 addresses: empty where the host has no IPv6. */
  readonly prefix6: string;
  readonly networks: readonly Network[];
  /** Where names are answered, at the gateway of each network, by the network's name. */
  readonly namePorts: ReadonlyMap<string, number>;
  /** The kernel forwards packets only because we asked it to: then only ours are. */
  readonly forwardsForUs: boolean;
}

/** What the names of a network's interfaces begin with. */
export function interfacesOf(interfaces: string, { number }: Pick<Network, 'number'>): string {
  return `${interfaces}n${number}x`;
}

export function formatRules(facts: Facts): string {
  const { table, interfaces, networks, forwardsForUs } = facts;
  const ours = `"${interfaces}*"`;
  const closed = networks.filter(({ peers }) => !peers);
  const chains: Readonly<Record<string, readonly string[]>> = {
    from_anybody: [
      'type filter hook prerouting priority raw; policy accept;',
      // A source that is not routed back to where it came from is somebody else's, or nobody's.
      `iifname ${ours} fib saddr . iif oif missing drop`,
    ],
    translate: [
      'type nat hook prerouting priority dstnat; policy accept;',
      ...networks.flatMap((network) => namesTo(facts, network)),
    ],
    to_host: [
      'type filter hook input priority filter - 10; policy accept;',
      `iifname ${ours} jump job_to_host`,
    ],
    job_to_host: [
      'ct state established,related accept',
      ...networks.flatMap((network) => namesAt(facts, network)),
      'goto refuse',
    ],
    from_host: [
      'type filter hook output priority filter - 10; policy accept;',
      // What the kernel itself announces on links nobody there listens to.
      `oifname ${ours} ip6 daddr ff00::/8 drop`,
      ...closed.map(
        (network) =>
          `oifname "${interfacesOf(interfaces, network)}*" ct state new counter drop comment "nothing comes into ${network.name}"`,
      ),
    ],
    between: [
      'type filter hook forward priority filter - 10; policy accept;',
      `iifname ${ours} jump from_job`,
      `oifname ${ours} jump to_job`,
      ...(forwardsForUs ? [`iifname != ${ours} oifname != ${ours} drop`] : []),
    ],
    from_job: [
      `ip daddr { ${CLOSED.join(', ')} } goto refuse`,
      `ip6 daddr { ${CLOSED6.join(', ')} } goto refuse`,
      ...networks
        .filter(({ peers }) => peers)
        .map((network) => {
          const own = `"${interfacesOf(interfaces, network)}*"`;
          return `iifname ${own} oifname ${own} accept`;
        }),
      `oifname ${ours} goto refuse`,
      'accept',
    ],
    to_job: [
      `iifname ${ours} return`,
      'ct state established,related accept',
      'ct status dnat accept',
      'drop',
    ],
    refuse: ['meta l4proto tcp reject with tcp reset', 'reject with icmpx type admin-prohibited'],
    outwards: [
      'type nat hook postrouting priority srcnat; policy accept;',
      ...networks.flatMap((network) => [
        `ip saddr ${formatCidr(network.cidr)} oifname != ${ours} masquerade`,
        ...(facts.prefix6 === ''
          ? []
          : [
              `ip6 saddr ${network6(facts.prefix6, network.number)}::/64 oifname != ${ours} masquerade`,
            ]),
      ]),
    ],
  };
  const text = Object.entries(chains)
    .map(
      ([name, lines]) => `  chain ${name} {\n${lines.map((line) => `    ${line}\n`).join('')}  }\n`,
    )
    .join('');
  return `${replacing(table)}table inet ${table} {\n${text}}\n`;
}

/** What puts nothing in the place of a table, whether or not there is one. */
export function replacing(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/** The gateway's addresses, each with the word for its family. */
export function gatewaysOf(
  prefix6: string,
  { cidr, number }: Pick<Network, 'cidr' | 'number'>,
): readonly (readonly [family: 'ip' | 'ip6', address: string])[] {
  const v4 = ['ip', formatAddress(cidr.first + 1)] as const;
  return prefix6 === '' ? [v4] : [v4, ['ip6', `${network6(prefix6, number)}::1`]];
}

/** Port 53 of a gateway may be somebody else's on this host: ours is another. */
function namesTo({ interfaces, prefix6, namePorts }: Facts, network: Network): string[] {
  const port = namePorts.get(network.name);
  if (port === undefined) return [];
  return gatewaysOf(prefix6, network).map(([family, address]) => {
    const to = family === 'ip' ? `${address}:${port}` : `[${address}]:${port}`;
    return `iifname "${interfacesOf(interfaces, network)}*" ${family} daddr ${address} meta l4proto { tcp, udp } th dport 53 dnat ${family} to ${to}`;
  });
}

function namesAt({ interfaces, prefix6, namePorts }: Facts, network: Network): string[] {
  const port = namePorts.get(network.name);
  if (port === undefined) return [];
  return gatewaysOf(prefix6, network).map(
    ([family, address]) =>
      `iifname "${interfacesOf(interfaces, network)}*" ${family} daddr ${address} meta l4proto { tcp, udp } th dport ${port} ct status dnat accept`,
  );
}
