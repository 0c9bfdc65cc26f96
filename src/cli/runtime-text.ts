// Runtimes as text for people. The lines are those of the first generation, which scripts parse.

import type { RuntimeDetail, RuntimesListed, RuntimeTested } from '../client/runtime-messages.ts';
import { visible } from './print.ts';

const GAP = '  ';
/** Columns of a size at least. */
const SIZE_COLUMNS = 7;

const sizeUnits = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** A size to two digits or more, in one word: `475MB`, `1.9GB`. */
export function sizeWord(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < sizeUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const isSmall = value < 10 && unit > 0;
  return `${isSmall ? Number(value.toFixed(1)) : Math.round(value)}${sizeUnits[unit]}`;
}

/** The table of `rnx runtime list`; `wide` shows too what each has for itself. */
export function runtimeTable({ runtimes, diskBytes }: RuntimesListed, wide: boolean): string {
  if (runtimes.length === 0) {
    return 'No runtimes are installed; rnx runtime install NAME installs one\n';
  }
  const titles = ['RUNTIME', 'VERSION', 'TYPE', 'SIZE', ...(wide ? ['OWN'] : []), 'DESCRIPTION'];
  const rows = runtimes.map((runtime) => [
    visible(runtime.name),
    visible(runtime.version || '-'),
    visible(runtime.type || '-'),
    sizeWord(Number(runtime.sizeBytes)).padEnd(SIZE_COLUMNS),
    ...(wide ? [sizeWord(Number(runtime.uniqueBytes))] : []),
    visible(runtime.problem === '' ? runtime.description : `(unusable: ${runtime.problem})`),
  ]);
  const sizes = runtimes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n);
  const shared = sizes - diskBytes;
  const footer = [
    `Total runtimes: ${runtimes.length}`,
    ...(wide && shared > 0n
      ? [`On disk: ${sizeWord(Number(diskBytes))} (${sizeWord(Number(shared))} are shared)`]
      : []),
  ];
  return `${columns([titles, titles.map((title) => '-'.repeat(title.length)), ...rows])}\n${footer.join('\n')}\n`;
}

/** Rows below each other, cells padded to their columns. */
function columns(rows: readonly (readonly string[])[]): string {
  const [first = []] = rows;
  const widths = first.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** What `rnx runtime info` says; `all` says more than the first generation did. */
export function runtimeText(runtime: RuntimeDetail, all: boolean): string {
  const { name, requirements, packages } = runtime;
  const needs = [
    ['Minimum Memory', memory(requirements?.minMemoryBytes)],
    ['Recommended Memory', memory(requirements?.recommendedMemoryBytes)],
    ['Architectures', requirements?.architectures.join(', ') ?? ''],
    ['GPU', requirements?.gpu === true ? 'yes' : ''],
  ] as const;
  const sections = [
    [
      `Runtime: ${name}`,
      `Type: ${runtime.type || '-'}`,
      `Version: ${runtime.version || '-'}`,
      `Description: ${runtime.description}`,
      ...(runtime.problem === '' ? [] : [`Unusable: ${runtime.problem}`]),
    ],
    titled('Requirements', labeled(needs)),
    titled(
      'Pre-installed Packages',
      packages.map((one) => `- ${one}`),
    ),
    ...(all ? moreOf(runtime) : []),
    titled('Usage', [`rnx job run --runtime=${name} <command>`]),
  ];
  return joined(sections);
}

function moreOf(runtime: RuntimeDetail): string[][] {
  const { buildInfo: build, aliases, environment, tests, libraries, warnings } = runtime;
  const variables = Object.entries(environment).map(([word, value]) => `${word}=${value}`);
  const origin = [
    ['At', build?.builtAt ?? ''],
    ['With', build?.builtWith ?? ''],
    ['Platform', build?.platform ?? ''],
  ] as const;
  return [
    titled('Size', [
      `${sizeWord(Number(runtime.sizeBytes))}, of which no other runtime has ${sizeWord(Number(runtime.uniqueBytes))}`,
    ]),
    titled('Language', labeled([[runtime.language, runtime.languageVersion]])),
    titled('Also Called', aliases),
    titled('Environment', variables),
    titled(
      'Libraries',
      libraries.map((one) => `- ${one}`),
    ),
    titled(
      'Tests',
      tests.map((one) => `- ${one}`),
    ),
    titled('Built', labeled(origin)),
    titled(
      'Warnings',
      warnings.map((one) => `- ${one}`),
    ),
  ];
}

/** Lines `label: value`, without those that say nothing. */
function labeled(pairs: readonly (readonly [label: string, value: string])[]): string[] {
  return pairs.filter(([, value]) => value !== '').map(([label, value]) => `${label}: ${value}`);
}

/** A title with lines below it, or nothing. */
function titled(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)];
}

function joined(sections: readonly (readonly string[])[]): string {
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `${visible(line)}\n`).join(''))
    .join('\n');
}

function memory(bytes: bigint | undefined): string {
  return bytes === undefined || bytes === 0n ? '' : sizeWord(Number(bytes));
}

/** How each language says its version. */
const versionCommands: Readonly<Record<string, string>> = {
  python: 'python --version',
  java: 'java -version',
  graalvm: 'java -version',
  node: 'node --version',
  go: 'go version',
  ruby: 'ruby --version',
  php: 'php --version',
  rust: 'rustc --version',
};

/** How the test of a runtime went. */
export function testedText(name: string, language: string, tested: RuntimeTested): string {
  const { success, output, error, exitCode, tests } = tested;
  const each = tests.map((test) =>
    test.passed ? `  ✓ ${test.name} (${test.durationMs} ms)` : `  ✗ ${test.name}: ${test.problem}`,
  );
  const command = versionCommands[language] ?? '<command>';
  const lines = success
    ? [
        '✓ Runtime test passed',
        `Output: ${output}`,
        ...each,
        '',
        'To test the runtime in a job:',
        `  rnx job run --runtime=${name} ${command}`,
      ]
    : ['✗ Runtime test failed', ...each, `Error: ${error}`, `Exit code: ${exitCode}`];
  return [`Testing runtime: ${name}`, ...lines].map((line) => `${visible(line)}\n`).join('');
}
