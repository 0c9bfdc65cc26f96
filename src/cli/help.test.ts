import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commands, groups } from './commands.ts';
import { commandHelp, groupHelp, rootHelp } from './help.ts';

const COLUMNS = 80;
const LINES = 30;
/** Running a job has more flags than a small screen has lines. */
const LINES_OF_RUN = 48;

/** Every help text by the words that ask for it. */
async function helpTexts(): Promise<ReadonlyMap<string, string>> {
  const texts = new Map([['', rootHelp()]]);
  for (const group of Object.keys(groups)) texts.set(group, groupHelp(group));
  for (const [name, entry] of Object.entries(commands)) {
    texts.set(name, commandHelp(await entry.load()));
  }
  return texts;
}

test('every help text fits a screen', async () => {
  for (const [name, text] of await helpTexts()) {
    const lines = text.trimEnd().split('\n');
    const most = name === 'run' || name === 'job run' ? LINES_OF_RUN : LINES;
    assert.ok(lines.length <= most, `${name}: ${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= COLUMNS, `${name}: ${line}`);
  }
});

test('every help text shows an example', async () => {
  for (const [name, text] of await helpTexts()) assert.match(text, /\nExamples?:\n {2}rnx /, name);
});

test('every flag of job run that the help shows is one it takes', async () => {
  const entry = commands['job run'];
  assert.ok(entry);
  const { flags } = await entry.load();
  const text = commandHelp(await entry.load());
  const body = text.slice(text.indexOf('Flags:'), text.indexOf('Everywhere:'));
  const shown = [...body.matchAll(/--([a-z-]+)[ \n]/g)].map(([, name]) => name ?? '');
  assert.ok(shown.length >= 20);
  for (const name of shown) assert.ok(name in flags, name);
});
