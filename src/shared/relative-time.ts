// A while as people write it: `1hour`, `30min`, `1h 30m`.

const DAY_MS = 86_400_000;

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  secs: 1000,
  second: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: DAY_MS,
  day: DAY_MS,
  days: DAY_MS,
};

/** Milliseconds of a while, or undefined for what is none. */
export function relativeMs(text: string): number | undefined {
  const compact = text.replace(/\s+/g, '').toLowerCase();
  if (!/^(?:\d{1,9}[a-z]+)+$/.test(compact)) return undefined;
  let total = 0;
  for (const [, count, unit = ''] of compact.matchAll(/(\d+)([a-z]+)/g)) {
    const size = Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined;
    if (size === undefined) return undefined;
    total += Number(count) * size;
  }
  return total;
}
