// RuntimeService, the part that deals with the trees of runtimes: whether they are what was installed.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RuntimeService, RuntimeVerdictSchema } from '../../gen/joblet/runtimes_pb.ts';
import { type Catalogue, refOf } from '../runtimes/catalogue.ts';
import type { Trees } from '../runtimes/trees.ts';
import type { TreeVerdict } from '../runtimes/verify-tree.ts';
import type { Handlers } from './handlers.ts';

export interface TreeParts {
  readonly catalogue: Pick<Catalogue, 'list' | 'get'>;
  readonly trees: Pick<Trees, 'verify'>;
}

type TreeHandlers = Pick<Handlers<typeof RuntimeService>, 'verifyRuntime'>;

export function treeHandlers({ catalogue, trees }: TreeParts): TreeHandlers {
  return {
    verifyRuntime: async ({ runtime }, { signal }) => {
      const meant = runtime === '' ? catalogue.list() : [catalogue.get(runtime)];
      const runtimes: MessageInitShape<typeof RuntimeVerdictSchema>[] = [];
      for (const one of meant) {
        runtimes.push(toVerdict(refOf(one), await trees.verify(one, { signal })));
      }
      return { runtimes };
    },
  };
}

function toVerdict(
  runtime: string,
  { entries, bytes, signature, findings, findingCount, notes }: TreeVerdict,
): MessageInitShape<typeof RuntimeVerdictSchema> {
  return {
    runtime,
    sound: findingCount === 0,
    entries: BigInt(entries),
    sizeBytes: BigInt(bytes),
    signature: signature.is,
    keyId: signature.is === 'missing' ? '' : signature.keyId,
    findings: [...findings],
    findingCount: BigInt(findingCount),
    notes: [...notes],
  };
}
