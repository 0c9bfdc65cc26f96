import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogPiece } from '../rpc/jobs.ts';
import { LogEvents, parsePlace } from './log-events.ts';

const START = { position: 0, gaps: 0, isEnd: false };

/** A log as it is read from a position on: pieces of output, and gaps between them. */
const logs = fc
  .array(fc.option(fc.uint8Array({ minLength: 1, maxLength: 9 }), { nil: 'gap' as const }))
  .map((steps) => {
    let position = 0;
    return steps.map((step): LogPiece => {
      const piece: LogPiece =
        step === 'gap'
          ? { stream: 'gap', position: BigInt(position), timeNs: 1n, droppedBytes: 1n }
          : { stream: 'stdout', position: BigInt(position), timeNs: 1n, payload: step };
      if (step !== 'gap') position += step.length;
      return piece;
    });
  });

const isBehind = (at: number) => (piece: LogPiece) => Number(piece.position) >= at;
const idOf = (event: string) => /^id: (.*)$/m.exec(event)?.[1] ?? '';

test('wherever a reader is cut off, by its last id it gets exactly what it has not had', () => {
  fc.assert(
    fc.property(logs, fc.nat(), (log, cut) => {
      const whole = new LogEvents(START);
      const all = log.map((piece) => whole.piece(piece));
      const had = all.slice(0, cut % (all.length + 1));
      const place = parsePlace(had.length === 0 ? '0' : idOf(had.at(-1) ?? ''));
      const rest = new LogEvents(place);
      const got = log.filter(isBehind(place.position)).map((piece) => rest.piece(piece));
      assert.deepEqual([...had, ...got.filter((event) => event !== '')], all);
    }),
  );
});

test('an event is one, whatever its output holds', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), (payload) => {
      const event = new LogEvents(START).piece({ stream: 'stderr', timeNs: 5n, payload });
      const [, json = ''] = /^id: \d+\nevent: stderr\ndata: ([^\n\r]+)\n\n$/.exec(event) ?? [];
      const { text, base64, time } = JSON.parse(json);
      assert.deepEqual(
        Buffer.from(text ?? base64, text === undefined ? 'base64' : 'utf8'),
        Buffer.from(payload),
      );
      assert.equal(time, '1970-01-01T00:00:00.000000005Z');
    }),
  );
});

test('what is no id of an event is refused', () => {
  for (const id of ['', 'x', '-1', '1.', '1.x', '1'.repeat(16), '1.end ']) {
    assert.throws(() => parsePlace(id), /Last-Event-ID/);
  }
  assert.deepEqual(parsePlace('12.3'), { position: 12, gaps: 3, isEnd: false });
  assert.deepEqual(parsePlace('12.end'), { position: 12, gaps: 0, isEnd: true });
});
