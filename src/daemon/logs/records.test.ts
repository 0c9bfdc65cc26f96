import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatHeader } from '../../shared/log-record.ts';
import { Room, RUN_BYTES, RunReader } from './records.ts';

/** A log that is being written: so many of its bytes are there. */
class Growing {
  readonly #bytes: Buffer;
  readonly whole: string;
  there = 0;

  /** Its records are made of one letter each, which no other log has. */
  constructor(letter: string, lengths: readonly number[]) {
    const payloads = lengths.map((length) => letter.repeat(length));
    let position = 0;
    this.whole = payloads.join('');
    this.#bytes = Buffer.concat(
      payloads.flatMap((payload) => {
        const header = formatHeader({
          stream: 'stdout',
          timeNs: 1n,
          position,
          length: payload.length,
        });
        position += payload.length;
        return [header, Buffer.from(payload)];
      }),
    );
  }

  get isWhole(): boolean {
    return this.there >= this.#bytes.length;
  }

  async read(buffer: Buffer, offset: number, length: number, position: number) {
    const end = Math.min(this.there, this.#bytes.length, position + length);
    const bytesRead = Math.max(0, end - position);
    this.#bytes.copy(buffer, offset, position, position + bytesRead);
    return { bytesRead };
  }
}

test('readers that leave a room to each other while they wait get the bytes of their own log', async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 });
  const steps = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(lengths, { minLength: 2, maxLength: 4 }),
      steps,
      async (all, grows) => {
        const readers = all.map((of, number) => {
          const log = new Growing(String.fromCharCode(0x61 + number), of);
          const room = new Room();
          return { log, room, reader: new RunReader(log, room), got: '' };
        });
        for (let turn = 0; readers.some(({ log }) => !log.isWhole); turn += 1) {
          for (const one of readers) {
            one.log.there += grows[turn % grows.length] ?? 1;
            for (let run = await one.reader.next(); run; run = await one.reader.next()) {
              one.got += run.records.map(({ payload }) => payload.toString()).join('');
            }
            one.room.leave();
          }
        }
        for (const { log, got } of readers) assert.equal(got, log.whole);
      },
    ),
  );
});

test('records as long as the pipe of a job all lie in one room, the one after the other', async () => {
  const log = new Growing(
    'x',
    Array.from({ length: 8 }, () => RUN_BYTES),
  );
  log.there = Number.POSITIVE_INFINITY;
  const reader = new RunReader(log, new Room());
  const places = new Set<ArrayBufferLike>();
  let bytes = 0;
  for (let run = await reader.next(); run; run = await reader.next()) {
    places.add(run.bytes.buffer);
    bytes += run.records.reduce((sum, { payload }) => sum + payload.length, 0);
  }
  assert.equal(bytes, log.whole.length);
  assert.equal(places.size, 1);
});
