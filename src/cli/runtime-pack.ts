// rnx runtime pack: a runtime of a node becomes a file here.

import { createHash } from 'node:crypto';
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { packRuntime } from '../client/methods.ts';
import { JobletError } from '../shared/errors.ts';
import { command } from './command.ts';
import { jsonText, visible } from './print.ts';
import { showProgress } from './progress.ts';
import { sizeWord } from './runtime-text.ts';
import type { Session } from './session.ts';

const formats = ['tar.zst', 'zip'] as const;

export const runtimePack = command({
  usage: 'rnx runtime pack [flags] RUNTIME',
  summary: 'Packs a runtime of the node into one file, for other nodes.',
  notes: [
    'They install it (rnx runtime install FILE), or it is unpacked into their folder',
    'of runtimes: unzip FILE -d DIR, or tar --zstd -xf FILE -C DIR. zip keeps no',
    'owners, tar does.',
  ],
  examples: [
    'rnx runtime pack python-3.11-ml',
    'rnx runtime pack --output=ml.zip python-3.11-ml@1.0.0',
  ],
  flags: {
    format: { kind: 'text', value: 'FORMAT', choices: formats, help: 'tar.zst or zip' },
    output: { kind: 'text', short: 'o', value: 'FILE', help: 'else NAME-VERSION.FORMAT here' },
  },
  words: [1, 1],
  missing: 'which runtime? Say its name: rnx runtime pack RUNTIME (rnx runtime list shows them)',
  run: async ({ format, output }, [runtime = ''], session) => {
    const wanted = format ?? (output?.endsWith('.zip') === true ? 'zip' : undefined);
    const packed = await receive(runtime, wanted, output, session);
    const { file, bytes, sha256 } = packed;
    const text = session.json
      ? jsonText({ file, size_bytes: bytes, sha256 })
      : `✓ ${visible(file)} (${sizeWord(bytes)}, sha256 ${sha256})\n`;
    await session.out.write(text);
    return 0;
  },
});

/** Writes the pack beside its place, and moves it there when it is whole. */
async function receive(
  runtime: string,
  format: string | undefined,
  output: string | undefined,
  session: Session,
): Promise<{ readonly file: string; readonly bytes: number; readonly sha256: string }> {
  const connection = await session.connect();
  const chunks = connection.serverStream(packRuntime, { runtime, format });
  let file = output ?? '';
  let fd: number | undefined;
  let bytes = 0;
  let said = '';
  let show: (bytes: number) => void = () => {};
  const hash = createHash('sha256');
  try {
    for await (const { fileName, data, sha256, sizeBytes } of chunks) {
      if (fileName !== '') {
        // A name and no path, whatever the node says.
        file ||= fileName.replace(/.*[/\\]/s, '');
        fd = openSync(`${file}.part`, 'w');
        show = showProgress(session.err, Number(sizeBytes));
      }
      if (data.length > 0 && fd !== undefined) {
        for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
        hash.update(data);
        bytes += data.length;
        show(bytes);
      }
      said ||= sha256;
    }
    if (fd === undefined || said !== hash.digest('hex')) {
      throw new JobletError('unavailable', 'the pack did not arrive whole; try again');
    }
    closeSync(fd);
    fd = undefined;
    renameSync(`${file}.part`, file);
    return { file, bytes, sha256: said };
  } finally {
    if (fd !== undefined) closeSync(fd);
    if (file !== '') rmSync(`${file}.part`, { force: true });
  }
}
