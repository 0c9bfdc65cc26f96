// The words of a command line, each ended by a NUL: they are a command with its flags, a help text, or
// a refusal; for `job run` they become a request.

import assert from 'node:assert/strict';
import { globalFlags, parseArgv, wordProblem } from '../../../src/cli/command.ts';
import { interpret, merge } from '../../../src/cli/interpret.ts';
import { jobRun, toRequest } from '../../../src/cli/job-run.ts';
import { RunJobRequest } from '../../../src/client/messages.ts';
import { decode, encode } from '../../../src/client/wire.ts';
import { orRefused, orRefusedLater, target } from '../target.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);

export default target({
  maxBytes: 512,
  seeds: [
    'job\0run\0--max-cpu=50\0-e\0A=1\0--timeout\x001h\0echo\0--help',
    'job\0run\0--schedule=1hour\0--work-size=1GB\0--gpu-memory=1GB\0--allow=ptrace,userns\0--\0-x',
    'job\0list\0--json',
    'job\0log\0-f\0abc',
    '--config\0x\0job\0--node=y\0status\0abc',
    'run\0--secret-env\0K=V\0make',
    'help\0job\0run',
    'workflow\0run',
    '--version',
  ],
  words: [
    '\0--',
    '\0-',
    '\0--\0',
    '=',
    '--help',
    '--json',
    'job\0',
    'run\0',
    '--env=',
    'true',
    'false',
    '-e',
  ],
  async run(input) {
    const argv = input.toString().split('\0');
    const called = await orRefusedLater(() => interpret(argv), 'invalid', 'unsupported');
    if (called === undefined || typeof called === 'string') return;
    const { command, before } = called;
    const flags = { ...command.flags, ...globalFlags };
    const until = command.rest ? 'first-word' : 'end';
    const { values: behind, words, problem } = parseArgv(called.argv, flags, until);
    const values = merge(before, behind);
    assert.deepEqual(new Set(Object.keys(behind)), new Set(Object.keys(flags)));
    assert.ok(Number.isInteger(command.failureCode?.(values as never) ?? 1));
    requireNamed(called.argv, Object.keys(flags), behind);
    if ((problem ?? wordProblem(command, words)) !== undefined || command !== jobRun) return;
    const request = orRefused(
      () => toRequest(values as never, words, nowMs),
      'invalid',
      'unsupported',
    );
    if (request === undefined) return;
    const sent = decode(RunJobRequest, encode(RunJobRequest, request));
    assert.equal(sent.command, words[0]?.toWellFormed());
    assert.equal(sent.args.length, words.length - 1);
  },
});

/** A text flag that has a value was given one under its own name. */
function requireNamed(
  argv: readonly string[],
  names: readonly string[],
  values: Readonly<Record<string, unknown>>,
): void {
  for (const name of names) {
    if (typeof values[name] !== 'string') continue;
    assert.ok(
      argv.some(
        (word) =>
          word === `--${name}` || word.startsWith(`--${name}=`) || /^-[a-zA-Z](=|$)/.test(word),
      ),
      `--${name} has a value that nobody gave it`,
    );
  }
}
