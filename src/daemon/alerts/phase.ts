// When an alert fires and when it is over: what a rule is about has to be beyond its limit for as long
// as the rule says, and then to be well again for as long.

/** How it stands with one thing that a rule is about; there is none where all is well. */
export interface Phase {
  readonly name: 'rising' | 'firing' | 'falling';
  readonly sinceMs: number;
}

export interface Step {
  readonly phase: Phase | undefined;
  readonly turn?: 'fired' | 'resolved';
}

/** The next phase, by one look. */
export function step(
  phase: Phase | undefined,
  isBeyond: boolean,
  nowMs: number,
  forMs: number,
): Step {
  // A clock that was put back must not make it wait for all the time that went by before.
  const sinceMs = Math.min(phase?.sinceMs ?? nowMs, nowMs);
  const isLong = nowMs - sinceMs >= forMs;
  const isFiring = phase?.name === 'firing' || phase?.name === 'falling';
  if (isBeyond === isFiring) {
    if (!isFiring) return { phase: undefined };
    return { phase: phase.name === 'firing' ? phase : { name: 'firing', sinceMs: nowMs } };
  }
  const isUnderWay = phase?.name === 'rising' || phase?.name === 'falling';
  if (forMs > 0 && !(isUnderWay && isLong)) {
    const name = isBeyond ? 'rising' : 'falling';
    return { phase: { name, sinceMs: isUnderWay ? sinceMs : nowMs } };
  }
  if (isBeyond) return { phase: { name: 'firing', sinceMs: nowMs }, turn: 'fired' };
  return { phase: undefined, turn: 'resolved' };
}
