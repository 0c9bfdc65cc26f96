// rnx, the command line client.

import { codeOf } from '../client/status.ts';
import { JobletError, messageOf } from '../shared/errors.ts';
import { globalFlags, parseArgv, wordProblem } from './command.ts';
import { interpret, merge } from './interpret.ts';
import { type Environment, type Output, openOutput } from './output.ts';
import { visible } from './print.ts';
import { openSession } from './session.ts';

/** What a shell reports for a program that a closed pipe ended. */
const BROKEN_PIPE_EXIT_CODE = 141;

async function main(argv: readonly string[], env: Environment): Promise<number> {
  const out = openOutput(1, env);
  const err = openOutput(2, env);
  // Until the flags are read: the error may be that they cannot be.
  let json = env['RNX_OUTPUT_FORMAT'] === 'json' || argv.includes('--json');
  let failureCode = 1;
  try {
    const request = await interpret(argv);
    if (typeof request === 'string') {
      await out.write(request);
      return 0;
    }
    const { command } = request;
    const flags = { ...command.flags, ...globalFlags };
    const {
      values: behind,
      words,
      problem,
    } = parseArgv(request.argv, flags, command.rest ? 'first-word' : 'end');
    const values = merge(request.before, behind);
    json = env['RNX_OUTPUT_FORMAT'] === 'json' || values['json'] === true;
    failureCode = command.failureCode?.(values as never) ?? 1;
    if (values['help'] === true) {
      await out.write((await import('./help.ts')).commandHelp(command));
      return 0;
    }
    const wrong = problem ?? wordProblem(command, words);
    if (wrong !== undefined) throw wrong;
    const session = openSession(values as never, json, env, out, err);
    return await command.run(values as never, words, session);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return BROKEN_PIPE_EXIT_CODE;
    await report(error, json, out, err).catch(() => {
      // Nobody can be told: the exit code has to do.
    });
    return failureCode;
  }
}

/** Tells what went wrong: as JSON on standard output, or for people on standard error. */
async function report(error: unknown, json: boolean, out: Output, err: Output): Promise<void> {
  const known = error instanceof JobletError;
  const message = known ? error.message : `${messageOf(error)} (this is a bug in rnx)`;
  if (json) {
    // The shape that errors of the API have, and the same under a key that no answer has.
    const shown = { code: codeOf(error), message, details: [] };
    const whole = { ...shown, error: { kind: known ? error.kind : 'internal', ...shown } };
    await out.write(`${JSON.stringify(whole, undefined, 2)}\n`);
  } else {
    await err.write(`Error: ${visible(message)}\n`);
  }
  if (!known && process.env['RNX_DEBUG']) await err.write(`${(error as Error).stack}\n`);
}

// Not by the natural end of the process: open connections and timers would hold it up.
void main(process.argv.slice(2), process.env).then((code) => process.exit(code));
