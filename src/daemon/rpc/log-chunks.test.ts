import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { DataChunkSchema } from '../../gen/joblet/common_pb.ts';
import type { LogEntry } from '../jobs/logs.ts';
import { FRAME_BYTES } from './framed.ts';
import { eachEntry, encodeChunks, joinEntries } from './log-chunks.ts';

function entry(stream: LogEntry['stream'], position: number, text: string): LogEntry {
  const data = Buffer.from(text);
  return { stream, position, data, timeNs: BigInt(position), droppedBytes: 0, reason: '' };
}

/** Entries that are all there already. */
async function* at(entries: readonly LogEntry[]): AsyncGenerator<LogEntry> {
  yield* entries;
}

async function collect(chunks: ReturnType<typeof joinEntries>) {
  const found: { stream: string; position: number; text: string }[] = [];
  for await (const { stream, position, payload } of chunks) {
    found.push({
      stream: stream ?? '',
      position: Number(position),
      text: Buffer.from(payload ?? []).toString(),
    });
  }
  return found;
}

test('entries of one stream that wait together come as one', async () => {
  const log = [entry('stdout', 0, 'a'), entry('stdout', 1, 'b'), entry('stderr', 2, 'c')];
  assert.deepEqual(await collect(joinEntries(at(log))), [
    { stream: 'stdout', position: 0, text: 'ab' },
    { stream: 'stderr', position: 2, text: 'c' },
  ]);
});

test('a message that travels is the message that it was made from', async () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384]) {
    const log = [entry('stderr', 7, 'x'.repeat(length))];
    for await (const { bytes } of encodeChunks(eachEntry(at(log)))) {
      const [expected] = await collect(eachEntry(at(log)));
      const { stream, position, payload } = fromBinary(
        DataChunkSchema,
        bytes.subarray(FRAME_BYTES),
      );
      const text = Buffer.from(payload).toString();
      assert.deepEqual({ stream, position: Number(position), text }, expected);
    }
  }
});

test('what is long comes in several messages, each with its place', async () => {
  const text = Array.from({ length: 40_000 }, (_, number) => `${number}\n`).join('');
  for (const chunks of [eachEntry, joinEntries]) {
    const found = await collect(chunks(at([entry('stdout', 5, text)])));
    assert.equal(found.map((chunk) => chunk.text).join(''), text);
    assert.ok(found.length > 1 && found.every((chunk) => chunk.text.length <= 64 * 1024));
    let position = 5;
    for (const chunk of found) {
      assert.equal(chunk.position, position);
      position += chunk.text.length;
    }
  }
});

test('a reader that asks for entries gets each as it was written', async () => {
  const log = [entry('stdout', 0, 'a'), entry('stdout', 1, 'b')];
  assert.equal((await collect(eachEntry(at(log)))).length, 2);
});

test('a gap is passed on by itself, with what was lost and why', async () => {
  const gap = { ...entry('gap', 1, ''), droppedBytes: 7, reason: 'quota' };
  const chunks = joinEntries(at([entry('stdout', 0, 'a'), gap, gap, entry('stdout', 1, 'b')]));
  const found: (bigint | undefined)[] = [];
  for await (const { droppedBytes } of chunks) found.push(droppedBytes);
  assert.deepEqual(found, [0n, 7n, 7n, 0n]);
});

test('what has come is sent at once when nothing follows', async () => {
  const later = Promise.withResolvers<void>();
  async function* slow() {
    yield entry('stdout', 0, 'first');
    await later.promise;
    yield entry('stdout', 5, 'second');
  }
  const chunks = joinEntries(slow());
  const first = await chunks.next();
  assert.equal(Buffer.from(first.value?.payload ?? []).toString(), 'first');
  later.resolve();
  assert.equal((await collect(chunks)).length, 1);
});

test('a reader that leaves ends the reading of the log', async () => {
  let ended = false;
  async function* endless() {
    try {
      for (let at = 0; ; at++) yield entry('stdout', at, 'x');
    } finally {
      ended = true;
    }
  }
  for await (const _ of joinEntries(endless())) break;
  assert.ok(ended);
});

test('a failure in the middle comes after what was there', async () => {
  async function* failing() {
    yield entry('stdout', 0, 'a');
    throw new Error('disk');
  }
  const found: string[] = [];
  await assert.rejects(async () => {
    for await (const { payload } of joinEntries(failing())) found.push(String(payload));
  }, /disk/);
  assert.equal(found.length, 1);
});

test('joining loses, repeats and reorders nothing, and no message is too big', async () => {
  const piece = fc.record({
    stream: fc.constantFrom('stdout' as const, 'stderr' as const),
    text: fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
    times: fc.constantFrom(1, 1, 1000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
      let position = 0;
      const log = pieces.map(({ stream, text, times }) => {
        const next = entry(stream, position, text.repeat(times));
        position += next.data.length;
        return next;
      });
      let expected = 0;
      const bytes: Uint8Array[] = [];
      for await (const chunk of joinEntries(at(log))) {
        const payload = chunk.payload ?? new Uint8Array();
        assert.equal(Number(chunk.position), expected);
        const alone = log.some((each) => each.data.length === payload.length);
        assert.ok(payload.length <= 64 * 1024 || alone);
        expected += payload.length;
        bytes.push(payload);
      }
      assert.ok(Buffer.concat(bytes).equals(Buffer.concat(log.map((each) => each.data))));
    }),
    { numRuns: 20 },
  );
});

test('what lies in one place for an entry after the other arrives as it was', async () => {
  const wish = fc.record({
    stream: fc.constantFrom<LogEntry['stream']>('stdout', 'stderr'),
    bytes: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 200_000 })),
    isLate: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(wish, { maxLength: 20 }), async (wishes) => {
      const place = Buffer.alloc(200_000);
      async function* source(): AsyncGenerator<LogEntry> {
        let position = 0;
        for (const [number, { stream, bytes, isLate }] of wishes.entries()) {
          if (isLate) await new Promise((resolve) => setImmediate(resolve));
          const data = place.subarray(0, bytes).fill(number + 1);
          yield { stream, position, data, timeNs: 0n, droppedBytes: 0, reason: '' };
          place.fill(0);
          position += bytes;
        }
      }
      const wanted = Buffer.concat(
        wishes.map(({ bytes }, number) => Buffer.alloc(bytes, number + 1)),
      );
      for (const toChunks of [joinEntries, eachEntry]) {
        const found: Buffer[] = [];
        for await (const { bytes, left } of encodeChunks(toChunks(source()))) {
          const chunk = fromBinary(DataChunkSchema, bytes.subarray(FRAME_BYTES));
          assert.equal(bytes.readUInt32BE(1), bytes.length - FRAME_BYTES);
          assert.equal(Number(chunk.position), Buffer.concat(found).length);
          found.push(Buffer.from(chunk.payload));
          // From here on the next message may lie there.
          bytes.fill(0);
          left();
        }
        assert.ok(Buffer.concat(found).equals(wanted));
      }
    }),
  );
});

test('what is said of an entry may be longer than the room before its output', async () => {
  const reason = 'x'.repeat(1000);
  const gap = { ...entry('gap', 1, ''), droppedBytes: 7, reason };
  for await (const { bytes } of encodeChunks(joinEntries(at([gap])))) {
    assert.equal(fromBinary(DataChunkSchema, bytes.subarray(FRAME_BYTES)).gapReason, reason);
  }
});
