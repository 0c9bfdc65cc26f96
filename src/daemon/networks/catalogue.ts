// The networks that there are: the only owner of their rows, with the ranges of addresses that they have.

import { createHash } from 'node:crypto';
import {
  address6,
  type Cidr,
  candidates,
  canonical6,
  findFree,
  formatAddress,
  formatCidr,
  localPrefix,
  network6,
  overlaps,
  parseCidr,
} from '../../shared/cidr.ts';
import { type Egress, OPEN } from '../../shared/egress.ts';
import { JobletError, unnamed } from '../../shared/errors.ts';
import { checkName } from '../../shared/names.ts';
import type { Actor } from '../audit/record.ts';
import type { HostNetwork } from '../linux/host-network.ts';
import { HOST_NETWORK, type Network, NO_NETWORK } from './network.ts';
import { type HostRange, rangesOfHost } from './ranges.ts';
import { deviceOf, gatewaysOf } from './rules.ts';
import type { NetworkStore } from './store.ts';

export interface CatalogueConfig {
  /** What this daemon is told apart by from others on the host: the path of its state. */
  readonly instance: string;
  /** Where the built-in networks lie; undefined lets them be found. */
  readonly cidrs: Readonly<Record<string, Cidr | undefined>>;
  readonly maxCustom: number;
  /** Whether there is the network `host`. */
  readonly allowHost: boolean;
}

interface CatalogueParts {
  readonly config: CatalogueConfig;
  readonly store: NetworkStore;
  readonly host: Pick<HostNetwork, 'hasIpv6' | 'readRanges'>;
  /** Hears of each network that there is from now on. */
  readonly known: (network: Network) => void;
}

export interface NetworkWish {
  readonly name: string;
  readonly cidr: string;
  readonly bytesPerSecond: number;
  readonly egress: Egress;
}

/** A network as it is shown. */
export interface NetworkView {
  readonly name: string;
  /** Empty where it has none yet. */
  readonly cidr: string;
  readonly cidr6: string;
  readonly gateway: string;
  readonly bridge: string;
  readonly isBuiltin: boolean;
  readonly peers: boolean;
  readonly jobCount: number;
  readonly bytesPerSecond: number;
  readonly egress: Egress;
  readonly createdAtMs: number;
}

/** Networks that are always there. */
const BUILTIN: readonly { readonly name: string; readonly peers: boolean; readonly usual: Cidr }[] =
  [
    { name: 'isolated', peers: false, usual: { first: 0xac150000, prefix: 16 } }, // 172.21.0.0/16
    { name: 'bridge', peers: true, usual: { first: 0xac140000, prefix: 16 } }, // 172.20.0.0/16
  ];

/** Nobody's, though they are there or were elsewhere. */
const RESERVED = [NO_NETWORK, HOST_NETWORK, 'default'];

/** The kernel's names of interfaces have 15 characters: 6 of the daemon, 5 of the network, 4 for each. */
const MAX_NUMBER = 999;

export class Catalogue {
  /** Begins all names of this daemon on the host: 6 characters. */
  readonly id: string;
  readonly #parts: CatalogueParts;
  readonly #networks = new Map<string, Network>();

  constructor(parts: CatalogueParts) {
    this.#parts = parts;
    this.id = idOf(parts.config.instance);
    for (const network of parts.store.networks()) this.#know(network);
  }

  /** Of IPv6 addresses; empty where the host has no IPv6. */
  get prefix6(): string {
    const { host, config } = this.#parts;
    return host.hasIpv6 ? localPrefix(config.instance) : '';
  }

  /** Those that have a range by now. */
  all(): Network[] {
    return [...this.#networks.values()];
  }

  find(name: string): Network | undefined {
    return this.#networks.get(name);
  }

  /** Throws `not-found`. */
  get(name: string): Network {
    const network = this.#networks.get(name);
    if (network === undefined) throw this.notFound(name);
    return network;
  }

  /** Whether jobs can be on it; `none` is always there. */
  has(name: string): boolean {
    if (name === HOST_NETWORK) return this.#parts.config.allowHost;
    return name === NO_NETWORK || this.#networks.has(name) || isBuiltin(name);
  }

  names(): string[] {
    const builtin = BUILTIN.map(({ name }) => name);
    const host = this.#parts.config.allowHost ? [HOST_NETWORK] : [];
    return [...new Set([NO_NETWORK, ...host, ...builtin, ...this.#networks.keys()])];
  }

  notFound(name: string): JobletError {
    if (name === '') return unnamed('name', 'the name of a network');
    const message = `network not found: ${name}; there is ${this.names().join(', ')}`;
    return new JobletError('not-found', message, { about: 'network' });
  }

  /** What holds the gateway's addresses on the host. */
  bridgeOf(network: Pick<Network, 'number'>): string {
    return deviceOf(this.id, network);
  }

  gatewaysOf(network: Network): string[] {
    return gatewaysOf(this.prefix6, network).map(([, address]) => address);
  }

  /** What an address of a network is in each family. */
  addressesOf({ number }: Network, address: number): string[] {
    const v4 = formatAddress(address);
    return this.prefix6 === '' ? [v4] : [v4, address6(this.prefix6, number, address)];
  }

  view(name: string, jobCount: number): NetworkView {
    const network = this.#networks.get(name);
    if (network === undefined) {
      const none = { cidr: '', cidr6: '', gateway: '', bridge: '', bytesPerSecond: 0 };
      const peers = name === 'bridge';
      return { name, ...none, egress: OPEN, createdAtMs: 0, isBuiltin: true, peers, jobCount };
    }
    const { cidr, number, ...shown } = network;
    const { prefix6 } = this;
    return {
      ...shown,
      cidr: formatCidr(cidr),
      cidr6: prefix6 === '' ? '' : `${canonical6(`${network6(prefix6, number)}::`)}/64`,
      gateway: formatAddress(cidr.first + 1),
      bridge: this.bridgeOf(network),
      jobCount,
    };
  }

  /** Gives the built-in networks their ranges, once. */
  async define(): Promise<void> {
    if (BUILTIN.every(({ name }) => this.#networks.has(name))) return;
    const hostRanges = (await this.#hostRanges()).map(([range]) => range);
    for (const { name, peers, usual } of BUILTIN) {
      if (this.#networks.has(name)) continue;
      const wanted = this.#parts.config.cidrs[name];
      const others = [...hostRanges, ...this.all().map(({ cidr }) => cidr)];
      const cidr = findFree(wanted === undefined ? candidates(usual) : [wanted], others);
      if (cidr === undefined) {
        throw new JobletError(
          'unavailable',
          wanted === undefined
            ? `no private range is free for the network ${name}; set network.${name}Cidr`
            : `network.${name}Cidr ${formatCidr(wanted)} overlaps what this host uses; choose another range`,
        );
      }
      await this.#add({ name, cidr, peers, isBuiltin: true, bytesPerSecond: 0, egress: OPEN });
    }
  }

  /** Makes a network whose jobs reach each other. */
  async create(wish: NetworkWish, who: Actor): Promise<Network> {
    const cidr = this.#checked(wish);
    await this.define();
    await this.#checkRoom(cidr);
    return this.#add({ ...wish, cidr, peers: true, isBuiltin: false }, who);
  }

  /** Removes one that no job uses, of `jobs`. */
  async remove(name: string, jobs: number, who: Actor): Promise<Network> {
    if (name === NO_NETWORK || name === HOST_NETWORK || isBuiltin(name)) {
      throw new JobletError('wrong-state', `network ${name} is built in and cannot be removed`);
    }
    const network = this.get(name);
    if (jobs > 0) {
      throw new JobletError(
        'wrong-state',
        `network ${name} is in use by ${jobs} ${jobs === 1 ? 'job' : 'jobs'} (waiting ones too); stop them first`,
      );
    }
    await this.#parts.store.remove(name, Date.now(), who);
    this.#networks.delete(name);
    return network;
  }

  async #add(facts: Omit<Network, 'number' | 'createdAtMs'>, who?: Actor): Promise<Network> {
    const network = { ...facts, number: this.#freeNumber(), createdAtMs: Date.now() };
    await this.#parts.store.add(network, who);
    this.#know(network);
    return network;
  }

  #know(network: Network): void {
    this.#networks.set(network.name, network);
    this.#parts.known(network);
  }

  #checked({ name, cidr: text }: NetworkWish): Cidr {
    const problem = RESERVED.includes(name)
      ? 'is taken: it means something already; use another'
      : checkName(name);
    const cidr = parseCidr(text);
    const problems = [
      ...(problem === undefined ? [] : [{ field: 'name', message: problem }]),
      ...(typeof cidr === 'string' ? [{ field: 'cidr', message: cidr }] : []),
    ];
    if (problems.length > 0 || typeof cidr === 'string') {
      const message = problems.map((each) => `${each.field} ${each.message}`).join('; ');
      throw new JobletError('invalid', message, { problems });
    }
    if (this.#networks.has(name) || isBuiltin(name)) {
      throw new JobletError('exists', `network ${name} exists already`, { about: 'name' });
    }
    const custom = this.all().filter((network) => !network.isBuiltin).length;
    const most = this.#parts.config.maxCustom;
    if (custom >= most) {
      throw new JobletError(
        'exhausted',
        `there are ${custom} networks already, of at most ${most} (network.max_custom_networks)`,
      );
    }
    return cidr;
  }

  async #checkRoom(cidr: Cidr): Promise<void> {
    const ours = this.all().map((each): HostRange => [each.cidr, ` of network ${each.name}`]);
    const hosts = (await this.#hostRanges()).map(
      ([range, owner]): HostRange => [range, `, ${owner} of this host`],
    );
    const found = [...ours, ...hosts].find(([range]) => overlaps(range, cidr));
    if (found === undefined) return;
    const [range, owner] = found;
    const message = `${formatCidr(cidr)} overlaps ${formatCidr(range)}${owner}; use another range`;
    throw new JobletError('invalid', `cidr ${message}`, {
      problems: [{ field: 'cidr', message }],
    });
  }

  /** Ranges that the host uses itself. */
  async #hostRanges(): Promise<HostRange[]> {
    const ours = this.all().map(({ cidr }) => formatCidr(cidr));
    return rangesOfHost(await this.#parts.host.readRanges(), ours, `${this.id}n`);
  }

  #freeNumber(): number {
    const taken = new Set(this.all().map(({ number }) => number));
    for (let number = 1; number <= MAX_NUMBER; number++) if (!taken.has(number)) return number;
    throw new JobletError('exhausted', `there are ${MAX_NUMBER} networks already`);
  }
}

function idOf(instance: string): string {
  const hash = createHash('sha256').update(instance).digest().readUInt32BE() % 36 ** 4;
  return `jl${hash.toString(36).padStart(4, '0')}`;
}

function isBuiltin(name: string): boolean {
  return BUILTIN.some((each) => each.name === name);
}
