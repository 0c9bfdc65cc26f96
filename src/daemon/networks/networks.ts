// The networks of this node, and what jobs have of them. What exists is in the catalogue, what the host
// has of it in the host's part, and which job is where in the attachments; here they are brought together.

import { formatCidr } from '../../shared/cidr.ts';
import type { Egress } from '../../shared/egress.ts';
import { JobletError, messageOf } from '../../shared/errors.ts';
import { type PublishedPort, parsePublished } from '../../shared/publish.ts';
import type { Actor } from '../audit/record.ts';
import type { FlowSource } from '../linux/flow-source.ts';
import type { HostNetwork } from '../linux/host-network.ts';
import type { AttachPort, Traffic } from '../linux/launcher.ts';
import type { Log } from '../log.ts';
import { Attachments } from './attachments.ts';
import {
  Catalogue,
  type CatalogueConfig,
  type NetworkView,
  type NetworkWish,
} from './catalogue.ts';
import { EgressRules } from './egress.ts';
import { type Attached, FlowLog } from './flows.ts';
import { HeldPorts } from './held-ports.ts';
import { HostPart } from './host-part.ts';
import { NamesOfJobs } from './names.ts';
import {
  type Attachment,
  HOST_NETWORK,
  type JobNetwork,
  type Member,
  NO_NETWORK,
  type TakeWish,
} from './network.ts';
import { isReachedByLoopback, type Published } from './published.ts';
import type { Resolver } from './resolver.ts';
import { Unattached } from './slots.ts';
import type { NetworkStore } from './store.ts';

interface NetworksConfig extends CatalogueConfig {
  readonly defaultNetwork: string;
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

export class Networks {
  readonly #parts: NetworksParts;
  readonly #catalogue: Catalogue;
  readonly #hostPart: HostPart;
  readonly #attachments: Attachments;
  readonly #names: NamesOfJobs;
  readonly #egress = new EgressRules();
  readonly #ports = new HeldPorts();
  readonly flows: FlowLog;
  /** Settles when it is known what rules of jobs that an earlier daemon started are about. */
  #resumed: Promise<unknown> = Promise.resolve();

  constructor(parts: NetworksParts) {
    this.#parts = parts;
    const { config, store, port, host, resolver, directoryOf, flowSource, log } = parts;
    this.#catalogue = new Catalogue({
      ...{ config, store, host },
      known: ({ name, number, egress }) => this.#egress.setNetwork(name, number, egress),
    });
    this.flows = new FlowLog({
      directoryOf,
      dump: () => flowSource.dump(),
      mark: () => flowSource.mark(),
      nameOf: (jobId) => parts.namesOf(jobId)[0] ?? '',
      log,
    });
    this.#attachments = new Attachments(this.#catalogue, port);
    this.#names = new NamesOfJobs({
      ...{ attachments: this.#attachments, egress: this.#egress, flows: this.flows },
      ...{ namesOf: parts.namesOf, hostPart: () => this.#hostPart, log },
      lookUp: (name) => resolver.lookUp(name),
    });
    this.#hostPart = new HostPart({
      ...{ catalogue: this.#catalogue, host, resolver, flowSource, flows: this.flows, log },
      namesIn: (network) => this.#names.in(network),
      resumed: () => this.#resumed,
      jobs: () => ({
        watched: this.#egress.watched((network, name) => this.#names.standsFor(network, name)),
        published: this.#published(),
      }),
    });
    for (const attachment of store.attachments()) {
      const network = this.#catalogue.find(attachment.network);
      if (network === undefined) continue;
      this.#attachments.retake(attachment, network);
      this.#egress.setJob(attachment.interface, network.name, attachment.egress);
    }
  }

  /** Makes the host ready, where jobs will need it soon. */
  start(): void {
    const { config, log } = this.#parts;
    const attached = this.#attachments.all();
    // Jobs that ended meanwhile are about to be forgotten.
    if (attached.length > 0) this.#hostPart.watchFlows();
    this.#resumed = Promise.all(attached.map((attachment) => this.#names.hold(attachment)));
    for (const attachment of attached) {
      this.#holdAgain(attachment);
      this.flows.resume(this.#attached(attachment));
    }
    if (config.defaultNetwork === NO_NETWORK && attached.length === 0) return;
    const network = this.#catalogue.find(config.defaultNetwork);
    void this.#hostPart
      .prepare()
      .then(() => network && this.#attachments.fill(network))
      .catch((error: unknown) =>
        log.warn('jobs have no network but their loopback until this is repaired', {
          why: messageOf(error),
        }),
      );
  }

  /** Gives up what no job needs. Jobs that run keep their network. */
  async stop(): Promise<void> {
    this.#attachments.stop();
    this.#hostPart.stopAnswering();
    this.#ports.stop();
    this.#names.stop();
    await this.#parts.flowSource.stop();
    this.flows.stop();
    if (this.#attachments.all().length === 0) await this.#hostPart.remove();
  }

  /** Whether jobs can be attached to it; `none` is always there. */
  has(name: string): boolean {
    return this.#catalogue.has(name);
  }

  names(): string[] {
    return this.#catalogue.names();
  }

  list(): NetworkView[] {
    const views = this.names().map((name) => this.#viewOf(name));
    return views.toSorted(
      (a, b) => Number(b.isBuiltin) - Number(a.isBuiltin) || compare(a.name, b.name),
    );
  }

  /** Throws `not-found`. */
  get(name: string): NetworkView {
    if (!this.has(name)) throw this.#catalogue.notFound(name);
    return this.#viewOf(name);
  }

  /** Makes a network whose jobs reach each other. */
  create(wish: NetworkWish, who: Actor): Promise<NetworkView> {
    return this.#hostPart.inTurn(async () => {
      const { name, cidr } = await this.#catalogue.create(wish, who);
      // The host's part of it is made with the first job, or now where there are others.
      await this.#hostPart.follow();
      this.#parts.log.info('network created', { network: name, cidr: formatCidr(cidr) });
      return this.#viewOf(name);
    });
  }

  /** Removes a network that no job uses. */
  remove(name: string, who: Actor): Promise<void> {
    return this.#hostPart.inTurn(async () => {
      const { usersOf, log } = this.#parts;
      const network = await this.#catalogue.remove(name, usersOf(name), who);
      this.#egress.forgetNetwork(name);
      this.#attachments.close(name);
      await this.#hostPart.forget(network);
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
    await this.#hostPart.prepare().catch((cause: unknown) => {
      throw new Unattached(messageOf(cause), 'ENETDOWN');
    });
    const network = this.#catalogue.get(name);
    if (this.#names.mustLookUp(name, egress)) await this.#learnDenied(jobId, name, egress);
    const wish = { jobId, egress, publish };
    const attachment = await this.#attachments.take(wish, network, bytesPerSecond);
    const { interface: key, address } = attachment;
    this.flows.begin(this.#attached(attachment));
    this.#egress.setJob(key, name, egress);
    if (isReachedByLoopback(ports)) this.#parts.host.openLoopback(key);
    if (this.#isRuled(attachment) || this.#names.isDenied(attachment)) {
      await Promise.all([this.#parts.store.attach(attachment), this.#hostPart.refresh()]);
    } else this.#parts.store.attachSoon(attachment);
    return {
      key,
      name,
      addresses: this.#catalogue.addressesOf(network, address),
      nameServers: this.#catalogue.gatewaysOf(network),
    };
  }

  /**
   * Gives back what a job has. `inOrder` says that the launcher cleared up behind it; doing it twice
   * does no harm.
   */
  release(jobId: string, inOrder: boolean): void {
    this.#ports.release(jobId);
    this.#names.release(jobId);
    const attachment = this.#attachments.find(jobId);
    if (attachment === undefined) return;
    const isDenied = this.#names.isDenied(attachment);
    // The next job is not to come under its rules.
    this.#attachments.release(jobId, inOrder, this.#isRuled(attachment));
    this.#parts.store.detach(jobId);
    this.flows.end(jobId);
    this.#egress.forgetJob(attachment.interface);
    if (attachment.publish.length > 0 || isDenied) this.#forgetRulesAbout(attachment);
  }

  /** Gives back what jobs had that are not known any more. */
  sweep(known: ReadonlySet<string>): void {
    for (const { jobId } of this.#attachments.all()) {
      if (!known.has(jobId)) this.release(jobId, false);
    }
  }

  /** Whether ports of the host can lead into a job now. @throws JobletError naming one that is taken */
  checkPorts(publish: readonly string[]): Promise<void> {
    return this.#ports.check(portsOf(publish));
  }

  /** The addresses of a job that is attached. */
  addressesOf(jobId: string): readonly string[] {
    return this.#attachments.addressesOf(jobId);
  }

  /** The rules of a job that is attached. */
  findEgress(jobId: string): Egress | undefined {
    return this.#attachments.find(jobId)?.egress;
  }

  /**
   * Gives a running job other rules. When it resolves they are in force, for connections that stand too,
   * and would survive a power cut.
   */
  async changeEgress(jobId: string, change: (now: Egress) => Egress, who: Actor): Promise<Egress> {
    const attachment = this.#attachments.find(jobId);
    if (attachment === undefined) {
      throw new JobletError('wrong-state', `job is not attached to a network: ${jobId}`, {
        about: 'uuid',
      });
    }
    const egress = change(attachment.egress);
    const changed = { ...attachment, egress };
    const unknown = await this.#names.hold(changed);
    if (unknown.length > 0) {
      await this.#names.hold(attachment);
      throw new JobletError('unavailable', unknownWords(unknown), { about: 'deny' });
    }
    this.#attachments.change(changed);
    this.#egress.setJob(attachment.interface, attachment.network, egress);
    await this.#hostPart.refresh();
    const allowed = egress.closed ? `only ${egress.allow.join(' ')}` : 'all';
    const words = `${allowed}; not ${egress.deny.join(' ')}`;
    await this.#parts.store.change(changed, words, Date.now(), who);
    return egress;
  }

  /** The jobs that are attached to a network. */
  membersOf(name: string): Member[] {
    return this.#attachments.in(name).map(({ jobId, publish }) => {
      return { jobId, addresses: this.addressesOf(jobId), publish };
    });
  }

  /** The launcher says what became of what a job had. */
  detached(key: string, unused: boolean, traffic: Traffic): void {
    const jobId = this.#attachments.detached(key, unused);
    if (jobId !== undefined && !unused) this.#parts.sent(jobId, traffic);
  }

  /** Resolves when a job that has ended has given back what it had: what it sent is known then. */
  returned(jobId: string): Promise<void> {
    return this.#attachments.returned(jobId);
  }

  /** The launcher died: what waited is gone, and what jobs have goes with them. */
  launcherReplaced(): void {
    this.#attachments.launcherReplaced();
  }

  #viewOf(name: string): NetworkView {
    return this.#catalogue.view(name, this.#parts.usersOf(name));
  }

  #hostNetwork(): JobNetwork {
    // It may have been allowed when the job was accepted.
    if (!this.has(HOST_NETWORK)) throw this.#catalogue.notFound(HOST_NETWORK);
    return { key: 'pool', name: '', addresses: [], nameServers: this.#parts.hostNameServers() };
  }

  /** Whether there are rules for it. */
  #isRuled({ interface: key, publish }: Attachment): boolean {
    return this.#egress.isWatched(key) || publish.length > 0;
  }

  async #learnDenied(jobId: string, network: string, egress: Egress): Promise<void> {
    const unknown = await this.#names.hold({ jobId, network, egress });
    if (unknown.length > 0) throw new Unattached(unknownWords(unknown), 'EHOSTUNREACH');
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

  /** Leads nobody to a job that is over, forgets who was, and closes its address to nobody any more. */
  #forgetRulesAbout(attachment: Attachment): void {
    void this.#hostPart
      .refresh()
      .then(() => this.#attachments.cutOff(attachment))
      .catch((error: unknown) =>
        this.#parts.log.warn('the rules about an ended job stay in force until others change', {
          job: attachment.jobId,
          why: messageOf(error),
        }),
      );
  }

  #published(): Published[] {
    return this.#attachments.all().flatMap(({ jobId, interface: key, publish, network: name }) => {
      const network = this.#catalogue.find(name);
      if (publish.length === 0 || network === undefined) return [];
      const gateways = this.#catalogue.gatewaysOf(network);
      return [{ key, addresses: this.addressesOf(jobId), gateways, ports: portsOf(publish) }];
    });
  }

  #attached({ jobId, network }: Attachment): Attached {
    const known = this.#catalogue.find(network);
    const gateways = known === undefined ? [] : this.#catalogue.gatewaysOf(known);
    return { jobId, addresses: this.addressesOf(jobId), gateways };
  }
}

function unknownWords(names: readonly string[]): string {
  return `no resolver of the host says what ${names.join(' and ')} stands for, which a rule denies; deny its addresses instead`;
}

/** They were checked when they were given. */
function portsOf(texts: readonly string[]): PublishedPort[] {
  return texts.map(parsePublished).filter((port) => typeof port !== 'string');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
