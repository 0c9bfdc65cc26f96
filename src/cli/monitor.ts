// rnx monitor: how a node does. A status, a stream of looks, and a screen that is kept up to date.

import { stripVTControlCharacters } from 'node:util';
import type { SystemMetricsResponse } from '../gen/joblet/monitoring_pb.ts';
import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import { monitorJson } from './monitor-json.ts';
import { type Choice, choose, type ScreenSize, screen } from './monitor-screen.ts';
import { compactText, metricsText, statusText } from './monitor-text.ts';
import { goingOn, Patience } from './patience.ts';
import { jsonLine, jsonText } from './print.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 10_000;
const WATCH_SECONDS = 5;
const TOP_SECONDS = 2;

const filter = {
  kind: 'text',
  value: 'NAMES',
  help: 'only these, such as cpu,memory,disk,network,process,job',
} as const;
const interval = { kind: 'integer', value: 'SECONDS', help: 'time between two looks' } as const;

export const monitorStatus = command({
  usage: 'rnx monitor status',
  summary: 'Shows how the node does: host, CPU, memory, disks, network, processes, cloud.',
  examples: ['rnx monitor status', 'rnx monitor status --json'],
  flags: {},
  words: [0, 0],
  run: async (_values, _words, session) => {
    const { getSystemStatus } = await import('./metrics-wire.ts');
    const connection = await session.connect();
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const status = await connection.unary(getSystemStatus, {}, { deadlineMs });
    await session.out.write(session.json ? jsonText(monitorJson(status)) : statusText(status));
    return 0;
  },
});

export const monitorWatch = command({
  usage: 'rnx monitor watch [flags]',
  summary: 'Shows how the node does, again and again, until Ctrl-C.',
  examples: ['rnx monitor watch --interval 2', 'rnx monitor watch --filter cpu,memory --compact'],
  flags: {
    interval,
    filter,
    compact: { kind: 'switch', help: 'one line for each look' },
  },
  words: [0, 0],
  run: async (values, _words, session) => {
    const { out, json } = session;
    const text = values.compact ? compactText : metricsText;
    const seconds = intervalOf(values.interval, WATCH_SECONDS);
    return follow(session, seconds, typesOf(values.filter), async (metrics) => {
      if (json) await out.write(jsonLine(monitorJson(metrics)));
      else
        await out.write(
          out.terminal && !values.compact ? `${CLEAR}${text(metrics)}` : text(metrics),
        );
      return true;
    });
  },
});

export const monitorTop = command({
  usage: 'rnx monitor top [flags]',
  summary: 'Shows jobs and processes by what they use, live.',
  notes: [
    'Tab goes from jobs to processes; c, m and n sort by CPU, memory and name; arrows',
    'scroll, space stops the screen, q ends it. Into a pipe it is shown once.',
  ],
  examples: ['rnx monitor top', 'rnx monitor top --interval 1', 'rnx monitor top | cat'],
  flags: { interval, filter: { kind: 'text', value: 'NAMES' } },
  words: [0, 0],
  run: async (values, _words, session) => {
    const seconds = intervalOf(values.interval, TOP_SECONDS);
    typesOf(values.filter);
    const { out, json } = session;
    if (out.terminal && process.stdin.isTTY && !json) return showScreen(session, seconds);
    let looks = 0;
    // The first look has nothing to count rates from.
    return follow(session, 1, topTypes, async (metrics) => {
      if (++looks < 2) return true;
      const size = { columns: out.columns ?? 120, rows: 40 };
      await out.write(json ? jsonText(monitorJson(metrics)) : plainScreen(metrics, size));
      return false;
    });
  },
});

const topTypes = ['host', 'cpu', 'memory', 'network', 'io', 'process', 'job'];

const known = ['host', 'cpu', 'memory', 'disk', 'network', 'io', 'process', 'cloud', 'job'];

/** The groups of a `--filter`; none is all. */
function typesOf(text: string | undefined): string[] {
  const words = (text ?? '').split(',').map((word) => word.trim());
  const types = words.filter((word) => word !== '');
  for (const type of types) {
    if (known.some((each) => [each, `${each}s`, `${each}es`].includes(type))) continue;
    throw new JobletError(
      'invalid',
      `--filter: ${JSON.stringify(type)} is not known; there is ${known.join(', ')}`,
    );
  }
  return types;
}

function intervalOf(seconds: number | undefined, usual: number): number {
  if (seconds === 0) throw new JobletError('invalid', '--interval: at least one second');
  return seconds ?? usual;
}

type Show = (metrics: SystemMetricsResponse) => Promise<boolean>;

/** Shows look after look, until `show` says no or the user does. */
async function follow(
  session: Session,
  intervalSeconds: number,
  metricTypes: string[],
  show: Show,
): Promise<number> {
  const { streamSystemMetrics } = await import('./metrics-wire.ts');
  const connection = await session.connect();
  const stopped = new AbortController();
  process.once('SIGINT', () => stopped.abort());
  const request = { intervalSeconds, metricTypes };
  const { signal } = stopped;
  const looks = goingOn(new Patience(session.err, signal), () =>
    connection.serverStream(streamSystemMetrics, request, { signal }),
  );
  try {
    for await (const metrics of looks) {
      if (!(await show(metrics))) break;
    }
    return 0;
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    return INTERRUPTED_EXIT_CODE;
  }
}

const CLEAR = '\u001b[H\u001b[2J';
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const CLEAR_LINE = '\u001b[K';

const first: Choice = { view: 'jobs', order: 'cpu', skipped: 0, isPaused: false };

/** The screen as text, without what only a terminal understands, and without the line of keys. */
function plainScreen(metrics: SystemMetricsResponse, size: ScreenSize): string {
  const jobs = screen(metrics, first, size).slice(0, -1);
  const processes = screen(metrics, { ...first, view: 'processes' }, size).slice(6, -1);
  const lines = [...trimmed(jobs), '', ...trimmed(processes)];
  return `${stripVTControlCharacters(lines.join('\n'))}\n`;
}

function trimmed(lines: readonly string[]): readonly string[] {
  const last = lines.findLastIndex((line) => line.trim() !== '');
  return lines.slice(0, last + 1);
}

/** Takes the whole terminal until the user has seen enough, and leaves it as it was. */
async function showScreen(session: Session, intervalSeconds: number): Promise<number> {
  const { streamSystemMetrics } = await import('./metrics-wire.ts');
  const connection = await session.connect();
  const { stdin, stdout } = process;
  const stopped = new AbortController();
  let choice = first;
  let latest: SystemMetricsResponse | undefined;
  const draw = () => {
    if (latest === undefined) return;
    const size = { columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 };
    const lines = screen(latest, choice, size).map((line) => `${line}${CLEAR_LINE}`);
    stdout.write(`\u001b[H${lines.join('\r\n')}`);
  };
  const onKey = (text: string) => {
    const next = choose(choice, text);
    if (next === 'quit') stopped.abort();
    else if (next !== undefined) {
      choice = next;
      draw();
    }
  };
  const onSignal = () => stopped.abort();
  stdin.setRawMode(true).setEncoding('utf8').on('data', onKey).resume();
  stdout.write(ENTER);
  stdout.on('resize', draw);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, onSignal);
  try {
    const request = { intervalSeconds, metricTypes: topTypes };
    const looks = connection.serverStream(streamSystemMetrics, request, { signal: stopped.signal });
    for await (const metrics of looks) {
      if (choice.isPaused) continue;
      latest = metrics;
      draw();
    }
    return 0;
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    return 0;
  } finally {
    stdout.write(LEAVE);
    stdout.off('resize', draw);
    stdin.setRawMode(false).off('data', onKey).pause();
  }
}
