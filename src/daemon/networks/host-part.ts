// The host's part of the networks: devices, routes, rules and resolvers. It is made when the first job
// needs it and goes when no job does.

import { formatCidr, network6 } from '../../shared/cidr.ts';
import { JobletError, messageOf } from '../../shared/errors.ts';
import type { FlowSource } from '../linux/flow-source.ts';
import type { HostNetwork } from '../linux/host-network.ts';
import type { Log } from '../log.ts';
import type { Catalogue } from './catalogue.ts';
import type { FlowLog } from './flows.ts';
import type { Network } from './network.ts';
import type { Names, Resolver } from './resolver.ts';
import {
  type Facts,
  formatLimits,
  formatRules,
  gatewaysOf,
  isDevice,
  limitersOf,
  replacing,
} from './rules.ts';

interface HostPartParts {
  readonly catalogue: Catalogue;
  readonly host: HostNetwork;
  readonly resolver: Resolver;
  readonly flowSource: FlowSource;
  readonly flows: Pick<FlowLog, 'told' | 'lost'>;
  /** What jobs are told about names in a network. */
  readonly namesIn: (network: Network) => Names;
  /** Resolves when the jobs that an earlier daemon started are known with all that rules say of them. */
  readonly resumed: () => Promise<unknown>;
  /** The jobs that rules are about. */
  readonly jobs: () => Pick<Facts, 'watched' | 'published'>;
  readonly log: Log;
}

export class HostPart {
  readonly #parts: HostPartParts;
  readonly #namePorts = new Map<string, number>();
  #prepared: Promise<void> | undefined;
  #refreshed: Promise<void> | undefined;
  /** Changes of the host, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: HostPartParts) {
    this.#parts = parts;
  }

  /** Makes it, unless it is there. */
  prepare(): Promise<void> {
    this.#prepared ??= this.inTurn(async () => {
      const { catalogue, host, resumed } = this.#parts;
      await catalogue.define();
      await resumed();
      host.forward();
      await this.#apply();
      await host.changeRules(formatLimits(this.#limits, catalogue.id));
      this.watchFlows();
    }).catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  /** Brings it to the networks that there are by now, in a turn of the caller's, where it is there at all. */
  async follow(): Promise<void> {
    if (this.#prepared !== undefined) await this.#apply();
  }

  /** The same when a network is gone. */
  async forget(network: Network): Promise<void> {
    this.#parts.resolver.close(network.name);
    if (this.#prepared === undefined) return;
    await this.#apply();
    await this.#parts.host.dropLinks(this.#routesOf(network, 'del'));
  }

  /** Puts the rules as they are now in force. Whoever asks while others wait for it shares theirs. */
  refresh(): Promise<void> {
    this.#refreshed ??= this.inTurn(() => {
      this.#refreshed = undefined;
      return this.#changeRules();
    });
    return this.#refreshed;
  }

  /** Adds to the rules. */
  add(formatted: (table: string) => string): Promise<void> {
    return this.inTurn(() => this.#parts.host.changeRules(formatted(this.#table)));
  }

  inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(body, body);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Begins to record flows, those too that stand. */
  watchFlows(): void {
    const { flowSource, flows } = this.#parts;
    flowSource.start(this.#logGroup, {
      told: (news) => flows.told(news),
      lost: () => flows.lost(),
    });
    this.#tellRanges();
    void flowSource.dump();
  }

  stopAnswering(): void {
    this.#parts.resolver.stop();
  }

  /** Takes it off the host. */
  async remove(): Promise<void> {
    const { catalogue, host, log } = this.#parts;
    if (this.#prepared === undefined) return;
    await this.#prepared.catch(() => {});
    try {
      await host.changeRules(replacing(this.#table) + replacing(this.#limits));
      await host.dropLinks([
        ...catalogue.all().flatMap((network) => this.#routesOf(network, 'del')),
        ...this.#devices().map((name) => `link del ${name}`),
      ]);
      host.unforward();
    } catch (error) {
      log.warn('the networks could not be taken off the host', { why: messageOf(error) });
    }
  }

  get #table(): string {
    return `joblet_${this.#parts.catalogue.id}`;
  }

  get #limits(): string {
    return `${this.#table}_limits`;
  }

  /** One of 65,535, as the kernel numbers those that hear of packets. */
  get #logGroup(): number {
    return 1 + (Number.parseInt(this.#parts.catalogue.id.slice(2), 36) % 0xffff);
  }

  #tellRanges(): void {
    const { catalogue, flowSource } = this.#parts;
    const v4 = catalogue.all().map(({ cidr }) => formatCidr(cidr));
    const v6 = catalogue.prefix6 === '' ? [] : [`${catalogue.prefix6}::/48`];
    flowSource.setRanges([...v4, ...v6]);
  }

  /** Devices, routes and resolvers that are missing, then all rules at once. */
  async #apply(): Promise<void> {
    const { catalogue, host, resolver, namesIn } = this.#parts;
    const networks = catalogue.all();
    const limiters = networks.flatMap((network) => {
      const { sends, receives } = limitersOf(catalogue.id, network) ?? {};
      const names = sends === undefined || receives === undefined ? [] : [sends, receives];
      return names.map((name) => ({ name, bytesPerSecond: network.bytesPerSecond }));
    });
    const wanted = new Set([
      ...networks.map((network) => catalogue.bridgeOf(network)),
      ...limiters.map(({ name }) => name),
    ]);
    const found = this.#devices();
    const missing = networks.filter((network) => !found.includes(catalogue.bridgeOf(network)));
    const strays = found.filter((name) => !wanted.has(name));
    const newLimiters = limiters.filter(({ name }) => !found.includes(name));
    const changes = [
      ...strays.map((name) => `link del ${name}`),
      ...missing.flatMap((network) => this.#deviceOf(network)),
      ...newLimiters.map(({ name }) => `link add ${name} type ifb`),
    ];
    // No job has an interface by now, or the rules of the daemon before are in force.
    if (changes.length > 0) await host.changeLinks(changes);
    if (newLimiters.length > 0) await host.limit(newLimiters);
    for (const network of networks) {
      const port = await resolver.listen(catalogue.gatewaysOf(network), namesIn(network));
      this.#namePorts.set(network.name, port);
    }
    this.#tellRanges();
    await this.#changeRules();
    const inForce = await host.readRules(this.#table);
    if (!inForce.includes('jump from_job') || !inForce.includes('goto refuse')) {
      throw new JobletError('unavailable', 'the kernel does not have the rules that it was given');
    }
  }

  async #changeRules(): Promise<void> {
    const { catalogue, host, jobs } = this.#parts;
    const rules = formatRules({
      table: this.#table,
      interfaces: catalogue.id,
      prefix6: catalogue.prefix6,
      networks: catalogue.all(),
      namePorts: this.#namePorts,
      ...jobs(),
      nowMs: Date.now(),
      logGroup: this.#logGroup,
      forwardedForUs: host.forwardedForUs,
    });
    await host.changeRules(rules);
  }

  /** The devices of networks, ours and those that are left of removed ones, without the jobs'. */
  #devices(): string[] {
    const { host, catalogue } = this.#parts;
    return host.devicesOf(catalogue.id).filter((name) => isDevice(catalogue.id, name));
  }

  /** What holds the gateway's addresses. Nothing is ever sent through it. */
  #deviceOf(network: Network): string[] {
    const { catalogue } = this.#parts;
    const name = catalogue.bridgeOf(network);
    return [
      `link add ${name} type bridge`,
      // In a step of its own: a device that is up has its link-local address already.
      ...(catalogue.prefix6 === '' ? [] : [`link set ${name} addrgenmode none`]),
      `link set ${name} arp off`,
      `link set ${name} up`,
      ...gatewaysOf(catalogue.prefix6, network).map(([family, address]) =>
        family === 'ip'
          ? `address add ${address}/32 dev ${name}`
          : `address add ${address}/128 dev ${name} nodad`,
      ),
      ...this.#routesOf(network, 'replace'),
    ];
  }

  /** What is sent to an address that no job has goes nowhere, and not out of the host. */
  #routesOf({ cidr, number }: Network, verb: 'replace' | 'del'): string[] {
    const { prefix6 } = this.#parts.catalogue;
    const v4 = `route ${verb} unreachable ${formatCidr(cidr)}`;
    return prefix6 === ''
      ? [v4]
      : [v4, `route ${verb} unreachable ${network6(prefix6, number)}::/64`];
  }
}
