// What `rnx job get` and `ls` are told of the files of a job, which calls them what it likes: they come
// below the place that was named or nowhere, and nothing acts on the terminal.

import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { jobGet, jobLs } from '../../../src/cli/job-files.ts';
import { fakeOutput } from '../../../src/cli/output-fake.ts';
import type { Session } from '../../../src/cli/session.ts';
import { type FilesPart, JobFilesPart } from '../../../src/client/messages.ts';
import { decode } from '../../../src/client/wire.ts';
import { orRefusedLater, streamOf, target } from '../target.ts';

const home = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-fetched-'));
process.once('exit', () => rmSync(home, { recursive: true, force: true }));
const place = path.join(home, 'place');

const MAX_ZEROS = 1n << 20n;

/** One line is one part: `f PATH MODE` begins one of that kind, `+TEXT` is data, `~N` a hole. */
function partsOf(text: string): FilesPart[] {
  return text.split('\n').map((line) => {
    const empty = decode(JobFilesPart, new Uint8Array());
    if (line.startsWith('+')) return { ...empty, data: Buffer.from(line.slice(1), 'latin1') };
    const number = /^~(-?\d{1,18})$/.exec(line)?.[1];
    if (number !== undefined) return { ...empty, hole: BigInt(number) };
    const [kind = '', name = '', mode = '', mtime = ''] = line.split(' ');
    const called = Buffer.from(name, 'latin1');
    if (kind === 's') return { ...empty, skipped: { path: called, reason: mode } };
    const entry = {
      path: called,
      type: { f: 'file', d: 'folder', l: 'link' }[kind] ?? kind,
      mode: Number.parseInt(mode, 8) >>> 0,
      size: 0n,
      mtimeNs: BigInt.asIntN(64, BigInt(/^-?\d{1,20}$/.test(mtime) ? mtime : 0)),
      link: called,
    };
    return { ...empty, entry };
  });
}

function sessionOf(parts: readonly FilesPart[], json: boolean): Session & { said: () => string } {
  const [out, err] = [fakeOutput({ terminal: true }), fakeOutput({ terminal: true })];
  const files = parts.flatMap(({ entry }) => (entry === undefined ? [] : [entry]));
  const connection = {
    serverStream: () => streamOf(parts),
    unary: async () => ({ files }),
  };
  const session = { json, out, err, connect: async () => connection, deadlineMs: () => undefined };
  return { ...(session as unknown as Session), said: () => out.text() + err.text() };
}

/** Everything in the home that was not fetched. */
function around(): string {
  const names = readdirSync(home).toSorted();
  return `${names.join()} ${readFileSync(path.join(home, 'outside/kept'), 'utf8')} ${readdirSync(path.join(home, 'outside')).join()}`;
}

export default target({
  maxBytes: 512,
  seeds: [
    'd  755\nf a 644\n+hello\nd b 700\nf b/c 600\n+x',
    'f result 644 1700000000000000000\n+text\n~4096\n+end',
    'd  755\nf ../outside/kept 644\n+gone',
    'd  755\nf /etc/x 644\nf a//b 644\nf . 644',
    'd  755\nf link 644\n+gone\nl to 777\ns shut EACCES',
    'd  755\nf a 644\nf a/b 644\n~-5\n~999999999999999999\n+x',
    'f \u001b[31m 4755 9223372036854775807',
  ],
  words: [
    '\nf ',
    '\nd ',
    '\nl ',
    '\ns ',
    '\n+',
    '\n~',
    '../',
    'link',
    ' 644 ',
    ' -1',
    'outside/kept',
  ],
  async run(input) {
    const parts = partsOf(input.toString('latin1').replaceAll('\0', ''));
    for (const name of readdirSync(home)) rmSync(path.join(home, name), { recursive: true });
    mkdirSync(path.join(home, 'outside'));
    mkdirSync(place);
    writeFileSync(path.join(home, 'outside/kept'), 'kept');
    symlinkSync('../outside/kept', path.join(place, 'link'));
    const before = around();
    for (const local of [place, path.join(place, 'new'), '-']) {
      // On standard output a hole is so many zeros, for as long as it takes.
      const told = local === '-' ? parts.filter(({ hole }) => hole < MAX_ZEROS) : parts;
      const session = sessionOf(told, false);
      const words = ['job', 'link', local];
      await orRefusedLater(
        () => jobGet.run({} as never, words, session),
        'invalid',
        'unavailable',
        'wrong-state',
      );
      if (local !== '-') assert.doesNotMatch(session.said(), /[^\P{Cc}\n]|\p{Bidi_Control}/u);
      assert.equal(around(), before);
    }
    for (const json of [false, true]) {
      const session = sessionOf(parts, json);
      assert.equal(await jobLs.run({} as never, ['job'], session), 0);
      if (json) JSON.parse(session.said());
      else assert.doesNotMatch(session.said(), /[^\P{Cc}\n]|\p{Bidi_Control}/u);
    }
  },
});
