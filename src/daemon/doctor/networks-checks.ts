// What networks need.

import { type Check, limited, ok, tried, unknown } from './check.ts';

const NETWORKS = { feature: 'networks, other than none' };

export const networks: readonly Check[] = [
  {
    group: 'Networks',
    name: 'links',
    needed: NETWORKS,
    means: 'A job could not be connected to a network.',
    remedy:
      'Load the modules veth and bridge. Without them jobs start on the network none; network.default_network: none makes it that of those that name none.',
    look: tried('link veth', 'link bridge'),
  },
  {
    group: 'Networks',
    name: 'packet filter',
    needed: NETWORKS,
    means: 'What a job may reach could not be ruled.',
    remedy: 'Load the module nf_tables, and install the program nft (package nftables).',
    look: (facts) => {
      const kernelHas = tried('nftables')(facts);
      if (kernelHas.state !== 'ok' || facts.programs.has('nft')) return kernelHas;
      return limited('the kernel has it; the program nft is not installed');
    },
  },
  {
    group: 'Networks',
    name: 'way out',
    needed: NETWORKS,
    means: 'Where the host’s own firewall drops what is forwarded, a job reaches nothing outside.',
    remedy:
      'For each chain: nft insert rule FAMILY TABLE CHAIN iifname "jl*" accept, and the same with oifname; make it last with what manages that firewall.',
    look: ({ forwardDrops }) => {
      if (forwardDrops === undefined) return unknown('the packet filter cannot be asked');
      const names = forwardDrops.map(({ family, table, chain }) => `${family} ${table} ${chain}`);
      if (names.length > 0) return limited(`dropped by the policy of ${names.join(', ')}`);
      return ok('no chain of the host drops what is forwarded');
    },
  },
  {
    group: 'Networks',
    name: 'limits of bandwidth',
    needed: NETWORKS,
    means: 'How fast a job sends and receives could not be limited.',
    remedy:
      'Load the modules sch_tbf, sch_ingress, cls_u32, act_mirred and ifb, and install the program tc (package iproute2).',
    look: (facts) => {
      const kernelHas = tried('qdisc tbf', 'qdisc ingress', 'link ifb')(facts);
      if (kernelHas.state !== 'ok' || facts.programs.has('tc')) return kernelHas;
      return limited('the kernel has it; the program tc is not installed');
    },
  },
  {
    group: 'Networks',
    name: 'IPv6',
    needed: { feature: 'IPv6 in jobs' },
    means: 'The loopback of jobs has no ::1.',
    remedy: 'Take ipv6.disable=1 off the kernel’s command line.',
    look: tried('ipv6'),
  },
];
