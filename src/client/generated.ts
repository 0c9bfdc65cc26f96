// Calls whose messages are too many to write down a second time: through the generated code, which
// takes longer to load (see wire.ts).

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { Method } from './methods.ts';

interface GeneratedMethod<I extends DescMessage, O extends DescMessage> {
  readonly parent: { readonly typeName: string };
  readonly name: string;
  readonly input: I;
  readonly output: O;
}

/** A method of a generated service, as a connection calls it. */
export function generated<I extends DescMessage, O extends DescMessage>(
  method: GeneratedMethod<I, O>,
): Method<MessageInitShape<I>, MessageShape<O>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    encode: (message) => toBinary(method.input, create(method.input, message)),
    decode: (bytes) => fromBinary(method.output, bytes),
  };
}
