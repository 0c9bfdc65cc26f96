import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLog, type Fields, type Level, logTo } from './log.ts';

function capture(format: 'text' | 'json', level: Level = 'DEBUG') {
  const lines: string[] = [];
  const log = logTo(
    () => ({ write: (line) => lines.push(line) > 0, close() {} }),
    { level, format, output: 'x' },
    () => new Date(1705314600123),
  );
  return { log, lines };
}

test('a text line is time, level, message and fields (S4-45)', () => {
  const { log, lines } = capture('text');
  log.info('job started successfully', {
    jobId: 'f47ac10b',
    pid: 12345,
    command: 'python3 script.py',
    duration: '50ms',
    note: undefined,
  });
  log.warn('slow client');
  assert.deepEqual(lines, [
    '[2024-01-15T10:30:00Z] [INFO] job started successfully | jobId=f47ac10b pid=12345 command="python3 script.py" duration=50ms\n',
    '[2024-01-15T10:30:00Z] [WARN] slow client\n',
  ]);
});

test('a JSON line holds the same facts', () => {
  const { log, lines } = capture('json');
  log.error('no', { bytes: 7n, ok: false });
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    time: '2024-01-15T10:30:00.123Z',
    level: 'ERROR',
    message: 'no',
    bytes: '7',
    ok: false,
  });
});

test('lines below the level are not written, and the level can change (S4-45)', () => {
  const { log, lines } = capture('text', 'WARN');
  log.info('one');
  log.warn('two');
  log.change({ level: 'DEBUG', format: 'text', output: 'x' });
  log.debug('three');
  assert.deepEqual(
    lines.map((line) => line.match(/\] (\w+)\n/)?.[1]),
    ['two', 'three'],
  );
});

test('whatever a client chose, a line stays one line without control characters', () => {
  const field: fc.Arbitrary<string> = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(field, field, (message, value) => {
      for (const format of ['text', 'json'] as const) {
        const { log, lines } = capture(format);
        log.info(message, { value } satisfies Fields);
        const line = lines.join('');
        assert.match(line, /^\P{C}+\n$/u);
        if (format === 'json') JSON.parse(line);
      }
    }),
  );
});

test('a long value is cut', () => {
  const { log, lines } = capture('text');
  log.info('x', { value: 'y'.repeat(100_000) });
  assert.ok((lines[0] ?? '').length < 3000);
});

test('a log goes to the end of a file when its output is a path', (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-log-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const output = path.join(directory, 'joblet.log');
  for (const message of ['one', 'two']) {
    createLog({ level: 'INFO', format: 'text', output }).info(message);
  }
  assert.match(readFileSync(output, 'utf8'), /^\[.*\] \[INFO\] one\n\[.*\] \[INFO\] two\n$/);
});

test('lines that a full disk does not take are counted, and said when it takes something again', () => {
  let isFull = true;
  const lines: string[] = [];
  const open = () => ({ write: (line: string) => !isFull && lines.push(line) > 0, close() {} });
  const log = logTo(open, { level: 'INFO', format: 'text', output: 'x' }, () => new Date(0));
  log.info('one');
  log.info('two');
  isFull = false;
  log.info('three');
  log.info('four');
  assert.deepEqual(lines, [
    '[1970-01-01T00:00:00Z] [WARN] lines of this log were lost | count=2\n',
    '[1970-01-01T00:00:00Z] [INFO] three\n',
    '[1970-01-01T00:00:00Z] [INFO] four\n',
  ]);
});

test('an output that cannot be opened changes nothing', (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'joblet-log-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const output = path.join(directory, 'joblet.log');
  const log = createLog({ level: 'INFO', format: 'text', output });
  const wrong = path.join(directory, 'no', 'such', 'place');
  assert.throws(() => log.change({ level: 'DEBUG', format: 'json', output: wrong }));
  log.debug('quiet');
  log.info('goes on');
  assert.match(readFileSync(output, 'utf8'), /^\[.*\] \[INFO\] goes on\n$/);
});
