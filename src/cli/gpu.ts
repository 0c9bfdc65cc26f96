// rnx gpu: the GPUs of a node, who has them, and how they do.

import type { NodeGpu, NodeGpus } from '../gen/joblet/monitoring_pb.ts';
import { JobletError } from '../shared/errors.ts';
import { command, type Flags, type Values } from './command.ts';
import { gpuLines, gpuTable, nothingText } from './gpu-text.ts';
import { INTERRUPTED_EXIT_CODE } from './job-log.ts';
import { jsonLine, jsonText } from './print.ts';
import type { Session } from './session.ts';

const DEADLINE_MS = 30_000;
const WATCH_SECONDS = 5;
/** Of earlier versions: all of them. */
const ALL = -1;
const CLEAR = '\u001b[H\u001b[2J';

const flags = {
  gpu: { kind: 'signed', short: 'g', value: 'N', help: 'only the GPU of this number' },
  watch: { kind: 'switch', short: 'w', help: 'show it again and again, until Ctrl-C' },
  interval: { kind: 'integer', short: 'i', value: 'SECONDS', help: 'time between two looks, 5' },
} as const satisfies Flags;

export const gpuList = command({
  usage: 'rnx gpu list [flags]',
  summary: 'Lists the GPUs of the node, with what they do and the jobs that have them.',
  notes: ['A job gets GPUs by rnx job run --gpu=N, and has them alone until it ends.'],
  examples: ['rnx gpu list', 'rnx gpu list --watch', 'rnx gpu list --json'],
  flags,
  words: [0, 0],
  run: (values, _words, session) => show(values, session, gpuTable),
});

export const gpuStatus = command({
  usage: 'rnx gpu status [flags]',
  summary: 'Shows everything about the GPUs of the node.',
  examples: ['rnx gpu status --gpu 0', 'rnx gpu status --watch --interval 2'],
  flags,
  words: [0, 0],
  run: (values, _words, session) => show(values, session, gpuLines),
});

type Text = (gpus: readonly NodeGpu[], session: Session) => string;

async function show(values: Values<typeof flags>, session: Session, text: Text): Promise<number> {
  const { nodeGpusJson, listGpus, watchGpus } = await import('./metrics-wire.ts');
  const { out, json } = session;
  const textOf = (all: NodeGpus) =>
    all.gpus.length === 0 ? nothingText(all) : text(chosen(all, values.gpu), session);
  const jsonOf = (all: NodeGpus) =>
    nodeGpusJson({ ...all, gpus: all.gpus.length === 0 ? [] : chosen(all, values.gpu) });
  if (values.interval === 0) throw new JobletError('invalid', '--interval: at least one second');
  const connection = await session.connect();
  if (!values.watch) {
    const deadlineMs = session.deadlineMs(DEADLINE_MS);
    const all = await connection.unary(listGpus, {}, { deadlineMs });
    await out.write(json ? jsonText(jsonOf(all)) : textOf(all));
    return 0;
  }
  const stopped = new AbortController();
  process.once('SIGINT', () => stopped.abort());
  const request = { intervalSeconds: values.interval ?? WATCH_SECONDS };
  try {
    const looks = connection.serverStream(watchGpus, request, { signal: stopped.signal });
    for await (const all of looks) {
      const clear = out.terminal ? CLEAR : '';
      await out.write(json ? jsonLine(jsonOf(all)) : `${clear}${textOf(all)}`);
    }
    return 0;
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    return INTERRUPTED_EXIT_CODE;
  }
}

function chosen({ gpus }: NodeGpus, index: number = ALL): NodeGpu[] {
  if (index === ALL) return gpus;
  const found = gpus.filter(({ metrics }) => metrics?.index === index);
  if (found.length > 0) return found;
  const known = gpus.map(({ metrics }) => metrics?.index).join(', ');
  throw new JobletError('not-found', `there is no GPU ${index} on this node; there is ${known}`);
}
