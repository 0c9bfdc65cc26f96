// What jobs may send beyond what their network is for: the rules of networks and of jobs, and the
// addresses that names of rules stand for by now.

import {
  type Egress,
  type EgressRule,
  matchesDomain,
  parseEgressRule,
} from '../../shared/egress.ts';
import { CLOSED_NAMES_TTL_SECONDS } from './addresses-of-names.ts';
import type { Found } from './resolver.ts';

/** A job whose packets are looked at one by one. */
export interface Watched {
  /** Of its interface. */
  readonly key: string;
  /** Marks connections that were allowed by the rules as they are now. */
  readonly mark: number;
  /** Each of them must let a packet through. */
  readonly policies: readonly Policy[];
}

export interface Policy {
  /** Begins the names of its chain and of its sets. */
  readonly id: string;
  readonly closed: boolean;
  readonly allow: readonly Allowed[];
  readonly deny: readonly Denied[];
}

/** A rule, and the addresses that its name stands for; undefined where nobody knows yet. */
export interface Denied {
  readonly rule: EgressRule;
  readonly addresses: readonly string[] | undefined;
}

/** A rule, and the addresses that its name stands for, each with when it is forgotten. */
export interface Allowed {
  readonly rule: EgressRule;
  readonly addresses: ReadonlyMap<string, number>;
}

interface Owned {
  readonly egress: Egress;
  readonly policy: OwnPolicy;
}

interface OwnPolicy extends Omit<Policy, 'deny'> {
  readonly allow: readonly (Allowed & { readonly addresses: Map<string, number> })[];
  readonly deny: readonly EgressRule[];
}

/** What a name stands for in a network; undefined where nobody knows yet. */
type StandsFor = (network: string, domain: string) => readonly string[] | undefined;

export class EgressRules {
  readonly #networks = new Map<string, Owned>();
  readonly #jobs = new Map<string, { owned: Owned; network: string; mark: number }>();
  /** Those of them that must not reach names. */
  readonly #denying = new Set<string>();
  #marks = 0;

  setNetwork(name: string, number: number, egress: Egress): void {
    this.#networks.set(name, ownedOf(`n${number}`, egress));
  }

  forgetNetwork(name: string): void {
    this.#networks.delete(name);
  }

  /** The rules of a job with this interface; connections that stand are looked at anew. */
  setJob(key: string, network: string, egress: Egress): void {
    const before = this.#jobs.get(key)?.owned;
    const owned = ownedOf(key, egress);
    // What a name stood for it still stands for.
    for (const { rule, addresses } of owned.policy.allow) {
      const same = before?.policy.allow.find((each) => each.rule.domain === rule.domain);
      if (rule.domain !== undefined)
        for (const [address, at] of same?.addresses ?? []) addresses.set(address, at);
    }
    this.#jobs.set(key, { owned, network, mark: this.#nextMark() });
    if (this.deniedNames(network, egress).length > 0) this.#denying.add(key);
    else this.#denying.delete(key);
  }

  forgetJob(key: string): void {
    this.#jobs.delete(key);
    this.#denying.delete(key);
  }

  /** Whether rules hold for a job. */
  isWatched(key: string): boolean {
    const job = this.#jobs.get(key);
    return job !== undefined && this.#policiesOf(job.owned, job.network).length > 0;
  }

  /** The names that a job on a network must not reach, by these rules of its own and by its network's. */
  deniedNames(network: string, egress: Egress): string[] {
    const ofNetwork = this.#networks.get(network)?.egress.deny ?? [];
    return rulesOf([...ofNetwork, ...egress.deny]).flatMap(({ domain }) => domain ?? []);
  }

  /** A denied name stands for more: connections that stand are looked at anew. Answers whether a job denies it. */
  lookAgain(name: string): boolean {
    const keys = [...this.#denying].filter((key) => this.denies(key, name));
    for (const key of keys) {
      const job = this.#jobs.get(key);
      if (job !== undefined) job.mark = this.#nextMark();
    }
    return keys.length > 0;
  }

  /** Whether a job of a network must not reach another that has these names. */
  deniesOneOf(network: string, names: () => readonly string[]): boolean {
    return [...this.#denying].some(
      (key) =>
        this.#jobs.get(key)?.network === network && names().some((name) => this.denies(key, name)),
    );
  }

  /** The jobs that rules hold for. */
  watched(standsFor: StandsFor): Watched[] {
    return [...this.#jobs].flatMap(([key, { owned, network, mark }]) => {
      const policies = this.#policiesOf(owned, network).map(({ policy }) => ({
        ...policy,
        deny: policy.deny.map((rule) => ({
          rule,
          addresses: rule.domain === undefined ? [] : standsFor(network, rule.domain),
        })),
      }));
      return policies.length === 0 ? [] : [{ key, mark, policies }];
    });
  }

  /** Whether a job may know of a name. */
  mayAsk(key: string, name: string): boolean {
    const job = this.#jobs.get(key);
    if (job === undefined || this.denies(key, name)) return false;
    return this.#policiesOf(job.owned, job.network).every(
      ({ policy }) => !policy.closed || policy.allow.some(({ rule }) => speaksOf(rule, name)),
    );
  }

  /** Whether a name is one that a job must not know of. */
  denies(key: string, name: string): boolean {
    const job = this.#denying.has(key) ? this.#jobs.get(key) : undefined;
    if (job === undefined) return false;
    const denied = this.deniedNames(job.network, job.owned.egress);
    return denied.some((domain) => matchesDomain(domain, name));
  }

  /** Notes what a name stands for, of all that it may open. Answers what has to be put into which set. */
  learn(
    key: string,
    name: string,
    found: readonly Found[],
    nowMs: number,
  ): [set: string, address: string, ttlSeconds: number][] {
    const job = this.#jobs.get(key);
    if (job === undefined) return [];
    const news: [string, string, number][] = [];
    for (const { policy } of this.#policiesOf(job.owned, job.network)) {
      for (const [at, { rule, addresses }] of policy.allow.entries()) {
        if (rule.domain === undefined || !matchesDomain(rule.domain, name)) continue;
        for (const { address, ttlSeconds } of found) {
          const seconds = Math.max(ttlSeconds, CLOSED_NAMES_TTL_SECONDS);
          addresses.set(address, nowMs + seconds * 1000);
          news.push([setOf(policy, at, address.includes(':')), address, seconds]);
        }
      }
    }
    return news;
  }

  #nextMark(): number {
    this.#marks = (this.#marks % 0x7fff_ffff) + 1;
    return this.#marks;
  }

  #policiesOf(owned: Owned, network: string): Owned[] {
    const ofNetwork = this.#networks.get(network);
    const all = ofNetwork === undefined ? [owned] : [ofNetwork, owned];
    return all.filter(({ egress }) => !isOpen(egress));
  }
}

/** The set of nftables that holds what the name of a rule stands for that allows. */
export function setOf({ id }: Pick<Policy, 'id'>, at: number, is6: boolean): string {
  return `names_${id}_${at}_${is6 ? 6 : 4}`;
}

/** The same of one that denies. */
export function deniedSetOf({ id }: Pick<Policy, 'id'>, at: number, is6: boolean): string {
  return `denied_${id}_${at}_${is6 ? 6 : 4}`;
}

function speaksOf({ domain }: EgressRule, name: string): boolean {
  return domain !== undefined && matchesDomain(domain, name);
}

function isOpen({ closed, deny }: Egress): boolean {
  return !closed && deny.length === 0;
}

function ownedOf(id: string, egress: Egress): Owned {
  return {
    egress,
    policy: {
      id,
      closed: egress.closed,
      allow: rulesOf(egress.allow).map((rule) => ({ rule, addresses: new Map<string, number>() })),
      deny: rulesOf(egress.deny),
    },
  };
}

/** They were checked when they were given. */
function rulesOf(texts: readonly string[]): EgressRule[] {
  return texts.map(parseEgressRule).filter((rule) => typeof rule !== 'string');
}
