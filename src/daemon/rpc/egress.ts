// From messages about what may be sent to rules that were checked, and back.

import { create } from '@bufbuild/protobuf';
import { type EgressPolicy, EgressPolicySchema } from '../../gen/joblet/networks_pb.ts';
import { type Egress, MAX_EGRESS_RULES, OPEN, parseEgressRule } from '../../shared/egress.ts';

type Report = (field: string, message: string) => void;

interface Wish {
  readonly closed: boolean;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** Rules for a job or a network; undefined is everything. */
export function readEgress(wish: Wish | undefined, report: Report): Egress {
  if (wish === undefined) return OPEN;
  const { closed, allow, deny } = wish;
  const rules = {
    allow: readRules('egress.allow', allow, report),
    deny: readRules('egress.deny', deny, report),
  };
  // A list of what is allowed is the whole of it.
  const isClosed = closed || allow.length > 0;
  return !isClosed && deny.length === 0 ? OPEN : { closed: isClosed, ...rules };
}

/** Rules as they are after those that allow and deny something more were added. */
export function changed(
  now: Egress,
  {
    allow,
    deny,
    reset,
  }: {
    readonly allow: readonly string[];
    readonly deny: readonly string[];
    readonly reset: boolean;
  },
): Egress {
  const { closed, ...before } = reset ? OPEN : now;
  const without = (texts: readonly string[], others: readonly string[]) =>
    texts.filter((text) => !others.includes(text));
  return {
    closed: closed || allow.length > 0,
    allow: [...new Set([...without(before.allow, deny), ...allow])],
    deny: [...new Set([...without(before.deny, allow), ...deny])],
  };
}

export function readRules(
  field: string,
  texts: readonly string[],
  report: Report,
): readonly string[] {
  if (texts.length > MAX_EGRESS_RULES) {
    report(field, `are ${texts.length} rules of at most ${MAX_EGRESS_RULES}`);
    return [];
  }
  for (const [at, text] of texts.entries()) {
    const rule = parseEgressRule(text);
    if (typeof rule === 'string') report(`${field}[${at}]`, rule);
  }
  return [...texts];
}

export function toEgress({ closed, allow, deny }: Egress): EgressPolicy {
  return create(EgressPolicySchema, { closed, allow: [...allow], deny: [...deny] });
}
