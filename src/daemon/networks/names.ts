// What jobs are told about names, and what names stand for that rules speak of: those of their neighbours,
// and those of the world.

import { type Egress, matchesDomain } from '../../shared/egress.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import { isPublic } from './addresses-of-names.ts';
import type { Attachments } from './attachments.ts';
import { DeniedNames } from './denied-names.ts';
import type { EgressRules } from './egress.ts';
import type { FlowLog } from './flows.ts';
import type { HostPart } from './host-part.ts';
import type { Attachment, Network } from './network.ts';
import { type Found, type Names, ownName } from './resolver.ts';
import { formatLearned } from './rules.ts';

interface NamesOfJobsParts {
  readonly attachments: Attachments;
  readonly egress: EgressRules;
  readonly flows: Pick<FlowLog, 'named' | 'nameRefused'>;
  /** What the others of its network find a job by. */
  readonly namesOf: (jobId: string) => readonly string[];
  readonly lookUp: (name: string) => Promise<readonly Found[] | undefined>;
  readonly hostPart: () => Pick<HostPart, 'add' | 'refresh'>;
  readonly log: Log;
}

type Holder = Pick<Attachment, 'jobId' | 'network' | 'egress'>;

export class NamesOfJobs {
  readonly #parts: NamesOfJobsParts;
  readonly #denied: DeniedNames;

  constructor(parts: NamesOfJobsParts) {
    this.#parts = parts;
    const changed = (name: string) => this.#close(name);
    this.#denied = new DeniedNames({ lookUp: parts.lookUp, changed, now: Date.now });
  }

  /** Finds out what the names stand for that a job is denied. Answers those that nobody knows. */
  hold({ jobId, network, egress }: Holder): Promise<readonly string[]> {
    return this.#denied.hold(jobId, this.#toLookUp(network, egress));
  }

  /** Whether such rules deny names of the world. */
  mustLookUp(network: string, egress: Egress): boolean {
    return this.#toLookUp(network, egress).length > 0;
  }

  release(jobId: string): void {
    this.#denied.release(jobId);
  }

  stop(): void {
    this.#denied.stop();
  }

  /** What a denied name stands for in a network; undefined where nobody knows yet. */
  standsFor(network: string, domain: string): readonly string[] | undefined {
    const { attachments } = this.#parts;
    if (isLookedUp(domain, network)) return this.#denied.find(domain);
    return attachments
      .in(network)
      .filter(({ jobId }) =>
        this.#waysToSay(network, jobId).some((name) => matchesDomain(domain, name)),
      )
      .flatMap(({ jobId }) => attachments.addressesOf(jobId));
  }

  /** Whether another job of its network must not reach a job. */
  isDenied({ jobId, network }: Pick<Attachment, 'jobId' | 'network'>): boolean {
    return this.#parts.egress.deniesOneOf(network, () => this.#waysToSay(network, jobId));
  }

  /** What is said in a network. */
  in(network: Network): Names {
    const { attachments, egress, flows } = this.#parts;
    return {
      domain: network.name,
      addressesOf: (name) => (network.peers ? this.#addressesOf(network, name) : []),
      mayAsk: (client, name) => {
        const asker = attachments.findByAddress(client);
        if (asker === undefined) return false;
        const may = egress.mayAsk(asker.interface, name);
        if (!may) flows.nameRefused(asker.jobId, name);
        return may;
      },
      isDenied: (client, names) => {
        const asker = attachments.findByAddress(client);
        if (asker === undefined) return true;
        const denied = names.find((name) => egress.denies(asker.interface, name));
        if (denied !== undefined) flows.nameRefused(asker.jobId, denied);
        return denied !== undefined;
      },
      learned: (client, name, found, own) => this.#learn(client, name, found, own),
    };
  }

  async #learn(client: string, name: string, found: readonly Found[], own: boolean): Promise<void> {
    const { attachments, egress, flows, hostPart, log } = this.#parts;
    const asker = attachments.findByAddress(client);
    if (asker === undefined) return;
    flows.named(asker.jobId, name, found);
    if (!own) this.#denied.saw(name, found);
    // Who owns a name says what it stands for: not to be what only insiders reach. A job of the same network
    // is what its own name says.
    const reachable = own ? found : found.filter(({ address }) => isPublic(address));
    const news = egress.learn(asker.interface, name, reachable, Date.now());
    if (news.length === 0) return;
    await hostPart()
      .add((table) => formatLearned(table, news))
      .catch((error: unknown) =>
        log.warn('what a name stands for could not be opened', { name, why: messageOf(error) }),
      );
  }

  #toLookUp(network: string, egress: Egress): string[] {
    return this.#parts.egress
      .deniedNames(network, egress)
      .filter((name) => isLookedUp(name, network));
  }

  /** A denied name stands for more. */
  #close(name: string): void {
    const { egress, hostPart, log } = this.#parts;
    if (!egress.lookAgain(name)) return;
    hostPart()
      .refresh()
      .catch((error: unknown) =>
        log.error('what a denied name stands for could not be closed', {
          name,
          why: messageOf(error),
        }),
      );
  }

  /** How rules may name a job, in lower case. */
  #waysToSay(network: string, jobId: string): string[] {
    return this.#parts.namesOf(jobId).flatMap((name) => {
      const own = name.toLowerCase();
      return [own, `${own}.${network.toLowerCase()}`];
    });
  }

  /** The addresses of the jobs of a network that are called so; case does not count. */
  #addressesOf(network: Network, name: string): string[] {
    const { attachments, namesOf } = this.#parts;
    return attachments
      .in(network.name)
      .filter(({ jobId }) => namesOf(jobId).some((own) => own.toLowerCase() === name))
      .flatMap(({ jobId }) => attachments.addressesOf(jobId));
  }
}

/** Names of jobs are known here, and of `*.` nobody can say which there are. */
function isLookedUp(domain: string, network: string): boolean {
  return !domain.startsWith('*.') && ownName(domain, network) === undefined;
}
