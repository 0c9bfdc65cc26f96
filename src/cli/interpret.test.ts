import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../shared/errors.ts';
import { commands, goneCommands, laterCommands } from './commands.ts';
import { type Called, interpret } from './interpret.ts';

async function called(line: string): Promise<Called> {
  const result = await interpret(line.split(' ').filter((word) => word !== ''));
  assert.ok(typeof result !== 'string', line);
  return result;
}

async function textOf(line: string): Promise<string> {
  const result = await interpret(line.split(' ').filter((word) => word !== ''));
  assert.ok(typeof result === 'string', line);
  return result;
}

test('S4-37 S4-38 every job command is found by its name', async () => {
  for (const name of Object.keys(commands)) {
    const { command } = await called(name);
    assert.ok(command.usage.startsWith('rnx '), name);
  }
});

test('S2-39 S4-40 the spellings without `job` mean the same commands', async () => {
  for (const word of ['run', 'log', 'stop', 'cancel', 'delete', 'delete-all', 'metrics']) {
    assert.equal((await called(word)).command, (await called(`job ${word}`)).command, word);
  }
  assert.match((await called('list')).command.usage, /^rnx list/);
  assert.match((await called('status')).command.usage, /^rnx status/);
});

test('S4-36 S4-40 global flags stand in front of the command, within it, or behind it', async () => {
  const front = await called('--server=h:1 --cert c --key=k --ca a run echo --json');
  assert.deepEqual(front.argv, ['echo', '--json']);
  assert.deepEqual(
    [front.before['server'], front.before['cert'], front.before['key'], front.before['ca']],
    ['h:1', 'c', 'k', 'a'],
  );
  const within = await called('--json job --node=n list --config f');
  assert.deepEqual([within.before['json'], within.before['node']], [true, 'n']);
  assert.deepEqual(within.argv, ['--config', 'f']);
});

test('help is found however it is asked for', async () => {
  for (const line of ['', 'help', '--help', '-h']) {
    assert.match(await textOf(line), /^rnx runs commands/, line);
  }
  for (const line of ['job', 'help job', 'job help', 'job --help']) {
    assert.match(await textOf(line), /^Run jobs and look after them/, line);
  }
  for (const line of ['help job stop', 'job help stop']) {
    assert.match(await textOf(line), /^Ends a running job/, line);
  }
  for (const line of ['--help job stop x', 'job --help stop x']) {
    assert.equal((await called(line)).before['help'], true, line);
  }
});

test('the version of rnx alone needs no daemon', async () => {
  assert.match(await textOf('--version'), /^rnx \d+\.\d+\.\d+/);
  assert.match(await textOf('-v'), /^rnx \d+\.\d+\.\d+/);
});

test('an unknown command is named, with the way to those there are', async () => {
  await assert.rejects(interpret(['frobnicate']), /unknown command: frobnicate; rnx help/);
  await assert.rejects(
    interpret(['job', 'frobnicate']),
    /unknown command: job frobnicate; rnx help/,
  );
  await assert.rejects(interpret(['constructor']), /unknown command: constructor; rnx help/);
  await assert.rejects(
    interpret(['job', 'stauts']),
    /unknown command: job stauts; did you mean job status\?/,
  );
});

test('a command of a later version is told apart from a mistake', async () => {
  for (const words of laterCommands) {
    await assert.rejects(
      interpret([...words.split(' '), 'list']),
      { kind: 'unsupported', message: new RegExp(`^\`rnx ${words}\` .*later`) },
      words,
    );
  }
});

test('a command that is no more says what is there for it', async () => {
  for (const words of Object.keys(goneCommands)) {
    await assert.rejects(interpret([...words.split(' '), 'cleanup']), {
      kind: 'unsupported',
      message: /is no more: .*rnx /,
    });
  }
});

test('any words at all are a command, a help text, or refused with a sentence', async () => {
  const word = fc.oneof(
    fc.constantFrom('job', 'run', 'help', '--', '-h', '--json', '--node', '--config=x', 'nodes'),
    fc.string(),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (argv) => {
      try {
        const result = await interpret(argv);
        if (typeof result === 'string') assert.notEqual(result, '');
        else assert.ok(result.argv.every((one) => argv.includes(one)));
      } catch (error) {
        assert.ok(error instanceof JobletError && error.message !== '', String(error));
      }
    }),
  );
});
