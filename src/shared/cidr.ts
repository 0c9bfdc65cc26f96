// Ranges of private IPv4 addresses, and the IPv6 addresses that go with them. Pure.

import { createHash } from 'node:crypto';
import { SocketAddress } from 'node:net';

/** A range of addresses, as numbers. */
export interface Cidr {
  readonly first: number;
  readonly prefix: number;
}

/** Where networks may lie: what routers of the outside never carry. */
const PRIVATE: readonly Cidr[] = [
  { first: 0x0a000000, prefix: 8 },
  { first: 0xac100000, prefix: 12 },
  { first: 0xc0a80000, prefix: 16 },
];

/** A gateway, a job, the range itself and its broadcast address. */
const LONGEST_PREFIX = 30;
const SHORTEST_PREFIX = 8;

/** A parsed range, or what is wrong with it. */
export function parseCidr(text: string): Cidr | string {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  const parts = match?.slice(1, 5).map(Number) ?? [];
  const prefix = Number(match?.[5]);
  if (match === null || parts.some((part) => part > 255) || prefix > 32) {
    return `${JSON.stringify(text.slice(0, 64))} is no range of IPv4 addresses; write it as 10.10.0.0/24`;
  }
  const address = parts.reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - prefix);
  if (address % size !== 0) {
    return `${text} is not where a /${prefix} begins; did you mean ${formatCidr({ first: address - (address % size), prefix })}?`;
  }
  if (prefix < SHORTEST_PREFIX || prefix > LONGEST_PREFIX) {
    return `has a prefix of ${prefix}; use one from ${SHORTEST_PREFIX} to ${LONGEST_PREFIX}`;
  }
  const cidr = { first: address, prefix };
  if (!PRIVATE.some((range) => range.prefix <= prefix && overlaps(range, cidr))) {
    return `${text} is not private; take it from ${PRIVATE.map(formatCidr).join(', ')}`;
  }
  return cidr;
}

export function formatCidr({ first, prefix }: Cidr): string {
  return `${formatAddress(first)}/${prefix}`;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** How many addresses a range has. */
export function sizeOf({ prefix }: Cidr): number {
  return 2 ** (32 - prefix);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.first < b.first + sizeOf(b) && b.first < a.first + sizeOf(a);
}

/** The first of the ranges that overlaps none of the others. */
export function findFree(candidates: Iterable<Cidr>, others: readonly Cidr[]): Cidr | undefined {
  for (const candidate of candidates) {
    if (!others.some((other) => overlaps(candidate, other))) return candidate;
  }
  return undefined;
}

/** Ranges of 65,536 addresses for networks that nobody chose one for, in the order they are tried. */
export function* candidates(start: Cidr): Generator<Cidr> {
  yield start;
  for (let second = 16; second < 32; second++) {
    yield { first: 0xac000000 + second * 65_536, prefix: 16 };
  }
  for (let second = 255; second > 0; second--) {
    yield { first: 0x0a000000 + second * 65_536, prefix: 16 };
  }
}

/** A /48 of unique local IPv6 addresses (RFC 4193) of whoever bears this name. */
export function localPrefix(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `fd${hex.slice(0, 2)}:${hex.slice(2, 6)}:${hex.slice(6, 10)}`;
}

/** The /64 of a network, without its length. */
export function network6(prefix: string, number: number): string {
  return `${prefix}:${number.toString(16)}`;
}

/** An IPv6 address in the spelling that everybody else writes it in (RFC 5952). */
export function canonical6(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** The IPv6 address beside an IPv4 address of a network. */
export function address6(prefix: string, number: number, address: number): string {
  const [high, low] = [address >>> 16, address & 0xffff].map((part) => part.toString(16));
  return canonical6(`${network6(prefix, number)}::${high}:${low}`);
}
