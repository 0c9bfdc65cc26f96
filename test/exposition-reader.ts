// Reads what an endpoint for Prometheus says, and refuses what Prometheus would: a strict reader, apart
// from the code that writes it.

import assert from 'node:assert/strict';

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`, 's');
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)/y;
const VALUE = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\+Inf|-Inf|NaN)$/;

/** Every series, in order; fails on anything that the format does not allow. */
export function readExposition(text: string, isOpenMetrics = false): Series[] {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const lines = text.slice(0, -1).split('\n');
  if (isOpenMetrics) assert.equal(lines.pop(), '# EOF');
  const types = new Map<string, string>();
  const helped = new Set<string>();
  const seen = new Set<string>();
  const all: Series[] = [];
  let current = '';
  for (const line of lines) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/s.exec(line) ?? [];
    if (word === 'HELP') {
      assert.ok(!helped.has(name), `${name} is explained twice`);
      helped.add(name);
      continue;
    }
    if (word === 'TYPE') {
      assert.match(rest, /^(counter|gauge|histogram)$/, line);
      assert.ok(!types.has(name), `${name} has two types`);
      assert.ok(helped.has(name), `${name} is not explained`);
      types.set(name, rest);
      current = name;
      continue;
    }
    const series = readSeries(line);
    assert.ok(
      isOf(series.name, current, types.get(current), isOpenMetrics),
      `${line} after ${current}`,
    );
    const identity = `${series.name} ${JSON.stringify(Object.entries(series.labels).sort())}`;
    assert.ok(!seen.has(identity), `${line} stands twice`);
    seen.add(identity);
    all.push(series);
  }
  assertHistograms(all, types);
  return all;
}

function readSeries(line: string): Series {
  const [, name = '', inside = '', value = ''] = LINE.exec(line) ?? [];
  assert.notEqual(name, '', `no series: ${line}`);
  assert.match(value, VALUE, line);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < inside.length) {
    const [, key = '', text = ''] = LABEL.exec(inside) ?? [];
    assert.notEqual(key, '', `no labels: ${line}`);
    assert.ok(!(key in labels), `${key} stands twice: ${line}`);
    labels[key] = text.replace(/\\(.)/gs, (_, it: string) => (it === 'n' ? '\n' : it));
  }
  const number = value.endsWith('Inf')
    ? Number(`${value.replace('Inf', 'Infinity')}`)
    : Number(value);
  return { name, labels, value: number };
}

function isOf(name: string, family: string, type: string | undefined, isOpenMetrics: boolean) {
  if (type === 'gauge') return name === family;
  if (type === 'histogram') return new RegExp(`^${family}_(bucket|sum|count)$`).test(name);
  return name === (isOpenMetrics ? `${family}_total` : family) && name.endsWith('_total');
}

/** Buckets rise, the last one is infinite and holds them all. */
function assertHistograms(all: readonly Series[], types: ReadonlyMap<string, string>): void {
  for (const [family, type] of types) {
    if (type !== 'histogram') continue;
    const buckets = Map.groupBy(
      all.filter(({ name }) => name === `${family}_bucket`),
      ({ labels: { le: _, ...rest } }) => JSON.stringify(rest),
    );
    for (const [key, rows] of buckets) {
      const bounds = rows.map(({ labels: { le } }) => Number(le?.replace('+Inf', 'Infinity')));
      assert.deepEqual(
        bounds,
        bounds.toSorted((a, b) => a - b),
        family,
      );
      assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, family);
      const counts = rows.map(({ value }) => value);
      assert.deepEqual(
        counts,
        counts.toSorted((a, b) => a - b),
        family,
      );
      const count = all.find(
        ({ name, labels }) => name === `${family}_count` && JSON.stringify(labels) === key,
      );
      assert.equal(count?.value, counts.at(-1), family);
    }
  }
}
