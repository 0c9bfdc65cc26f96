// What is left of many samples: how they spread. Single figures invite comparing what cannot be
// compared; ratios of medians of one run are the only conclusion that is drawn.

export interface Spread {
  readonly samples: number;
  readonly min: number;
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** The spread of at least one sample, in the samples' own unit. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    if (value === undefined) throw new Error('a spread needs at least one sample');
    return value;
  };
  return {
    samples: sorted.length,
    min: at(0),
    p10: at(0.1),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
  };
}
