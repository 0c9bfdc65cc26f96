// Results as a page for people. The same values stand in the JSON file beside it.

import type { MachineFacts } from './machine.ts';
import type { Row, TrialResult } from './trial.ts';

export interface Measured {
  readonly trial: string;
  readonly title: string;
  /** Share of the processors that others used just before the trial, 0 to 1. */
  readonly busyBefore: number;
  readonly result: TrialResult;
}

export interface Results {
  readonly date: string;
  readonly commit: string;
  readonly machine: MachineFacts;
  readonly measured: readonly Measured[];
}

export function formatResults(results: Results): string {
  const { machine } = results;
  const versions = Object.entries(machine.versions).map(([name, text]) => `${name}: ${text}`);
  return [
    `# Bench of ${results.date}, commit ${results.commit}`,
    '',
    `${machine.cores} cores (${machine.processor}), ${machine.memoryMb} MB, ${machine.distribution},`,
    `Linux ${machine.kernel}, ${machine.cgroups}, Node ${machine.node}.`,
    `${versions.join('; ')}.`,
    '',
    'Rows of one table took turns in one run. Compare rows of one table only, and only as ratios.',
    '',
    ...results.measured.flatMap(formatMeasured),
  ].join('\n');
}

function formatMeasured(measured: Measured): string[] {
  const { rows, ratios, notes } = measured.result;
  const busy = Math.round(measured.busyBefore * 100);
  return [
    `## ${measured.trial}: ${measured.title}`,
    '',
    `Others used ${busy} % of the processors just before.`,
    '',
    '| | unit | samples | min | p10 | p50 | p90 | p99 |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map(formatRow),
    '',
    ...(ratios.length === 0 ? [] : ['| ratio of medians | | promised |', '| --- | --- | --- |']),
    ...ratios.map((each) => `| ${each.name} | ${each.value.toFixed(2)} | ${each.promise} |`),
    ...(ratios.length === 0 ? [] : ['']),
    ...notes.map((note) => `- ${note}`),
    '',
  ];
}

function formatRow({ name, unit, spread }: Row): string {
  const points = [spread.min, spread.p10, spread.p50, spread.p90, spread.p99];
  const cells = points.map((value) => (value >= 1000 ? value.toFixed(0) : value.toPrecision(3)));
  return `| ${name} | ${unit} | ${spread.samples} | ${cells.join(' | ')} |`;
}
