// Ports of the host that lead into a job, as people write them: `[ADDRESS:]HOSTPORT:PORT[/PROTOCOL]`.
// Without an address it is the host's own loopback: nobody opens a port to the world by leaving a word out.

import { isIP } from 'node:net';
import { canonical6 } from './cidr.ts';

export interface PublishedPort {
  /** Of the host, in its one spelling; `*` is every one of either family, `0.0.0.0` and `::` every one of their own. */
  readonly address: string;
  readonly hostPort: number;
  /** Of the job. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

export const MAX_PUBLISHED = 32;

const LOOPBACK = '127.0.0.1';
const MAX_CHARS = 100;
const MAX_PORT = 65_535;
const TEXT = /^(?:(\*|[\d.]+|\[[0-9A-Fa-f:.]+\]):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/;

/** A port, or what is wrong with its text. */
export function parsePublished(text: string): PublishedPort | string {
  const shown = JSON.stringify(text.slice(0, 64));
  const match = text.length > MAX_CHARS ? null : TEXT.exec(text);
  if (match === null) {
    return `${shown} is no published port; write it as 8080:80, 0.0.0.0:8080:80, [2001:db8::1]:53:53/udp or *:8080:80`;
  }
  const [, where = LOOPBACK, first = '', second = '', protocol = 'tcp'] = match;
  const [hostPort, port] = [Number(first), Number(second)];
  if (![hostPort, port].every((each) => each >= 1 && each <= MAX_PORT)) {
    return `${shown} names a port that is not from 1 to ${MAX_PORT}`;
  }
  const address = readAddress(where);
  if (address === undefined) return `${shown} names no address that a host can have`;
  if (address === '::1') {
    return `${shown} cannot be: the kernel lets nothing of [::1] out of the host; use 127.0.0.1`;
  }
  return { address, hostPort, port, protocol: protocol === 'udp' ? 'udp' : 'tcp' };
}

/** The whole text of a port, with nothing left out. */
export function formatPublished({ address, hostPort, port, protocol }: PublishedPort): string {
  return `${bracketed(address)}:${hostPort}:${port}/${protocol}`;
}

/** The host's end of a port. */
export function formatHostEnd({ address, hostPort, protocol }: PublishedPort): string {
  return `${bracketed(address)}:${hostPort}/${protocol}`;
}

/** Whether both cannot be had at the same time. */
export function isSamePlace(a: PublishedPort, b: PublishedPort): boolean {
  if (a.hostPort !== b.hostPort || a.protocol !== b.protocol) return false;
  return familiesOf(a).some(
    (family) =>
      familiesOf(b).includes(family) && (isEvery(a) || isEvery(b) || a.address === b.address),
  );
}

/** Of the addresses that it stands for. */
export function familiesOf({ address }: PublishedPort): readonly (4 | 6)[] {
  if (address === '*') return [4, 6];
  return [address.includes(':') ? 6 : 4];
}

/** Whether it is every address of its family. */
export function isEvery({ address }: PublishedPort): boolean {
  return address === '*' || address === '0.0.0.0' || address === '::';
}

/** Whether only the host itself gets there. */
export function isLoopback({ address }: PublishedPort): boolean {
  return address.startsWith('127.');
}

function readAddress(where: string): string | undefined {
  if (where === '*') return where;
  const text = where.startsWith('[') ? where.slice(1, -1) : where;
  const family = isIP(text);
  if (family !== (where.startsWith('[') ? 6 : 4)) return undefined;
  const address = family === 6 ? canonical6(text) : text;
  // Groups, and IPv4 in old clothes.
  if (family === 6) return /^(ff|::ffff:|::\d+\.)/.test(address) ? undefined : address;
  return Number(address.split('.')[0]) >= 224 ? undefined : address;
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
