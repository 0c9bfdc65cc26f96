// What a job may send where, as people write it: `[PROTOCOL:]WHERE[:PORTS]`. WHERE is an address, a range
// of addresses, a name, `*.` and a name, or `*`; IPv6 stands in brackets when ports follow.

import { isIP } from 'node:net';

export interface EgressRule {
  /** Empty is any. */
  readonly protocol: '' | 'tcp' | 'udp' | 'icmp';
  /** An address or a range of either family; undefined is anywhere. */
  readonly range: string | undefined;
  /** A name in lower case, perhaps with `*.` before it. */
  readonly domain: string | undefined;
  /** First and last; undefined is any. */
  readonly ports: readonly [number, number] | undefined;
}

/** What is allowed and denied; texts as they were given. */
export interface Egress {
  /** Only what `allow` says; else all but what `deny` says. */
  readonly closed: boolean;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export const OPEN: Egress = { closed: false, allow: [], deny: [] };

export const MAX_EGRESS_RULES = 64;
const MAX_CHARS = 300;
const MAX_PORT = 65_535;

const PROTOCOL = /^(tcp|udp|icmp):(.*)$/s;
const PORTS = /^(.*):(\d{1,5})(?:-(\d{1,5}))?$/s;
const DOMAIN =
  /^(\*\.)?(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** A rule, or what is wrong with its text. */
export function parseEgressRule(text: string): EgressRule | string {
  const shown = JSON.stringify(text.slice(0, 64));
  const wrong = `${shown} is no rule; write it as 192.0.2.0/24, tcp:example.org:443, *.example.org or *:53`;
  if (text.length > MAX_CHARS) return wrong;
  const [, protocol = '', rest = text] = PROTOCOL.exec(text) ?? [];
  const split = splitPorts(rest);
  if (split === undefined) return wrong;
  const [where, ports] = split;
  if (ports !== undefined && (ports[0] < 1 || ports[1] > MAX_PORT || ports[0] > ports[1])) {
    return `${shown} names ports that are not from 1 to ${MAX_PORT}, or run backwards`;
  }
  if (protocol === 'icmp' && ports !== undefined)
    return `${shown} names ports, which icmp has none of`;
  const base = { protocol: protocol as EgressRule['protocol'], ports };
  if (where === '*') return { ...base, range: undefined, domain: undefined };
  if (isRange(where)) return { ...base, range: where, domain: undefined };
  const domain = where.toLowerCase().replace(/\.$/, '');
  // All digits and dots is an address that is none.
  if (!DOMAIN.test(domain) || /^[\d.]+$/.test(domain)) return wrong;
  return { ...base, range: undefined, domain };
}

/** Whether a name is one that a rule speaks of. `*.example.org` is every name below, not itself. */
export function matchesDomain(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function splitPorts(text: string): [where: string, ports: EgressRule['ports']] | undefined {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text);
  if (bracketed !== null) {
    const [, inside = '', ports] = bracketed;
    const found = ports === undefined ? undefined : PORTS.exec(`:${ports}`);
    if (found === null || !inside.includes(':')) return undefined;
    return [inside, found && portsOf(found)];
  }
  // More than one colon without brackets is IPv6 alone.
  if (text.split(':').length > 2) return [text, undefined];
  const found = PORTS.exec(text);
  if (found !== null) return [found[1] ?? '', portsOf(found)];
  return text.includes(':') ? undefined : [text, undefined];
}

function portsOf([, , first = '', last = first]: readonly (string | undefined)[]): [
  number,
  number,
] {
  return [Number(first), Number(last)];
}

function isRange(text: string): boolean {
  const [address = '', prefix, more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more !== undefined || address.includes('%')) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}
