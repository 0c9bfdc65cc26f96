// Metrics as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0 for those who ask for it.

export type Labels = Readonly<Record<string, string>>;

export interface Point {
  readonly labels?: Labels;
  readonly value: number;
}

/** What a histogram has seen: how many values up to each bound, of which the last has none. */
export interface Distribution {
  readonly labels?: Labels;
  /** Upper bounds, rising, without infinity. */
  readonly bounds: readonly number[];
  /** Values within each bound and above the one before it; one more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** One metric by its name, with everything that is to be said of it. */
export type Family = {
  /** As Prometheus stores it; that of a counter ends in `_total`. */
  readonly name: string;
  readonly help: string;
} & (
  | { readonly type: 'counter' | 'gauge'; readonly points: readonly Point[] }
  | { readonly type: 'histogram'; readonly points: readonly Distribution[] }
);

export const formats = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const;
export type Format = keyof typeof formats;

/** The format that an Accept header asks for; the plain one where it asks for neither. */
export function formatFor(accept: string): Format {
  return /\bapplication\/openmetrics-text\b/i.test(accept) ? 'openmetrics' : 'prometheus';
}

/** All metrics as one text. */
export function formatMetrics(families: readonly Family[], format: Format): string {
  const text = families.map((family) => formatFamily(family, format)).join('');
  return format === 'openmetrics' ? `${text}# EOF\n` : text;
}

function formatFamily(family: Family, format: Format): string {
  const { name, help, type } = family;
  // OpenMetrics names a counter without the ending that its samples have.
  const told = format === 'openmetrics' && type === 'counter' ? name.replace(/_total$/, '') : name;
  const head = `# HELP ${told} ${escapeHelp(help)}\n# TYPE ${told} ${type}\n`;
  const lines =
    family.type === 'histogram'
      ? family.points.flatMap((point) => distributionLines(name, point))
      : family.points.map(({ labels, value }) => line(name, labels, value));
  return head + lines.join('');
}

function distributionLines(name: string, { labels, bounds, counts, sum }: Distribution): string[] {
  let seen = 0;
  const buckets = counts.map((count, at) => {
    seen += count;
    const le = formatNumber(bounds[at] ?? Number.POSITIVE_INFINITY);
    return line(`${name}_bucket`, { ...labels, le }, seen);
  });
  return [...buckets, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, seen)];
}

function line(name: string, labels: Labels | undefined, value: number): string {
  const pairs = Object.entries(labels ?? {}).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  const set = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
  return `${name}${set} ${formatNumber(value)}\n`;
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text.toWellFormed()).replaceAll('"', '\\"');
}
