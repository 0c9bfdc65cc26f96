// Calls of the API since the daemon started, by method and by how they ended.

import type { Family } from './exposition.ts';
import { Histogram } from './histogram.ts';

/** Seconds; a follower's call may last for days. */
const BOUNDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

/** What a client called that is no method: it may choose any number of names. */
const UNKNOWN = 'unknown';

interface Calls {
  readonly byCode: Map<string, number>;
  readonly seconds: Histogram;
}

export class CallCounts {
  readonly #isMethod: (path: string) => boolean;
  readonly #methods = new Map<string, Calls>();

  constructor(isMethod: (path: string) => boolean) {
    this.#isMethod = isMethod;
  }

  /** Counts a call; one that was not let in took no time. */
  count(path: string, code: string, durationMs: number | undefined): void {
    const method = this.#isMethod(path) ? path.slice(1) : UNKNOWN;
    let calls = this.#methods.get(method);
    if (calls === undefined) {
      calls = { byCode: new Map(), seconds: new Histogram(BOUNDS) };
      this.#methods.set(method, calls);
    }
    calls.byCode.set(code, (calls.byCode.get(code) ?? 0) + 1);
    if (durationMs !== undefined) calls.seconds.observe(durationMs / 1000);
  }

  families(): Family[] {
    const methods = [...this.#methods];
    return [
      {
        name: 'joblet_api_calls_total',
        help: 'Calls of the API that have ended or were refused, by method and code.',
        type: 'counter',
        points: methods.flatMap(([method, { byCode }]) =>
          [...byCode].map(([code, value]) => ({ labels: { method, code }, value })),
        ),
      },
      {
        name: 'joblet_api_call_seconds',
        help: 'How long calls of the API took that were let in.',
        type: 'histogram',
        points: methods.map(([method, { seconds }]) => seconds.distribution({ method })),
      },
    ];
  }
}
