// rnx runtime verify: are runtimes to the last bit what was installed?

import { verifyRuntime } from '../client/methods.ts';
import type { RuntimeVerdict } from '../client/tree-messages.ts';
import type { Message } from '../client/wire.ts';
import { command } from './command.ts';
import { jsonText, roughSize, visible } from './print.ts';

type Verdict = Message<typeof RuntimeVerdict>;

export const runtimeVerify = command({
  usage: 'rnx runtime verify [RUNTIME]',
  summary: 'Says whether runtimes are to the last bit what was installed and signed.',
  notes: [
    'Without RUNTIME it looks through all of them. It ends with 1 when a file was',
    'changed, added or removed, or when the signature is missing, wrong or of a key',
    'that is not trusted.',
  ],
  examples: ['rnx runtime verify python-3.11-ml', 'rnx runtime verify python-3.11-ml@1.2.0'],
  flags: {},
  words: [0, 1],
  run: async (_values, [runtime = ''], session) => {
    const connection = await session.connect();
    // As long as it takes: every byte is read.
    const deadline = { deadlineMs: session.deadlineMs() };
    const { runtimes } = await connection.unary(verifyRuntime, { runtime }, deadline);
    const text = session.json
      ? jsonText({ runtimes: runtimes.map(verdictJson) })
      : runtimes.map(verdictText).join('') || 'No runtimes are installed\n';
    await session.out.write(text);
    return runtimes.every(({ sound }) => sound) ? 0 : 1;
  },
});

/** What was found about one runtime, for people. */
export function verdictText(verdict: Verdict): string {
  const { runtime, sound, entries, sizeBytes, keyId, findings, findingCount, notes } = verdict;
  const extent = `${entries} entries, ${roughSize(Number(sizeBytes))}`;
  const lines = [
    sound
      ? `✓ ${runtime}: as it was signed by key ${keyId} (${extent})`
      : `✗ ${runtime}: NOT as it was signed (${extent})`,
    ...findings.map(({ path, message }) => `  ${path}: ${message}`),
  ];
  const more = findingCount - BigInt(findings.length);
  if (more > 0n) lines.push(`  and ${more} more`);
  lines.push(...notes.map((note) => `  note: ${note}`));
  return lines.map((line) => `${visible(line)}\n`).join('');
}

function verdictJson(verdict: Verdict): object {
  const { runtime, sound, entries, sizeBytes, signature, keyId, findings, notes } = verdict;
  return {
    runtime,
    sound,
    entries: Number(entries),
    size_bytes: Number(sizeBytes),
    signature,
    key_id: keyId,
    findings: findings.map(({ path, message }) => ({ path, message })),
    finding_count: Number(verdict.findingCount),
    notes,
  };
}
