import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from './errors.ts';
import { formatBytes, formatDuration, parseBandwidth, parseBytes, parseDuration } from './units.ts';

const sizes: readonly (readonly [string, number])[] = [
  ['0', 0],
  ['4096', 4096],
  ['512MB', 512 * 1024 ** 2],
  ['512 MiB', 512 * 1024 ** 2],
  ['1.5g', 1.5 * 1024 ** 3],
  ['8GB', 8 * 1024 ** 3],
  ['1 KB', 1024],
  ['7B', 7],
  ['10Mi', 10 * 1024 ** 2],
  ['1.5 Gi', 1.5 * 1024 ** 3],
];

for (const [text, bytes] of sizes) {
  test(`the size ${text} is ${bytes} bytes`, () => assert.equal(parseBytes(text), bytes));
}

const durations: readonly (readonly [string, number])[] = [
  ['0', 0],
  ['0s', 0],
  ['100ms', 100],
  ['1.5s', 1500],
  ['1h30m', 5_400_000],
  ['2d', 172_800_000],
  ['1500us', 2],
  ['1m1ms', 60_001],
];

for (const [text, ms] of durations) {
  test(`the duration ${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
}

test('what is no size is refused with the way to write one', () => {
  for (const text of [
    '',
    ' ',
    '-1',
    '10 XB',
    '1e9',
    '0x10',
    'MB',
    'Mi',
    '10i',
    '1,5GB',
    '1.5',
    '9'.repeat(30),
  ]) {
    assert.throws(() => parseBytes(text), /is not a size; write it as/, text);
  }
});

test('what is no duration is refused with the way to write one', () => {
  for (const text of ['', '5', '-1s', '1 h', 'h', '1h30', '1e3s', `${'9'.repeat(60)}h`]) {
    assert.throws(() => parseDuration(text), /is not a duration; write it as/, text);
  }
});

test('every size that is written is read back', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      assert.equal(parseBytes(formatBytes(bytes)), bytes);
    }),
  );
});

test('every duration that is written is read back', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (ms) => {
      assert.equal(parseDuration(formatDuration(ms)), ms);
    }),
  );
});

test('any text is either understood or refused as invalid', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const parse of [parseBytes, parseDuration]) {
        try {
          assert.ok(parse(text) >= 0);
        } catch (error) {
          assert.ok(error instanceof JobletError && error.kind === 'invalid');
        }
      }
    }),
  );
});

for (const [text, bytesPerSecond] of [
  ['100mbit', 12_500_000],
  ['10Mbps', 1_250_000],
  ['1 gbit', 125_000_000],
  ['800bit/s', 100],
  ['10MB/s', 10 * 1024 ** 2],
  ['512KB', 512 * 1024],
  ['4096', 4096],
] as const) {
  test(`the bandwidth ${text} is ${bytesPerSecond} bytes a second`, () => {
    assert.equal(parseBandwidth(text), bytesPerSecond);
  });
}

test('what is no bandwidth is refused with the way to write it', () => {
  for (const text of ['', 'fast', '10 furlongs', '-1mbit', '1e9bit', 'mbit']) {
    assert.throws(
      () => parseBandwidth(text),
      /is not a bandwidth; write it as 100mbit, 10MB\/s or 512KB/,
    );
  }
});
