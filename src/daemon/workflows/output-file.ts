// What a job says for those that follow it, as it writes it into $JOBLET_OUTPUT: a line for each value,
// or several lines up to one that holds a word of its choice alone.
//
//   version=1.2.3
//   notes<<END
//   first line
//   END

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** The whole file. */
export const MAX_OUTPUT_BYTES = 64 * 1024;

/** What came of reading the outputs of a job; `problem` says why nothing did. */
export type OutputReading =
  | { readonly outputs: Readonly<Record<string, string>> }
  | { readonly problem: string };

/**
 * Reads the file of a job that is over. The job chose what stands at its place: nothing is followed,
 * waited for or read beyond the bound. No file is no outputs.
 */
export function readOutputFile(file: string, declared: readonly string[]): OutputReading {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT'
      ? { outputs: {} }
      : { problem: `its output file cannot be read: ${code ?? 'unknown'}` };
  }
  try {
    const { size } = fstatSync(fd);
    if (!fstatSync(fd).isFile()) return { problem: 'its output file is no file' };
    if (size > MAX_OUTPUT_BYTES) {
      return { problem: `its outputs have ${size} bytes of at most ${MAX_OUTPUT_BYTES}` };
    }
    const bytes = Buffer.alloc(size);
    const read = readSync(fd, bytes, 0, size, 0);
    return parseOutputs(bytes.subarray(0, read), declared);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { problem: `its output file cannot be read: ${code ?? 'unknown'}` };
  } finally {
    closeSync(fd);
  }
}

const LINE = /^([A-Za-z_][A-Za-z0-9_]{0,63})(=|<<)(.*)$/s;

/** Reads the bytes of such a file. Pure; a value that is said again is the later one. */
export function parseOutputs(bytes: Uint8Array, declared: readonly string[]): OutputReading {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { problem: 'its outputs are no UTF-8 text' };
  }
  if (text.includes('\0')) return { problem: 'its outputs hold a NUL character' };
  const outputs = new Map<string, string>();
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (line.trim() === '') continue;
    const where = `line ${at + 1} of its outputs`;
    const [, name = '', sign, rest = ''] = LINE.exec(line.replace(/\r$/, '')) ?? [];
    if (sign === undefined) return { problem: `${where} is neither NAME=VALUE nor NAME<<WORD` };
    if (!declared.includes(name)) {
      return { problem: `${where} says ${name}, which is none of its outputs in the file` };
    }
    if (sign === '=') outputs.set(name, rest);
    else {
      const end = lines.indexOf(rest, at + 1);
      if (rest === '' || end === -1) {
        return { problem: `${where} begins ${name}, which has no end` };
      }
      outputs.set(name, lines.slice(at + 1, end).join('\n'));
      at = end;
    }
  }
  return { outputs: Object.fromEntries(outputs) };
}
