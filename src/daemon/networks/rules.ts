// What jobs may reach, as one table of nftables, made whole and put in the place of the one before at
// once. Pure: everything that is open or closed can be read off here.
//
// A job reaches nothing of the host but the names of its gateway. What it sends elsewhere is looked at
// packet by packet, also of connections that stand, so that a rule which is taken away ends them.

import { canonical6, formatAddress, formatCidr, network6 } from '../../shared/cidr.ts';
import type { EgressRule } from '../../shared/egress.ts';
import { type Denied, deniedSetOf, type Policy, setOf, type Watched } from './egress.ts';
import type { Network } from './network.ts';
import {
  ledFromHost,
  ledFromOutside,
  type Published,
  refusedAtLoopback,
  seenFromGateway,
} from './published.ts';

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

/** Of each job. */
const REFUSALS_TOLD = '100/second burst 100 packets';

/** Connections of one job. The kernel remembers 262,144 of them on most hosts. */
const BEGUN_A_SECOND = 500;
const BEGUN_AT_ONCE = 4096;
const STANDING = 4096;
/** How long it remembers those that are over or were never answered: so few do not last for longer. */
const REMEMBERED = {
  tcp: 'syn_sent: 30, time_wait: 10, close: 5, last_ack: 10',
  udp: 'unreplied: 10, replied: 60',
} as const;

export interface Facts {
  readonly table: string;
  /** What the names of all interfaces of ours begin with. */
  readonly interfaces: string;
  /** Of IPv6 addresses: empty where the host has no IPv6. */
  readonly prefix6: string;
  readonly networks: readonly Network[];
  /** Where names are answered, at the gateway of each network, by the network's name. */
  readonly namePorts: ReadonlyMap<string, number>;
  /** Jobs that rules of their own or of their network hold for. */
  readonly watched: readonly Watched[];
  /** Jobs that ports of the host lead into. */
  readonly published: readonly Published[];
  readonly nowMs: number;
  /** Where packets that are refused are told of. */
  readonly logGroup: number;
  /** The kernel forwards packets of these families only because we asked it to: then only ours are. */
  readonly forwardedForUs: readonly ('ipv4' | 'ipv6')[];
}

/** The device that holds the gateway's addresses of a network. */
export function deviceOf(interfaces: string, { number }: Pick<Network, 'number'>): string {
  return `${interfaces}n${number}`;
}

/** The devices that what the jobs of a network send and receive in all goes through, where that has a limit. */
export function limitersOf(
  interfaces: string,
  { number, bytesPerSecond }: Pick<Network, 'number' | 'bytesPerSecond'>,
): { readonly sends: string; readonly receives: string } | undefined {
  if (bytesPerSecond === 0) return undefined;
  const device = deviceOf(interfaces, { number });
  return { sends: `${device}o`, receives: `${device}i` };
}

/** Whether it is the name of a device of a network, one that is gone by now too, and not of a job's. */
export function isDevice(interfaces: string, name: string): boolean {
  return name.startsWith(interfaces) && /^n\d+[io]?$/.test(name.slice(interfaces.length));
}

/** What the names of a network's interfaces begin with; any letters and digits follow. */
export function interfacesOf(interfaces: string, { number }: Pick<Network, 'number'>): string {
  return `${interfaces}n${number}x`;
}

export function formatRules(facts: Facts): string {
  const { table, interfaces, networks, published, forwardedForUs } = facts;
  const ours = `"${interfaces}*"`;
  const closed = networks.filter(({ peers }) => !peers);
  const chains: Readonly<Record<string, readonly string[]>> = {
    from_anybody: [
      'type filter hook prerouting priority raw; policy accept;',
      `iifname ${ours} jump sent_by_job`,
    ],
    sent_by_job: [
      // The host's loopback leads to some jobs: not the other way.
      'ip daddr 127.0.0.0/8 drop',
      // Asked for each packet, routes would take a fifth of what goes from job to job.
      'iifname . ip saddr @sources4 accept',
      'iifname . ip6 saddr @sources6 accept',
      // A source that is not routed back to where it came from is somebody else's, or nobody's.
      'fib saddr . iif oif missing drop',
      'add @sources4 { iifname . ip saddr }',
      'add @sources6 { iifname . ip6 saddr }',
    ],
    translate: [
      'type nat hook prerouting priority dstnat; policy accept;',
      ...networks.flatMap((network) => namesTo(facts, network)),
      ...ledFromOutside(ours, published),
    ],
    translate_own: [
      'type nat hook output priority -100; policy accept;',
      ...ledFromHost(published),
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
      ...refusedAtLoopback(published),
      // Led there by a port that was asked for.
      `oifname ${ours} ct status dnat accept`,
      ...closed.map(
        (network) =>
          `oifname "${interfacesOf(interfaces, network)}*" ct state new counter drop comment "nothing comes into ${network.name}"`,
      ),
    ],
    between: [
      'type filter hook forward priority filter - 10; policy accept;',
      `iifname ${ours} jump from_job`,
      `oifname ${ours} jump to_job`,
      ...forwardedForUs.map(
        (family) => `meta nfproto ${family} iifname != ${ours} oifname != ${ours} drop`,
      ),
    ],
    from_job: [
      // First, as most is sent there: nothing that is closed is routed to a job.
      ...networks
        .filter(({ peers }) => peers)
        .map((network) => {
          const own = `"${interfacesOf(interfaces, network)}*"`;
          return `iifname ${own} oifname ${own} goto watched_then_accept`;
        }),
      `oifname ${ours} goto refuse`,
      `ip daddr { ${CLOSED.join(', ')} } goto refuse`,
      `ip6 daddr { ${CLOSED6.join(', ')} } goto refuse`,
      'goto watched_then_accept',
    ],
    watched_then_accept: [...watchedIn(facts), 'accept'],
    to_job: [
      `iifname ${ours} return`,
      'ct state established,related accept',
      'ct status dnat accept',
      'drop',
    ],
    refuse: [
      // So many of a job are told of; no flood of them is anybody's work.
      `update @refused { iifname limit rate ${REFUSALS_TOLD} } log group ${facts.logGroup}`,
      'meta l4proto tcp reject with tcp reset',
      'reject with icmpx type admin-prohibited',
    ],
    outwards: [
      'type nat hook postrouting priority srcnat; policy accept;',
      ...seenFromGateway(published),
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
  const sets = [
    // No other job ever has an interface of that name: what is so is so for longer than this.
    ...['4', '6'].map(
      (family) =>
        `  set sources${family} { type ifname . ipv${family}_addr; flags dynamic,timeout; timeout 30s; size 65535; }\n`,
    ),
    '  set refused { type ifname; flags dynamic,timeout; timeout 1m; size 65535; }\n',
    ...policiesIn(facts).flatMap((policy) => setsOf(policy, facts.nowMs)),
  ];
  const text = Object.entries({ ...chains, ...egressChains(facts) })
    .map(
      ([name, lines]) => `  chain ${name} {\n${lines.map((line) => `    ${line}\n`).join('')}  }\n`,
    )
    .join('');
  return `${replacing(table)}table inet ${table} {\n${sets.join('')}${text}}\n`;
}

/**
 * How much of the host's memory of connections one job takes: what it begins in a second, and what it
 * has at once. A table of its own, that stays as it is when rules change.
 */
export function formatLimits(table: string, interfaces: string): string {
  const families = ['ip', 'ip6'] as const;
  const timeouts = Object.entries(REMEMBERED).flatMap(([protocol, policy]) =>
    families.map(
      (family) =>
        `  ct timeout ${protocol}_${family} { protocol ${protocol}; l3proto ${family}; policy = { ${policy} }; }\n`,
    ),
  );
  const remembered = Object.keys(REMEMBERED).flatMap((protocol) =>
    families.map(
      (family) =>
        `    meta nfproto ${family === 'ip' ? 'ipv4' : 'ipv6'} meta l4proto ${protocol} ct timeout set "${protocol}_${family}"\n`,
    ),
  );
  return `${replacing(table)}table inet ${table} {
  set begun { type ifname; flags dynamic,timeout; timeout 2m; size 65535; }
  set standing { type ifname; flags dynamic; size 65535; }
${timeouts.join('')}  chain begin {
    type filter hook prerouting priority mangle; policy accept;
    iifname "${interfaces}*" ct state new ct status & confirmed == 0 jump begins
  }
  chain begins {
    update @begun { iifname limit rate over ${BEGUN_A_SECOND}/second burst ${BEGUN_AT_ONCE} packets } drop
    add @standing { iifname ct count over ${STANDING} } drop
${remembered.join('')}  }
}
`;
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
  return prefix6 === '' ? [v4] : [v4, ['ip6', canonical6(`${network6(prefix6, number)}::1`)]];
}

/** Sends each watched job to its rules. */
function watchedIn({ watched }: Facts): string[] {
  if (watched.length === 0) return [];
  // What answers somebody who was let in is nothing that the job began.
  const jumps = watched.map(({ key }) => `"${key}" : jump egress_${key}`);
  return ['ct direction reply accept', `iifname vmap { ${jumps.join(', ')} }`];
}

function policiesIn({ watched }: Facts): Policy[] {
  const policies = watched.flatMap((job) => job.policies);
  return [...new Map(policies.map((policy) => [policy.id, policy])).values()];
}

/** The chain of each watched job, and of each policy what it allows. */
function egressChains(facts: Facts): Record<string, string[]> {
  const jobs = facts.watched.map(({ key, mark, policies }) => [
    `egress_${key}`,
    [
      // Nobody knows yet what is denied.
      ...(policies.some(({ deny }) => deny.some(isUnknown)) ? ['goto refuse'] : []),
      // Allowed before, by these very rules: also when a name is not known any more.
      `ct mark ${mark} accept`,
      ...policies.flatMap((policy) =>
        policy.deny.flatMap(({ rule }, at) =>
          matchesOf(rule, [deniedSetOf(policy, at, false), deniedSetOf(policy, at, true)]).map(
            (match) => `${match} goto refuse`,
          ),
        ),
      ),
      ...policies.filter(({ closed }) => closed).map(({ id }) => `jump allowed_${id}`),
      `ct mark set ${mark} accept`,
    ],
  ]);
  const allowed = policiesIn(facts)
    .filter(({ closed }) => closed)
    .map((policy) => [
      `allowed_${policy.id}`,
      [
        ...policy.allow.flatMap(({ rule }, at) =>
          matchesOf(rule, [setOf(policy, at, false), setOf(policy, at, true)]).map(
            (match) => `${match} return`,
          ),
        ),
        'goto refuse',
      ],
    ]);
  return Object.fromEntries([...jobs, ...allowed]) as Record<string, string[]>;
}

function isUnknown({ addresses }: Denied): boolean {
  return addresses === undefined;
}

/** What packets a rule speaks of: an expression, or one for each family's set of what its name stands for. */
function matchesOf(rule: EgressRule, sets: readonly string[]): string[] {
  const { protocol, range, domain, ports } = rule;
  const what = [
    ...(protocol === 'icmp' ? ['meta l4proto { icmp, ipv6-icmp }'] : []),
    ...(protocol === 'tcp' || protocol === 'udp' ? [`meta l4proto ${protocol}`] : []),
    ...(ports === undefined ? [] : [portsMatch(protocol, ports)]),
  ].join(' ');
  if (domain !== undefined) {
    return sets.map((set) => `${set.endsWith('4') ? 'ip' : 'ip6'} daddr @${set} ${what}`);
  }
  if (range === undefined) return [what];
  return [`${range.includes(':') ? 'ip6' : 'ip'} daddr ${range} ${what}`];
}

function portsMatch(
  protocol: EgressRule['protocol'],
  [first, last]: readonly [number, number],
): string {
  const both = protocol === '' ? 'meta l4proto { tcp, udp } ' : '';
  return `${both}th dport ${first === last ? first : `${first}-${last}`}`;
}

function setsOf(policy: Policy, nowMs: number): string[] {
  const denied = policy.deny.flatMap(({ rule, addresses = [] }, at) => {
    if (rule.domain === undefined) return [];
    return [false, true].map((is6) => {
      const elements = addresses.filter((address) => address.includes(':') === is6);
      return formatSet(deniedSetOf(policy, at, is6), is6, '', elements);
    });
  });
  const allowed = policy.allow.flatMap(({ rule, addresses }, at) => {
    if (rule.domain === undefined) return [];
    return [false, true].map((is6) => {
      const elements = [...addresses]
        .filter(([address, untilMs]) => address.includes(':') === is6 && untilMs > nowMs)
        .map(([address, untilMs]) => `${address} timeout ${Math.ceil((untilMs - nowMs) / 1000)}s`);
      return formatSet(setOf(policy, at, is6), is6, ' flags timeout;', elements);
    });
  });
  return [...denied, ...allowed];
}

function formatSet(name: string, is6: boolean, flags: string, elements: readonly string[]): string {
  const known = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`;
  return `  set ${name} { type ${is6 ? 'ipv6_addr' : 'ipv4_addr'};${flags}${known} }\n`;
}

/** Puts addresses into sets, each for so long from now, also where it is there already. */
export function formatLearned(
  table: string,
  news: readonly (readonly [set: string, address: string, ttlSeconds: number])[],
): string {
  return news
    .map(([set, address, seconds]) => {
      const element = (verb: string, more = '') =>
        `${verb} element inet ${table} ${set} { ${address}${more} }\n`;
      return element('add') + element('delete') + element('add', ` timeout ${seconds}s`);
    })
    .join('');
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
