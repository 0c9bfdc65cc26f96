import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readExposition } from '../../../test/exposition-reader.ts';
import { type Family, formatFor, formatMetrics } from './exposition.ts';
import { Histogram } from './histogram.ts';

test('whatever a label says, its line is one line, and is read back as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.double(), (text, value) => {
      for (const format of ['prometheus', 'openmetrics'] as const) {
        const family: Family = {
          name: 'x_total',
          help: text,
          type: 'counter',
          points: [{ labels: { a: text, b: 'c' }, value }],
        };
        const [series, ...more] = readExposition(
          formatMetrics([family], format),
          format === 'openmetrics',
        );
        assert.deepEqual(more, []);
        assert.equal(series?.labels['a'], text.toWellFormed());
        assert.equal(series?.value, value === 0 ? 0 : value);
      }
    }),
  );
});

test('a histogram counts each value in the first bucket that holds it', () => {
  const seconds = new Histogram([1, 5]);
  for (const value of [0, 1, 1.5, 5, 7]) seconds.observe(value);
  const family: Family = {
    name: 'x',
    help: 'y',
    type: 'histogram',
    points: [seconds.distribution({ of: 'z' })],
  };
  assert.equal(
    formatMetrics([family], 'prometheus'),
    `# HELP x y
# TYPE x histogram
x_bucket{of="z",le="1"} 2
x_bucket{of="z",le="5"} 4
x_bucket{of="z",le="+Inf"} 5
x_sum{of="z"} 14.5
x_count{of="z"} 5
`,
  );
});

test('whoever asks for OpenMetrics gets it, and everybody else the older format', () => {
  assert.equal(formatFor('application/openmetrics-text;version=1.0.0,*/*;q=0.1'), 'openmetrics');
  for (const accept of ['', '*/*', 'text/plain', 'text/html, x']) {
    assert.equal(formatFor(accept), 'prometheus');
  }
});
