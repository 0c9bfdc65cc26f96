// Chains of the host's packet filter that drop what is forwarded: what jobs send goes through them as
// well, whatever our own table says.

import { runProgram } from './host-network.ts';

/** A chain that a packet of a job's does not get through. */
export interface ForwardDrop {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
}

/** Undefined where the packet filter cannot be asked. */
export async function readForwardDrops(): Promise<readonly ForwardDrop[] | undefined> {
  try {
    return findForwardDrops(await runProgram('nft', ['-s', '-n', 'list', 'ruleset']));
  } catch {
    return undefined;
  }
}

/** Those of a rule set that drop by their policy and let no interface of ours pass. Pure. */
export function findForwardDrops(ruleset: string): ForwardDrop[] {
  const found: ForwardDrop[] = [];
  let [family, table, chain] = ['', '', ''];
  let drops = false;
  let passes = new Set<string>();
  for (const line of ruleset.split('\n').map((each) => each.trim())) {
    const [, newFamily, newTable] = /^table (\S+) (\S+) \{$/.exec(line) ?? [];
    const [, newChain] = /^chain (\S+) \{$/.exec(line) ?? [];
    if (newFamily !== undefined && newTable !== undefined) {
      [family, table] = [newFamily, newTable];
    } else if (newChain !== undefined) {
      [chain, drops, passes] = [newChain, false, new Set()];
    } else if (/^type filter hook forward .*policy drop;/.test(line)) {
      drops = true;
    } else if (line === '}') {
      if (drops && passes.size < 2) found.push({ family, table, chain });
      drops = false;
    } else {
      const [, way] = /^(iifname|oifname) "jl\*" (?:counter .*)?accept$/.exec(line) ?? [];
      if (way !== undefined) passes.add(way);
    }
  }
  return found;
}
