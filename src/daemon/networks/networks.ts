// The networks of this node: the only owner of their rows, of the host's part of them, and of what jobs
// have of them. The host's part is made when the first job needs it and goes when no job does.

import { createHash } from 'node:crypto';
import { SocketAddress } from 'node:net';
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
  sizeOf,
} from '../../shared/cidr.ts';
import { type Egress, OPEN } from '../../shared/egress.ts';
import { JobletError, messageOf, unnamed } from '../../shared/errors.ts';
import { checkName } from '../../shared/names.ts';
import { type PublishedPort, parsePublished } from '../../shared/publish.ts';
import type { Actor } from '../audit/record.ts';
import type { FlowSource } from '../linux/flow-source.ts';
import type { HostNetwork } from '../linux/host-network.ts';
import type { AttachPort, Traffic } from '../linux/launcher.ts';
import type { Log } from '../log.ts';
import { isPublic } from './addresses-of-names.ts';
import { EgressRules } from './egress.ts';
import { type Attached, FlowLog } from './flows.ts';
import { HeldPorts } from './held-ports.ts';
import { type Attachment, HOST_NETWORK, type Network, NO_NETWORK } from './network.ts';
import { isReachedByLoopback, type Published } from './published.ts';
import type { Found, Resolver } from './resolver.ts';
import {
  deviceOf,
  formatLearned,
  formatLimits,
  formatRules,
  gatewaysOf,
  interfacesOf,
  isDevice,
  limitersOf,
  replacing,
} from './rules.ts';
import { type Slot, Slots, Unattached } from './slots.ts';
import type { NetworkStore } from './store.ts';

export interface NetworksConfig {
  /** What this daemon is told apart by from others on the host: the path of its state. */
  readonly instance: string;
  readonly defaultNetwork: string;
  /** Where the built-in networks lie; undefined lets them be found. */
  readonly cidrs: Readonly<Record<string, Cidr | undefined>>;
  readonly maxCustom: number;
  /** Whether there is the network `host`. */
  readonly allowHost: boolean;
}

export interface NetworksParts {
  readonly config: NetworksConfig;
  readonly store: NetworkStore;
  readonly port: AttachPort;
  readonly host: HostNetwork;
  readonly resolver: Resolver;
  readonly flowSource: FlowSource;
  /** Where the log of a job is. */
  readonly directoryOf: (jobId: string) => string;
  /** The resolvers that the host itself asks. */
  readonly hostNameServers: () => readonly string[];
  /** What the others of its network find a job by. */
  readonly namesOf: (jobId: string) => readonly string[];
  /** Jobs on a network that have not ended. */
  readonly usersOf: (name: string) => number;
  /** Hears what a job that has ended sent and received. */
  readonly sent: (jobId: string, traffic: Traffic) => void;
  readonly log: Log;
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

/** What a job wants of its network. */
export interface TakeWish {
  readonly name: string;
  /** 0 is no limit but the network's. */
  readonly bytesPerSecond: number;
  readonly egress: Egress;
  /** Ports of the host that lead into it, as texts. */
  readonly publish: readonly string[];
}

/** What a launch plan says of a job's network. */
export interface JobNetwork {
  readonly key: string;
  /** Stands behind names without a dot; empty is nothing. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly nameServers: readonly string[];
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
const INTERFACES = 36 ** 4;

/** A job of a network. */
export interface Member {
  readonly jobId: string;
  readonly addresses: readonly string[];
  readonly publish: readonly string[];
}

/** A job that holds a place in a network. */
interface Held {
  readonly attachment: Attachment;
  readonly slots: Slots;
}

/** What this launcher has given to a job. */
interface Lent {
  slot: Slot;
  readonly slots: Slots;
  readonly jobId: string;
  /** The job did not end in order: nothing of it is used again. */
  doomed: boolean;
  /** Somebody waits until it is given back. */
  returned: PromiseWithResolvers<void> | undefined;
}

export class Networks {
  readonly #parts: NetworksParts;
  readonly #id: string;
  readonly #networks = new Map<string, Network>();
  readonly #slots = new Map<string, Slots>();
  readonly #held = new Map<string, Held>();
  readonly #lent = new Map<string, Lent>();
  readonly #egress = new EgressRules();
  readonly #ports = new HeldPorts();
  readonly flows: FlowLog;
  #interface = Math.floor(Math.random() * INTERFACES);
  #prepared: Promise<void> | undefined;
  #refreshed: Promise<void> | undefined;
  readonly #namePorts = new Map<string, number>();
  /** Changes of the host, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: NetworksParts) {
    this.#parts = parts;
    this.#id = idOf(parts.config.instance);
    const { directoryOf, flowSource, log } = parts;
    this.flows = new FlowLog({
      directoryOf,
      dump: () => flowSource.dump(),
      mark: () => flowSource.mark(),
      nameOf: (jobId) => parts.namesOf(jobId)[0] ?? '',
      log,
    });
    for (const network of parts.store.networks()) this.#know(network);
    for (const attachment of parts.store.attachments()) {
      const network = this.#networks.get(attachment.network);
      if (network === undefined) continue;
      const slots = this.#slotsOf(network);
      slots.retake(attachment.address);
      this.#held.set(attachment.jobId, { attachment, slots });
      this.#egress.setJob(attachment.interface, network.name, attachment.egress);
    }
  }

  /** Makes the host ready, where jobs will need it soon. */
  start(): void {
    const { config, log } = this.#parts;
    // Jobs that ended meanwhile are about to be forgotten.
    if (this.#held.size > 0) this.#watchFlows();
    for (const { attachment } of this.#held.values()) {
      this.#holdAgain(attachment);
      this.flows.resume(this.#attached(attachment));
    }
    if (config.defaultNetwork === NO_NETWORK && this.#held.size === 0) return;
    const network = this.#networks.get(config.defaultNetwork);
    void this.#prepare()
      .then(() => network && this.#slotsOf(network).fill())
      .catch((error: unknown) =>
        log.warn('jobs have no network but their loopback until this is repaired', {
          why: messageOf(error),
        }),
      );
  }

  /** Gives up what no job needs. Jobs that run keep their network. */
  async stop(): Promise<void> {
    const { host, log } = this.#parts;
    for (const slots of this.#slots.values()) slots.close();
    this.#parts.resolver.stop();
    this.#ports.stop();
    await this.#parts.flowSource.stop();
    this.flows.stop();
    if (this.#prepared === undefined || this.#held.size > 0) return;
    await this.#prepared.catch(() => {});
    try {
      await host.changeRules(replacing(this.#table) + replacing(this.#limits));
      await host.changeLinks([
        ...this.#all().flatMap((network) => this.#routesOf(network, 'del')),
        ...this.#devices().map((name) => `link del ${name}`),
      ]);
      host.unforward();
    } catch (error) {
      log.warn('the networks could not be taken off the host', { why: messageOf(error) });
    }
  }

  /** Whether jobs can be attached to it; `none` is always there. */
  has(name: string): boolean {
    if (name === HOST_NETWORK) return this.#parts.config.allowHost;
    return name === NO_NETWORK || this.#networks.has(name) || isBuiltin(name);
  }

  names(): string[] {
    const builtin = BUILTIN.map(({ name }) => name);
    const host = this.#parts.config.allowHost ? [HOST_NETWORK] : [];
    return [...new Set([NO_NETWORK, ...host, ...builtin, ...this.#networks.keys()])];
  }

  list(): NetworkView[] {
    const views = this.names().map((name) => this.#viewOf(name));
    return views.toSorted(
      (a, b) => Number(b.isBuiltin) - Number(a.isBuiltin) || compare(a.name, b.name),
    );
  }

  /** Throws `not-found`. */
  get(name: string): NetworkView {
    if (!this.has(name)) throw notFound(name, this.names());
    return this.#viewOf(name);
  }

  /** Makes a network whose jobs reach each other. */
  create(wish: NetworkWish, who: Actor): Promise<NetworkView> {
    return this.#inTurn(async () => {
      const cidr = this.#checked(wish);
      await this.#define();
      await this.#checkRoom(cidr);
      const network: Network = {
        name: wish.name,
        number: this.#freeNumber(),
        cidr,
        peers: true,
        isBuiltin: false,
        bytesPerSecond: wish.bytesPerSecond,
        egress: wish.egress,
        createdAtMs: Date.now(),
      };
      await this.#parts.store.add(network, who);
      this.#know(network);
      // The host's part of it is made with the first job, or now where there are others.
      if (this.#prepared !== undefined) await this.#apply();
      this.#parts.log.info('network created', { network: network.name, cidr: formatCidr(cidr) });
      return this.#viewOf(network.name);
    });
  }

  /** Removes a network that no job uses. */
  remove(name: string, who: Actor): Promise<void> {
    return this.#inTurn(async () => {
      const { store, host, usersOf, log } = this.#parts;
      if (name === NO_NETWORK || name === HOST_NETWORK || isBuiltin(name)) {
        throw new JobletError('wrong-state', `network ${name} is built in and cannot be removed`);
      }
      const network = this.#networks.get(name);
      if (network === undefined) throw notFound(name, this.names());
      const jobs = usersOf(name);
      if (jobs > 0) {
        throw new JobletError(
          'wrong-state',
          `network ${name} is in use by ${jobs} ${jobs === 1 ? 'job' : 'jobs'} (waiting ones too); stop them first`,
        );
      }
      await store.remove(name, Date.now(), who);
      this.#networks.delete(name);
      this.#egress.forgetNetwork(name);
      this.#slots.get(name)?.close();
      this.#slots.delete(name);
      this.#parts.resolver.close(name);
      if (this.#prepared !== undefined) {
        await this.#apply();
        await host.changeLinks(this.#routesOf(network, 'del'));
      }
      log.info('network removed', { network: name });
    });
  }

  /** Attaches a job. Undefined for a job on no network. Throws what is in the way. */
  async take(
    jobId: string,
    { name, bytesPerSecond, egress, publish }: TakeWish,
  ): Promise<JobNetwork | undefined> {
    if (name === NO_NETWORK) return undefined;
    if (name === HOST_NETWORK) return this.#hostNetwork();
    const ports = portsOf(publish);
    if (ports.length > 0) await this.#holdPorts(jobId, ports);
    await this.#prepare().catch((cause: unknown) => {
      throw new Unattached(messageOf(cause), 'ENETDOWN');
    });
    const network = this.#networks.get(name);
    if (network === undefined) throw notFound(name, this.names());
    const slots = this.#slotsOf(network);
    const slot = await slots.take(bytesPerSecond);
    const { key, address } = slot;
    const attachment = { jobId, network: name, address, interface: key, egress, publish };
    this.#held.set(jobId, { attachment, slots });
    this.#lent.set(key, { slot, slots, jobId, doomed: false, returned: undefined });
    this.flows.begin(this.#attached(attachment));
    this.#egress.setJob(key, name, egress);
    if (isReachedByLoopback(ports)) this.#parts.host.openLoopback(key);
    if (this.#egress.isWatched(key) || ports.length > 0) {
      await Promise.all([this.#parts.store.attach(attachment), this.#refresh()]);
    } else this.#parts.store.attachSoon(attachment);
    return {
      key,
      name,
      addresses: this.#addressesOf(network, slot.address),
      nameServers: gatewaysOf(this.#prefix6, network).map(([, address]) => address),
    };
  }

  /**
   * Gives back what a job has. `inOrder` says that the launcher cleared up behind it; doing it twice
   * does no harm.
   */
  release(jobId: string, inOrder: boolean): void {
    this.#ports.release(jobId);
    const held = this.#held.get(jobId);
    if (held === undefined) return;
    this.#held.delete(jobId);
    this.#parts.store.detach(jobId);
    this.flows.end(jobId);
    const { interface: key, address, publish } = held.attachment;
    const lent = this.#lent.get(key);
    // The next job is not to come under its rules.
    if (lent !== undefined && (this.#egress.isWatched(key) || publish.length > 0))
      lent.slot = { ...lent.slot, isOwn: true };
    if (publish.length > 0) this.#unpublish(held);
    this.#egress.forgetJob(key);
    // What an earlier launcher gave is gone with the job; what this one gave it says itself.
    if (lent === undefined) held.slots.rest(address);
    else if (!inOrder) {
      lent.doomed = true;
      this.#parts.port.detach(key);
    }
  }

  /** Gives back what jobs had that are not known any more. */
  sweep(known: ReadonlySet<string>): void {
    for (const jobId of this.#held.keys()) if (!known.has(jobId)) this.release(jobId, false);
  }

  /** Whether ports of the host can lead into a job now. @throws JobletError naming one that is taken */
  checkPorts(publish: readonly string[]): Promise<void> {
    return this.#ports.check(portsOf(publish));
  }

  /** The addresses of a job that is attached. */
  addressesOf(jobId: string): readonly string[] {
    const attachment = this.#held.get(jobId)?.attachment;
    const network = attachment && this.#networks.get(attachment.network);
    return network === undefined ? [] : this.#addressesOf(network, attachment?.address ?? 0);
  }

  /** The rules of a job that is attached. */
  findEgress(jobId: string): Egress | undefined {
    return this.#held.get(jobId)?.attachment.egress;
  }

  /**
   * Gives a running job other rules. When it resolves they are in force, for connections that stand too,
   * and would survive a power cut.
   */
  async changeEgress(jobId: string, change: (now: Egress) => Egress, who: Actor): Promise<Egress> {
    const { attachment, slots } = this.#getHeld(jobId);
    const egress = change(attachment.egress);
    const changed = { ...attachment, egress };
    this.#held.set(jobId, { attachment: changed, slots });
    this.#egress.setJob(attachment.interface, attachment.network, egress);
    await this.#refresh();
    const allowed = egress.closed ? `only ${egress.allow.join(' ')}` : 'all';
    const words = `${allowed}; not ${egress.deny.join(' ')}`;
    await this.#parts.store.change(changed, words, Date.now(), who);
    return egress;
  }

  #hostNetwork(): JobNetwork {
    // It may have been allowed when the job was accepted.
    if (!this.has(HOST_NETWORK)) throw notFound(HOST_NETWORK, this.names());
    return { key: 'pool', name: '', addresses: [], nameServers: this.#parts.hostNameServers() };
  }

  async #holdPorts(jobId: string, ports: readonly PublishedPort[]): Promise<void> {
    try {
      await this.#ports.hold(jobId, ports);
    } catch (error) {
      throw new Unattached(messageOf(error), 'EADDRINUSE');
    }
  }

  /** The ports of a job that an earlier daemon started: their rules are in force. */
  #holdAgain({ jobId, publish }: Attachment): void {
    if (publish.length === 0) return;
    void this.#ports.retake(jobId, portsOf(publish)).catch((error: unknown) =>
      this.#parts.log.warn(
        'a published port was taken while no daemon ran; it leads into the job',
        {
          job: jobId,
          why: messageOf(error),
        },
      ),
    );
  }

  /** Leads nobody to a job that is over, and forgets who was. */
  #unpublish({ attachment: { jobId, address }, slots }: Held): void {
    void this.#refresh()
      .then(() => slots.cutOff(address))
      .catch((error: unknown) =>
        this.#parts.log.warn('published ports of an ended job cannot be closed', {
          job: jobId,
          why: messageOf(error),
        }),
      );
  }

  #published(): Published[] {
    return [...this.#held.values()].flatMap(({ attachment }) => {
      const { jobId, interface: key, publish } = attachment;
      const network = this.#networks.get(attachment.network);
      if (publish.length === 0 || network === undefined) return [];
      const gateways = gatewaysOf(this.#prefix6, network).map(([, address]) => address);
      return [{ key, addresses: this.addressesOf(jobId), gateways, ports: portsOf(publish) }];
    });
  }

  #getHeld(jobId: string): Held {
    const held = this.#held.get(jobId);
    if (held !== undefined) return held;
    throw new JobletError('wrong-state', `job is not attached to a network: ${jobId}`, {
      about: 'uuid',
    });
  }

  /** The jobs that are attached to a network. */
  membersOf(name: string): Member[] {
    return [...this.#held.values()]
      .filter(({ attachment }) => attachment.network === name)
      .map(({ attachment: { jobId, publish } }) => {
        return { jobId, addresses: this.addressesOf(jobId), publish };
      });
  }

  /** The launcher says what became of what a job had. */
  detached(key: string, unused: boolean, traffic: Traffic): void {
    const lent = this.#lent.get(key);
    if (lent === undefined) return;
    this.#lent.delete(key);
    if (!unused) this.#parts.sent(lent.jobId, traffic);
    lent.returned?.resolve();
    if (unused && !lent.doomed) lent.slots.giveBack(lent.slot);
    else if (unused) lent.slots.drop(lent.slot);
    else lent.slots.rest(lent.slot.address);
  }

  /** Resolves when a job that has ended has given back what it had: what it sent is known then. */
  async returned(jobId: string): Promise<void> {
    if (this.#held.has(jobId)) return;
    const lent = [...this.#lent.values()].find((each) => each.jobId === jobId);
    if (lent === undefined) return;
    lent.returned ??= Promise.withResolvers();
    await lent.returned.promise;
  }

  /** The launcher died: what waited is gone, and what jobs have goes with them. */
  launcherReplaced(): void {
    for (const slots of this.#slots.values()) slots.lose();
    for (const { slot, slots, jobId, returned } of this.#lent.values()) {
      if (!this.#held.has(jobId)) slots.rest(slot.address);
      returned?.resolve();
    }
    this.#lent.clear();
  }

  #attached({ jobId, network }: Attachment): Attached {
    const known = this.#networks.get(network);
    const gateways = known === undefined ? [] : gatewaysOf(this.#prefix6, known);
    return {
      jobId,
      addresses: this.addressesOf(jobId),
      gateways: gateways.map(([, address]) => address),
    };
  }

  /** Begins to record flows, those too that stand. */
  #watchFlows(): void {
    const { flowSource } = this.#parts;
    flowSource.start(this.#logGroup, {
      told: (news) => this.flows.told(news),
      lost: () => this.flows.lost(),
    });
    this.#tellRanges();
    void flowSource.dump();
  }

  #tellRanges(): void {
    const v4 = this.#all().map(({ cidr }) => formatCidr(cidr));
    const v6 = this.#prefix6 === '' ? [] : [`${this.#prefix6}::/48`];
    this.#parts.flowSource.setRanges([...v4, ...v6]);
  }

  get #limits(): string {
    return `${this.#table}_limits`;
  }

  /** One of 65,535, as the kernel numbers those that hear of packets. */
  get #logGroup(): number {
    return 1 + (Number.parseInt(this.#id.slice(2), 36) % 0xffff);
  }

  get #table(): string {
    return `joblet_${this.#id}`;
  }

  get #prefix6(): string {
    return this.#parts.host.hasIpv6 ? localPrefix(this.#parts.config.instance) : '';
  }

  #all(): Network[] {
    return [...this.#networks.values()];
  }

  #bridgeOf(network: Pick<Network, 'number'>): string {
    return deviceOf(this.#id, network);
  }

  /** The devices of networks, ours and those that are left of removed ones, without the jobs'. */
  #devices(): string[] {
    return this.#parts.host.devicesOf(this.#id).filter((name) => isDevice(this.#id, name));
  }

  #addressesOf({ number }: Network, address: number): string[] {
    const v4 = formatAddress(address);
    return this.#prefix6 === '' ? [v4] : [v4, address6(this.#prefix6, number, address)];
  }

  #slotsOf(network: Network): Slots {
    const known = this.#slots.get(network.name);
    if (known !== undefined) return known;
    const nextInterface = () => {
      this.#interface = (this.#interface + 1) % INTERFACES;
      return `${interfacesOf(this.#id, network)}${this.#interface.toString(36)}`;
    };
    const limiters = limitersOf(this.#id, network);
    const slots = new Slots(network, this.#prefix6, this.#parts.port, nextInterface, limiters);
    this.#slots.set(network.name, slots);
    return slots;
  }

  #viewOf(name: string): NetworkView {
    const network = this.#networks.get(name);
    const jobCount = this.#parts.usersOf(name);
    if (network === undefined) {
      const none = {
        cidr: '',
        cidr6: '',
        gateway: '',
        bridge: '',
        bytesPerSecond: 0,
        egress: OPEN,
        createdAtMs: 0,
      };
      return { name, ...none, isBuiltin: true, peers: name === 'bridge', jobCount };
    }
    const {
      number,
      cidr,
      peers,
      isBuiltin: builtin,
      bytesPerSecond,
      egress,
      createdAtMs,
    } = network;
    return {
      name,
      cidr: formatCidr(cidr),
      cidr6: this.#prefix6 === '' ? '' : `${canonical6(`${network6(this.#prefix6, number)}::`)}/64`,
      gateway: formatAddress(cidr.first + 1),
      bridge: this.#bridgeOf(network),
      isBuiltin: builtin,
      peers,
      jobCount,
      bytesPerSecond,
      egress,
      createdAtMs,
    };
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
      throw new JobletError(
        'invalid',
        problems.map((each) => `${each.field} ${each.message}`).join('; '),
        {
          problems,
        },
      );
    }
    if (this.#networks.has(name) || isBuiltin(name)) {
      throw new JobletError('exists', `network ${name} exists already`, { about: 'name' });
    }
    const custom = this.#all().filter((network) => !network.isBuiltin).length;
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
    const other = this.#all().find((network) => overlaps(network.cidr, cidr));
    const text = formatCidr(cidr);
    if (other !== undefined) {
      const message = `${text} overlaps ${formatCidr(other.cidr)} of network ${other.name}; use another range`;
      throw new JobletError('invalid', `cidr ${message}`, {
        problems: [{ field: 'cidr', message }],
      });
    }
    for (const [range, owner] of await this.#hostRanges()) {
      if (!overlaps(range, cidr)) continue;
      const message = `${text} overlaps ${formatCidr(range)}, ${owner} of this host; use another range`;
      throw new JobletError('invalid', `cidr ${message}`, {
        problems: [{ field: 'cidr', message }],
      });
    }
  }

  /** Ranges that the host uses itself. */
  async #hostRanges(): Promise<[range: Cidr, owner: string][]> {
    const { devices, routes } = await this.#parts.host.readRanges();
    const ours = new Set(this.#all().map(({ cidr }) => formatCidr(cidr)));
    const isOurs = (device: string) => device.startsWith(`${this.#id}n`);
    const found: [string, string][] = [
      ...devices
        .filter(({ name }) => !isOurs(name))
        .flatMap(({ name, addresses }) =>
          addresses.map((text): [string, string] => [text, `an address at ${name}`]),
        ),
      ...routes
        .filter(({ to, device }) => !ours.has(to) && !isOurs(device))
        .map(({ to, device }): [string, string] => [to, `a route${device && ` by ${device}`}`]),
    ];
    return found.flatMap(([text, owner]) => {
      const range = rangeOf(text);
      return range === undefined ? [] : [[range, owner] as [Cidr, string]];
    });
  }

  #freeNumber(): number {
    const taken = new Set(this.#all().map(({ number }) => number));
    for (let number = 1; number <= MAX_NUMBER; number++) if (!taken.has(number)) return number;
    throw new JobletError('exhausted', `there are ${MAX_NUMBER} networks already`);
  }

  /** Gives the built-in networks their ranges, once. */
  async #define(): Promise<void> {
    if (BUILTIN.every(({ name }) => this.#networks.has(name))) return;
    const hostRanges = (await this.#hostRanges()).map(([range]) => range);
    for (const { name, peers, usual } of BUILTIN) {
      if (this.#networks.has(name)) continue;
      const wanted = this.#parts.config.cidrs[name];
      const others = [...hostRanges, ...this.#all().map(({ cidr }) => cidr)];
      const cidr = findFree(wanted === undefined ? candidates(usual) : [wanted], others);
      if (cidr === undefined) {
        throw new JobletError(
          'unavailable',
          wanted === undefined
            ? `no private range is free for the network ${name}; set network.${name}Cidr`
            : `network.${name}Cidr ${formatCidr(wanted)} overlaps what this host uses; choose another range`,
        );
      }
      const network: Network = {
        name,
        number: this.#freeNumber(),
        cidr,
        peers,
        isBuiltin: true,
        bytesPerSecond: 0,
        egress: OPEN,
        createdAtMs: Date.now(),
      };
      await this.#parts.store.add(network);
      this.#know(network);
    }
  }

  #know(network: Network): void {
    this.#networks.set(network.name, network);
    this.#egress.setNetwork(network.name, network.number, network.egress);
  }

  #prepare(): Promise<void> {
    this.#prepared ??= this.#inTurn(async () => {
      await this.#define();
      this.#parts.host.forward();
      await this.#apply();
      await this.#parts.host.changeRules(formatLimits(this.#limits, this.#id));
      this.#watchFlows();
    }).catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  /** Brings the host to what is wanted: devices, routes and resolvers that are missing, then all rules at once. */
  async #apply(): Promise<void> {
    const { host } = this.#parts;
    const limiters = this.#all().flatMap((network) => {
      const { sends, receives } = limitersOf(this.#id, network) ?? {};
      const names = sends === undefined || receives === undefined ? [] : [sends, receives];
      return names.map((name) => ({ name, bytesPerSecond: network.bytesPerSecond }));
    });
    const wanted = new Set([
      ...this.#all().map((network) => this.#bridgeOf(network)),
      ...limiters.map(({ name }) => name),
    ]);
    const found = this.#devices();
    const missing = this.#all().filter((network) => !found.includes(this.#bridgeOf(network)));
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
    for (const network of this.#all()) {
      this.#namePorts.set(network.name, await this.#answerNames(network));
    }
    this.#tellRanges();
    await this.#changeRules();
    const inForce = await host.readRules(this.#table);
    if (!inForce.includes('jump from_job') || !inForce.includes('goto refuse')) {
      throw new JobletError('unavailable', 'the kernel does not have the rules that it was given');
    }
  }

  /** Puts the rules as they are now in force. Whoever asks while others wait for it shares theirs. */
  #refresh(): Promise<void> {
    this.#refreshed ??= this.#inTurn(() => {
      this.#refreshed = undefined;
      return this.#changeRules();
    });
    return this.#refreshed;
  }

  async #changeRules(): Promise<void> {
    const { host } = this.#parts;
    const rules = formatRules({
      table: this.#table,
      interfaces: this.#id,
      prefix6: this.#prefix6,
      networks: this.#all(),
      namePorts: this.#namePorts,
      watched: this.#egress.watched(),
      published: this.#published(),
      nowMs: Date.now(),
      logGroup: this.#logGroup,
      forwardedForUs: host.forwardedForUs,
    });
    await host.changeRules(rules);
  }

  #answerNames(network: Network): Promise<number> {
    const gateways = gatewaysOf(this.#prefix6, network).map(([, address]) => address);
    return this.#parts.resolver.listen(gateways, {
      domain: network.name,
      addressesOf: (name) => (network.peers ? this.#addressesOfName(network, name) : []),
      mayAsk: (client, name) => {
        const asker = this.#attachmentOf(client);
        if (asker === undefined) return false;
        const may = this.#egress.mayAsk(asker.interface, name);
        if (!may) this.flows.nameRefused(asker.jobId, name);
        return may;
      },
      learned: (client, name, found, own) => this.#learn(client, name, found, own),
    });
  }

  async #learn(client: string, name: string, found: readonly Found[], own: boolean): Promise<void> {
    const asker = this.#attachmentOf(client);
    if (asker === undefined) return;
    this.flows.named(asker.jobId, name, found);
    // Who owns a name says what it stands for: not to be what only insiders reach. A job of the same network
    // is what its own name says.
    const reachable = own ? found : found.filter(({ address }) => isPublic(address));
    const news = this.#egress.learn(asker.interface, name, reachable, Date.now());
    if (news.length === 0) return;
    const { host, log } = this.#parts;
    const opened = this.#inTurn(() => host.changeRules(formatLearned(this.#table, news)));
    await opened.catch((error: unknown) =>
      log.warn('what a name stands for could not be opened', { name, why: messageOf(error) }),
    );
  }

  /** Of the job that has an address. */
  #attachmentOf(client: string): Attachment | undefined {
    const asker = comparable(client);
    for (const { attachment } of this.#held.values()) {
      if (this.addressesOf(attachment.jobId).some((own) => comparable(own) === asker)) {
        return attachment;
      }
    }
    return undefined;
  }

  /** The addresses of the jobs of a network that are called so; case does not count. */
  #addressesOfName(network: Network, name: string): string[] {
    return this.membersOf(network.name)
      .filter(({ jobId }) => this.#parts.namesOf(jobId).some((own) => own.toLowerCase() === name))
      .flatMap(({ addresses }) => addresses);
  }

  /** What holds the gateway's addresses. Nothing is ever sent through it. */
  #deviceOf(network: Network): string[] {
    const name = this.#bridgeOf(network);
    return [
      `link add ${name} type bridge`,
      // In a step of its own: a device that is up has its link-local address already.
      ...(this.#prefix6 === '' ? [] : [`link set ${name} addrgenmode none`]),
      `link set ${name} arp off`,
      `link set ${name} up`,
      ...gatewaysOf(this.#prefix6, network).map(([family, address]) =>
        family === 'ip'
          ? `address add ${address}/32 dev ${name}`
          : `address add ${address}/128 dev ${name} nodad`,
      ),
      ...this.#routesOf(network, 'replace'),
    ];
  }

  /** What is sent to an address that no job has goes nowhere, and not out of the host. */
  #routesOf({ cidr, number }: Network, verb: 'replace' | 'del'): string[] {
    const v4 = `route ${verb} unreachable ${formatCidr(cidr)}`;
    return this.#prefix6 === ''
      ? [v4]
      : [v4, `route ${verb} unreachable ${network6(this.#prefix6, number)}::/64`];
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(body, body);
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** Begins all names of this daemon on the host: 6 characters. */
function idOf(instance: string): string {
  const hash = createHash('sha256').update(instance).digest().readUInt32BE() % 36 ** 4;
  return `jl${hash.toString(36).padStart(4, '0')}`;
}

/** They were checked when they were given. */
function portsOf(texts: readonly string[]): PublishedPort[] {
  return texts.map(parsePublished).filter((port) => typeof port !== 'string');
}

function isBuiltin(name: string): boolean {
  return BUILTIN.some((each) => each.name === name);
}

function notFound(name: string, names: readonly string[]): JobletError {
  if (name === '') return unnamed('name', 'the name of a network');
  return new JobletError('not-found', `network not found: ${name}; there is ${names.join(', ')}`, {
    about: 'network',
  });
}

/** A range of the host's, whatever it is; undefined for what is none. */
function rangeOf(text: string): Cidr | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(text);
  if (match === null) return undefined;
  const address = match.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
  const prefix = Number(match[5]);
  return { first: address - (address % sizeOf({ first: 0, prefix })), prefix };
}

/** An address in the one spelling that it is compared by. */
function comparable(address: string): string {
  return new SocketAddress({ address, family: address.includes(':') ? 'ipv6' : 'ipv4' }).address;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
