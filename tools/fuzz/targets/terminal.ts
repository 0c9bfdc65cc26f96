// A job's output and a user's texts on a terminal: nothing that acts comes out, however it is cut, and
// into a pipe go the bytes.

import assert from 'node:assert/strict';
import { LabelledLog, Page } from '../../../src/cli/labelled-log.ts';
import { LogPrinter } from '../../../src/cli/log-printer.ts';
import { fakeOutput } from '../../../src/cli/output-fake.ts';
import { commandLine, localTime, visible } from '../../../src/cli/print.ts';
import { TerminalText } from '../../../src/cli/terminal-text.ts';
import type { LogChunk } from '../../../src/client/messages.ts';
import { target } from '../target.ts';

/** Everything that a terminal acts on, but newline and tab. */
const acting = /[^\P{Cc}\t\n]|\p{Bidi_Control}/u;

function shown(pieces: readonly Buffer[]): string {
  const text = new TerminalText();
  return pieces.map((piece) => text.push(piece)).join('') + text.end();
}

function chunk(payload: Buffer, stream: string): LogChunk {
  return {
    payload,
    stream,
    position: 0n,
    timeNs: 1_900_000_000_000_000_000n,
    droppedBytes: 3n,
    gapReason: payload.toString(),
    apart: false,
  } as LogChunk;
}

async function printed(
  pieces: readonly Buffer[],
  terminal: boolean,
  timestamps: boolean,
  json: boolean,
) {
  const [out, err] = [fakeOutput({ terminal }), fakeOutput({ terminal })];
  const style = { raw: false, json };
  const printer = timestamps
    ? new LabelledLog(new Page(out), err, { ...style, timestamps, uuid: 'u', label: '', color: 0 })
    : new LogPrinter(out, err, style);
  for (const piece of pieces) await printer.print(chunk(piece, 'stdout'));
  await printer.print(chunk(pieces[0] ?? Buffer.alloc(0), 'gap'));
  await printer.end();
  return { out, err };
}

export default target({
  maxBytes: 512,
  seeds: [
    'plain\n',
    '\u001b[31mred\u001b[0m',
    '10%\r20%\r\n',
    'a\u202eb\u2066c',
    '漢字 🎉',
    '\u009b31m',
  ],
  words: ['\u001b[', '\r', '\n', '\u009b', '\u202e', '\u0007', '\u{1f389}', '\xc2', '\xe2\x82'],
  async run(input) {
    const cut = input[0] ?? 0;
    const bytes = input.subarray(1);
    const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
    const text = shown(pieces);
    assert.doesNotMatch(text, acting);
    assert.equal(text, shown([bytes]));
    const words = bytes.toString().split(' ');
    for (const line of [
      visible(bytes.toString()),
      commandLine(words[0] ?? '', words.slice(1)),
      localTime(bytes.toString()),
    ]) {
      assert.doesNotMatch(line, /\p{Cc}|\p{Bidi_Control}/u);
    }
    const pipe = await printed(pieces, false, false, false);
    assert.deepEqual(pipe.out.bytes(), Buffer.from(bytes));
    for (const timestamps of [false, true]) {
      const { out, err } = await printed(pieces, true, timestamps, false);
      assert.doesNotMatch(out.text() + err.text(), acting);
    }
    const { out } = await printed(pieces, false, false, true);
    for (const line of out.text().split('\n')) {
      if (line !== '') assert.equal(typeof JSON.parse(line), 'object');
    }
  },
});
