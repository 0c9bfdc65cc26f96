// Small ELF files, for tests: headers, a dynamic section, and the texts that it names.

export interface ElfWish {
  readonly bits: 32 | 64;
  readonly interpreter?: string;
  readonly needed?: readonly string[];
  readonly runpath?: string;
  readonly soname?: string;
}

const ADDRESS = 0x40_0000;
const HEADER = { 32: 52, 64: 64 } as const;
const SEGMENT = { 32: 32, 64: 56 } as const;

export function makeElf({
  bits,
  interpreter = '',
  needed = [],
  runpath = '',
  soname = '',
}: ElfWish): Buffer {
  const texts = Buffer.from(`\0${[interpreter, runpath, soname, ...needed].join('\0')}\0`);
  const placeOf = (text: string) => texts.indexOf(`\0${text}\0`) + 1;
  const segmentCount = interpreter === '' ? 2 : 3;
  const dynamicAt = HEADER[bits] + segmentCount * SEGMENT[bits];
  const tags: [number, number][] = [
    ...needed.map((name): [number, number] => [1, placeOf(name)]),
    ...(runpath === '' ? [] : [[29, placeOf(runpath)] as [number, number]]),
    ...(soname === '' ? [] : [[14, placeOf(soname)] as [number, number]]),
  ];
  const dynamicBytes = ((tags.length + 2) * bits) / 4;
  const textsAt = dynamicAt + dynamicBytes;
  tags.push([5, ADDRESS + textsAt], [0, 0]);
  const bytes = Buffer.concat([Buffer.alloc(textsAt), texts]);
  const word = (at: number, value: number) => {
    if (bits === 64) bytes.writeBigUInt64LE(BigInt(value), at);
    else bytes.writeUInt32LE(value, at);
  };
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1]);
  bytes.writeUInt16LE(3, 16);
  bytes.writeUInt16LE(62, 18);
  word(bits === 64 ? 32 : 28, HEADER[bits]);
  bytes.writeUInt16LE(SEGMENT[bits], bits === 64 ? 54 : 42);
  bytes.writeUInt16LE(segmentCount, bits === 64 ? 56 : 44);
  const segments: [type: number, offset: number, size: number][] = [
    [1, 0, bytes.length],
    [2, dynamicAt, dynamicBytes],
    ...(interpreter === ''
      ? []
      : [[3, textsAt + placeOf(interpreter), interpreter.length + 1] as [number, number, number]]),
  ];
  segments.forEach(([type, offset, size], index) => {
    const at = HEADER[bits] + index * SEGMENT[bits];
    bytes.writeUInt32LE(type, at);
    word(at + (bits === 64 ? 8 : 4), offset);
    word(at + (bits === 64 ? 16 : 8), ADDRESS + offset);
    word(at + (bits === 64 ? 32 : 16), size);
  });
  tags.forEach(([tag, value], index) => {
    word(dynamicAt + (index * bits) / 4, tag);
    word(dynamicAt + (index * bits) / 4 + bits / 8, value);
  });
  return bytes;
}
