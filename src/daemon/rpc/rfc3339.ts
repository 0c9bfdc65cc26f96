// Times as clients read them. A list of jobs has three of each, and what Date makes of them took a
// fifth of its time: within a day only the clock differs.

const DAY_MS = 86_400_000;

/** Two digits for each number below sixty. */
const two = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));

/** The beginning of the day that was asked for last, as a time and as text up to its `T`. */
let dayMs = 0;
let dayText = '1970-01-01T';

/** A time as clients read it; empty when it has not come. */
export function rfc3339(atMs: number): string {
  if (atMs === 0) return '';
  const ms = atMs - dayMs;
  if (!(ms >= 0 && ms < DAY_MS)) {
    dayText = new Date(atMs).toISOString().slice(0, -'00:00:00.000Z'.length);
    dayMs = Math.floor(atMs / DAY_MS) * DAY_MS;
  }
  return dayText + clockText(Math.floor(atMs - dayMs));
}

function clockText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hour = two[Math.floor(minutes / 60)];
  const fraction = String(ms % 1000).padStart(3, '0');
  return `${hour}:${two[minutes % 60]}:${two[seconds % 60]}.${fraction}Z`;
}
