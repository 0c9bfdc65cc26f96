// Concurrency groups: of the runs and calls of one group that a user has started one goes on at a time.
// All of it is read from the runs under way, so there is nothing that could be told otherwise.

import type { Run } from './run.ts';
import { isOver, type RunOptions } from './workflow.ts';

/** A run, or a call within one, that has its turn in a group, waits for it, or is being ended. */
export interface Claim {
  readonly run: Run;
  /** The call; without one it is the run itself. */
  readonly call?: number;
  readonly group: string;
  readonly cancelsOthers: boolean;
  readonly state: 'waits' | 'has' | 'ends';
  readonly sinceMs: number;
}

/** Whether a workflow has to do with groups at all. */
export function hasGroups({
  concurrency,
  calls = [],
}: RunOptions & { readonly calls?: readonly RunOptions[] }): boolean {
  return concurrency !== undefined || calls.some((call) => call.concurrency !== undefined);
}

/** What a run claims. */
export function claimsOf(run: Run): Claim[] {
  const { options, status, waits, createdAtMs, turns } = run.workflow;
  const claims: Claim[] = [];
  if (options.concurrency !== undefined && !isOver(status)) {
    const { group, cancelsOthers } = options.concurrency;
    claims.push({
      run,
      group,
      cancelsOthers,
      state: waits ? 'waits' : 'has',
      sinceMs: createdAtMs,
    });
  }
  for (const { call, state, sinceMs } of turns) {
    const concurrency = options.calls?.[call]?.concurrency;
    if (concurrency !== undefined) claims.push({ run, call, ...concurrency, state, sinceMs });
  }
  return claims;
}

/** Whose turn is next: the one that waits longest, when no other one goes on. */
export function nextOf(claims: readonly Claim[]): Claim | undefined {
  if (claims.some(({ state }) => state !== 'waits')) return undefined;
  return claims.toSorted((a, b) => a.sinceMs - b.sinceMs)[0];
}

/**
 * Whether a claim that has begun to wait would wait for itself: who has its turn waits for another
 * one's, and so on, until one is part of what has the turn that is waited for.
 */
export function isCircle(claim: Claim, claims: readonly Claim[]): boolean {
  const seen = new Set<Claim>();
  const waiting = [claim];
  for (const one of waiting) {
    for (const holder of claims) {
      if (holder.state !== 'has' || seen.has(holder) || !isRival(one, holder)) continue;
      seen.add(holder);
      if (isPartOf(claim, holder)) return true;
      waiting.push(...claims.filter((each) => each.state === 'waits' && isPartOf(each, holder)));
    }
  }
  return false;
}

export function isSame(one: Claim, other: Claim): boolean {
  return one.run === other.run && one.call === other.call;
}

/** Whether two claims are for one turn. */
function isRival(one: Claim, other: Claim): boolean {
  return (
    one.group === other.group &&
    one.run.workflow.owner.name === other.run.workflow.owner.name &&
    !isSame(one, other)
  );
}

function isPartOf(inner: Claim, outer: Claim): boolean {
  if (inner.run !== outer.run || isSame(inner, outer)) return false;
  return outer.call === undefined || inner.run.isWithin(inner, outer.call);
}
