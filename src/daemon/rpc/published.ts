// From a request to the ports of the host that lead into a job.

import {
  formatPublished,
  isSamePlace,
  MAX_PUBLISHED,
  type PublishedPort,
  parsePublished,
} from '../../shared/publish.ts';
import { NO_NETWORK } from '../networks/network.ts';

interface Wish {
  readonly publish: readonly string[];
  /** Empty is the default. */
  readonly network: string;
}

/** Ports that were checked, each as its whole text. */
export function readPublished(
  { publish: texts, network }: Wish,
  { defaultNetwork }: { readonly defaultNetwork: string },
  report: (field: string, message: string) => void,
): string[] {
  if (texts.length === 0) return [];
  if (texts.length > MAX_PUBLISHED) {
    report('publish', `are ${texts.length} ports of at most ${MAX_PUBLISHED}`);
    return [];
  }
  if ((network || defaultNetwork) === NO_NETWORK) {
    report('publish', 'is for a job on a network; this one is on none');
  }
  const ports: PublishedPort[] = [];
  for (const [at, text] of texts.entries()) {
    const port = parsePublished(text);
    if (typeof port === 'string') report(`publish[${at}]`, port);
    else if (ports.some((other) => isSamePlace(port, other))) {
      report(`publish[${at}]`, `${formatPublished(port)} is where another one of them is`);
    } else ports.push(port);
  }
  return ports.map(formatPublished);
}
