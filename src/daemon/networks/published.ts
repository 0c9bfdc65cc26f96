// The rules that lead ports of the host into jobs. Pure.
//
// What comes from outside is led on before it is looked at where it goes; what the host itself sends, as
// it is sent. A port of the loopback is for the host alone: an outside that writes 127.0.0.1 into its
// packets is not led anywhere.

import { familiesOf, isEvery, isLoopback, type PublishedPort } from '../../shared/publish.ts';

/** A job that ports of the host lead into. */
export interface Published {
  /** Of its interface. */
  readonly key: string;
  /** Of the job, IPv6 second where the host has it. */
  readonly addresses: readonly string[];
  /** Of its network, in the same order: whom the job answers when the host asks by its loopback. */
  readonly gateways: readonly string[];
  readonly ports: readonly PublishedPort[];
}

/** From outside, and of no job: it reaches nothing of the host, and its peers by themselves. */
export function ledFromOutside(ours: string, published: readonly Published[]): string[] {
  return eachEnd(published, (port, family, to) => {
    if (isLoopback(port)) return [];
    const where = isEvery(port)
      ? `fib daddr type local ${family} daddr != ${family === 'ip' ? '127.0.0.0/8' : '::1'}`
      : `${family} daddr ${port.address}`;
    return [`iifname != ${ours} ${where} ${leadTo(port, family, to)}`];
  });
}

/** From the host itself. */
export function ledFromHost(published: readonly Published[]): string[] {
  return eachEnd(published, (port, family, to) => {
    const where = isEvery(port)
      ? `fib daddr type local ${family} daddr != ${family === 'ip' ? '0.0.0.0' : '::1'}`
      : `${family} daddr ${port.address}`;
    return [`${where} ${leadTo(port, family, to)}`];
  });
}

/** The kernel lets nothing of [::1] out of the host: whoever tries it is to try 127.0.0.1 next. */
export function refusedAtLoopback(published: readonly Published[]): string[] {
  return eachEnd(published, (port, family) => {
    if (family === 'ip' || !isEvery(port)) return [];
    const { protocol, hostPort } = port;
    const how = protocol === 'tcp' ? 'reject with tcp reset' : 'reject';
    return [`ip6 daddr ::1 ${protocol} dport ${hostPort} ${how}`];
  });
}

/** A job has no way to 127.0.0.1 of the host: it answers its gateway. */
export function seenFromGateway(published: readonly Published[]): string[] {
  return published.flatMap(({ key, gateways: [gateway = ''] }) => [
    `oifname "${key}" ip saddr 127.0.0.0/8 snat ip to ${gateway}`,
  ]);
}

/** Whether the host's loopback leads into the job. */
export function isReachedByLoopback(ports: readonly PublishedPort[]): boolean {
  return ports.some((port) => isLoopback(port) || (isEvery(port) && familiesOf(port).includes(4)));
}

type Family = 'ip' | 'ip6';

function eachEnd(
  published: readonly Published[],
  rules: (port: PublishedPort, family: Family, to: string) => string[],
): string[] {
  return published.flatMap(({ addresses, ports }) =>
    ports.flatMap((port) =>
      familiesOf(port).flatMap((family) => {
        const to = addresses[family === 4 ? 0 : 1];
        // A host without IPv6 has none of its addresses either.
        return to === undefined ? [] : rules(port, family === 4 ? 'ip' : 'ip6', to);
      }),
    ),
  );
}

function leadTo({ protocol, hostPort, port }: PublishedPort, family: Family, to: string): string {
  const end = family === 'ip' ? `${to}:${port}` : `[${to}]:${port}`;
  return `${protocol} dport ${hostPort} dnat ${family} to ${end}`;
}
