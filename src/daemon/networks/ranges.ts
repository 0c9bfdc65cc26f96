// The ranges of IPv4 addresses that a host uses itself, where no network of ours may lie. Pure.

import { type Cidr, sizeOf } from '../../shared/cidr.ts';
import type { HostRanges } from '../linux/host-network.ts';

export type HostRange = readonly [range: Cidr, owner: string];

/** Without ranges of ours, and what devices have whose names begin with `prefix`. */
export function rangesOfHost(
  { devices, routes }: HostRanges,
  ours: readonly string[],
  prefix: string,
): HostRange[] {
  const isOurs = (device: string) => device.startsWith(prefix);
  const found = [
    ...devices
      .filter(({ name }) => !isOurs(name))
      .flatMap(({ name, addresses }) =>
        addresses.map((text) => [text, `an address at ${name}`] as const),
      ),
    ...routes
      .filter(({ to, device }) => !ours.includes(to) && !isOurs(device))
      .map(({ to, device }) => [to, `a route${device && ` by ${device}`}`] as const),
  ];
  return found.flatMap(([text, owner]) => {
    const range = rangeOf(text);
    return range === undefined ? [] : [[range, owner] as const];
  });
}

/** Undefined for what is none. */
function rangeOf(text: string): Cidr | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(text);
  if (match === null) return undefined;
  const address = match.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
  const prefix = Number(match[5]);
  return { first: address - (address % sizeOf({ first: 0, prefix })), prefix };
}
