// What clients of the web port choose: a path, the words behind it, the id of an event, and a header
// that says what they take.

import assert from 'node:assert/strict';
import { toLogRequest } from '../../../src/daemon/rpc/log-words.ts';
import { formatFor, formats } from '../../../src/daemon/telemetry/exposition.ts';
import { parsePlace } from '../../../src/daemon/web/log-events.ts';
import { type Route, routeOf } from '../../../src/daemon/web/routes.ts';
import { orRefused, target } from '../target.ts';

const routes: readonly Route[] = ['/metrics', '/v1/jobs/ID/log'].map((path) => ({
  path,
  method: '',
  answer: async () => {},
}));

export default target({
  seeds: [
    '/v1/jobs/0f8fad5b/log?follow=false&tail=10&stream=stdout',
    '/metrics?position=12.3',
    '/v1/jobs//log?since=2026-01-31T12:00:00.5Z&until=2026-01-31T12:00:00+02:00',
    '/v1/jobs/%2e%2e/log?filter=%5Ea&before=1&after=2',
    '1234.2',
    '1234.end',
    'application/openmetrics-text;version=1.0.0',
  ],
  words: ['/v1/jobs/', '/log', '..', '%2f', '?', '&', '=', 'tail=', 'since=', 'T00:00:00Z', '.end'],
  run(input) {
    const text = input.toString();
    const place = orRefused(() => parsePlace(text), 'invalid');
    if (place !== undefined) assert.ok(Number.isSafeInteger(place.position) && place.gaps >= 0);
    assert.ok(formatFor(text) in formats);
    const url = URL.parse(text, 'https://node');
    if (url === null) return;
    const found = routeOf(routes, url.pathname);
    if (found !== undefined) {
      for (const word of found.words) assert.ok(word !== '' && !word.includes('/'));
    }
    const request = orRefused(() => toLogRequest('x', url.searchParams), 'invalid');
    if (request === undefined) return;
    assert.ok(Number.isSafeInteger(request.tailLines) && request.tailLines < 10_000_000);
    assert.equal(request.uuid, 'x');
  },
});
