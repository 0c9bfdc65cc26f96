// A streamed upload: headers and data in any order. What is received lies where its path says and is
// what was sent; what is refused leaves nothing.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type UploadPart, Uploads } from '../../../src/daemon/jobs/uploads.ts';
import { orRefusedLater, streamOf, target } from '../target.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'joblet-fuzz-uploads-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const limits = { maxBytes: 300, maxFiles: 12, reserveBytes: 0 };
const uploads = new Uploads(directory, limits);
const ann = { name: 'ann' };

/** One line is one part: `f PATH MODE SIZE` and `d PATH MODE` are headers, `+TEXT` is data. */
function partsOf(text: string): UploadPart[] {
  return text.split('\n').map((line) => {
    if (line.startsWith('+')) return { data: Buffer.from(line.slice(1)) };
    const [kind = '', name = '', mode = '', size = ''] = line.split(' ');
    const header = {
      path: name,
      mode: Number.parseInt(mode, 8) >>> 0,
      isDirectory: kind === 'd',
      size: Number(BigInt.asIntN(64, BigInt(/^-?\d{1,20}$/.test(size) ? size : 0))),
    };
    return { header };
  });
}

/** Every file below a directory with its content, every folder with undefined. */
function treeOf(root: string): Map<string, string | undefined> {
  const names = readdirSync(root, { recursive: true }) as string[];
  return new Map(
    names.map((name) => {
      const whole = path.join(root, name);
      return [name, statSync(whole).isFile() ? readFileSync(whole, 'latin1') : undefined];
    }),
  );
}

export default target({
  maxBytes: 512,
  seeds: [
    'd src 755\nf src/a.c 644 5\n+hello\nf b 0 0',
    'f a 600 4\n+ab\n+cd\nf a 600 1\n+x',
    'f a 644 1\n+x\nf a/b 644 1\n+y',
    'f ../x 644 1\n+x',
    'd a 0\nf a 644 0\nf a/b/c 1777 0',
    '+data first\nf x 644 -5',
  ],
  words: ['\nf ', '\nd ', '\n+', ' 644 ', ' 7777 ', '..', '/', 'a/b', ' 0', ' 99999999999', ' -1'],
  async run(input) {
    const parts = partsOf(input.toString('latin1').replaceAll('\0', ''));
    const received = path.join(directory, 'received');
    const done = await orRefusedLater(
      () => uploads.receive(streamOf(parts), ann),
      'invalid',
      'exhausted',
    );
    if (done === undefined) {
      assert.deepEqual(readdirSync(received), []);
      return;
    }
    const staged = await uploads.stage('job', [], done.id, ann);
    assert.ok(staged !== undefined && staged.bytes === done.bytes && done.bytes <= limits.maxBytes);
    const tree = treeOf(staged.directory);
    const bytes = [...tree.values()].reduce((sum, text) => sum + (text?.length ?? 0), 0);
    assert.equal(bytes, done.bytes);
    for (const name of staged.names) assert.ok(tree.has(name), name);
    assert.ok(staged.names.length <= limits.maxFiles);
    await uploads.release('job');
    assert.deepEqual(readdirSync(directory).toSorted(), ['jobs', 'received']);
    assert.deepEqual(readdirSync(path.join(directory, 'jobs')), []);
  },
});
