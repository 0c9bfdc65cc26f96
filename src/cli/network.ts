// rnx network: networks that jobs are attached to.

import type { NetworkDetail } from '../client/messages.ts';
import { createNetwork, getNetwork, listNetworks, removeNetwork } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { formatBandwidth } from '../shared/units.ts';
import { command } from './command.ts';
import { egressFlags, egressLines, toEgress } from './egress.ts';
import { jsonText, localTime, table, visible } from './print.ts';

const DEADLINE_MS = 10_000;

export const networkCreate = command({
  usage: 'rnx network create NAME --cidr=RANGE [--bandwidth=SPEED]',
  summary: 'Makes a network: its jobs reach each other by name, and the outside by NAT.',
  notes: [
    'RANGE is private and overlaps nothing that the host or another network uses.',
    'SPEED is for all its jobs together, in each direction: 100mbit, 10MB/s, 512KB.',
  ],
  examples: [
    'rnx network create test-env --cidr=10.10.0.0/24',
    'rnx network create slow --cidr=10.20.0.0/24 --bandwidth=10mbit',
  ],
  flags: {
    cidr: { kind: 'text', value: 'RANGE', help: 'its addresses, such as 10.10.0.0/24' },
    bandwidth: {
      kind: 'bandwidth',
      value: 'SPEED',
      help: 'what its jobs may send in all, and receive',
    },
    ...egressFlags,
  },
  words: [1, 1],
  missing: 'what is it to be called? Say rnx network create NAME --cidr=10.10.0.0/24',
  run: async ({ cidr, bandwidth, ...rules }, [name = ''], session) => {
    if (cidr === undefined) {
      throw new JobletError(
        'invalid',
        `which addresses? Say rnx network create ${name} --cidr=10.10.0.0/24`,
      );
    }
    const connection = await session.connect();
    const made = await connection.unary(
      createNetwork,
      { name, cidr, bandwidthBytesPerSecond: BigInt(bandwidth ?? 0), egress: toEgress(rules) },
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
    await session.out.write(
      session.json
        ? jsonText({ name: made.name, cidr: made.cidr, cidr6: made.cidr6, bridge: made.bridge })
        : [
            'Network created successfully:',
            `Name: ${visible(made.name)}`,
            `CIDR: ${visible(made.cidr)}`,
            `Bridge: ${visible(made.bridge)}`,
            `Use it: rnx job run --network=${visible(made.name)} COMMAND\n`,
          ].join('\n'),
    );
    return 0;
  },
});

export const networkList = command({
  usage: 'rnx network list',
  summary: 'Lists networks, the built-in ones first.',
  examples: ['rnx network list', 'rnx --json network list'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, session) => {
    const connection = await session.connect();
    const { networks } = await connection.unary(
      listNetworks,
      {},
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
    const { out, json } = session;
    await out.write(
      json ? jsonText({ networks: networks.map(jsonOf) }) : tableOf(networks, out.columns ?? 0),
    );
    return 0;
  },
});

export const networkInspect = command({
  usage: 'rnx network inspect NAME',
  summary: 'Shows a network and the jobs that are attached to it.',
  examples: ['rnx network inspect test-env'],
  flags: {},
  words: [1, 1],
  missing: 'which network? Say its name: rnx network inspect NAME (rnx network list shows them)',
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    const network = await connection.unary(
      getNetwork,
      { name },
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
    const jobs = network.jobs.map(({ uuid, name: job, addresses, publish }) => ({
      uuid,
      name: job,
      addresses,
      publish,
    }));
    await session.out.write(
      session.json ? jsonText({ ...jsonOf(network), jobs }) : textOf(network),
    );
    return 0;
  },
});

export const networkRemove = command({
  usage: 'rnx network remove NAME',
  summary: 'Removes a network that no job uses.',
  examples: ['rnx network remove test-env'],
  flags: {},
  words: [1, 1],
  missing: 'which network? Say its name: rnx network remove NAME (rnx network list shows them)',
  run: async (_values, [name = ''], session) => {
    const connection = await session.connect();
    const { success, message } = await connection.unary(
      removeNetwork,
      { name },
      { deadlineMs: session.deadlineMs(DEADLINE_MS) },
    );
    await session.out.write(
      session.json ? jsonText({ name, success, message }) : `${visible(message)}\n`,
    );
    return 0;
  },
});

function jsonOf(network: NetworkDetail) {
  const { name, cidr, cidr6, bridge, builtin, peers, gateway } = network;
  return {
    ...{ name, cidr, cidr6, bridge, builtin, peers, gateway },
    job_count: network.jobCount,
    bandwidth_bytes_per_second: Number(network.bandwidthBytesPerSecond),
    egress: network.egress,
    created_time: network.createdTime,
  };
}

function tableOf(networks: readonly NetworkDetail[], columns: number): string {
  const rows = networks.map(({ name, cidr, bridge, builtin, jobCount }) => [
    `${visible(name)}${builtin ? ' (built-in)' : ''}`,
    visible(cidr) || '-',
    visible(bridge) || '-',
    String(jobCount),
  ]);
  const titles = [
    { title: 'NAME', width: 24 },
    { title: 'CIDR', width: 18 },
    { title: 'BRIDGE', width: 12 },
    { title: 'JOBS', width: 4 },
  ];
  return table(titles, rows, columns, 8);
}

function textOf(network: NetworkDetail): string {
  const speed = Number(network.bandwidthBytesPerSecond);
  const lines = [
    `Name: ${visible(network.name)}${network.builtin ? ' (built-in)' : ''}`,
    `CIDR: ${visible(network.cidr) || '-'}`,
    `IPv6: ${visible(network.cidr6) || '-'}`,
    `Gateway: ${visible(network.gateway) || '-'}`,
    `Bridge: ${visible(network.bridge) || '-'}`,
    `Jobs reach each other: ${network.peers ? 'yes' : 'no'}`,
    ...egressLines(network.egress),
    `Bandwidth: ${speed === 0 ? 'no limit' : `${formatBandwidth(speed)} each way`}`,
    ...(network.createdTime === '' ? [] : [`Created: ${localTime(network.createdTime)}`]),
    `Jobs: ${network.jobCount}`,
    ...network.jobs.flatMap(({ uuid, name, addresses, publish }) => [
      `  ${visible(uuid)}  ${addresses.map(visible).join('  ')}  ${visible(name)}`,
      ...(publish.length === 0 ? [] : [`    published: ${publish.map(visible).join(', ')}`]),
    ]),
  ];
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}
