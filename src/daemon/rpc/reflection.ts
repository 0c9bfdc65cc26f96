// The standard gRPC reflection service: tools such as grpcurl learn the API from the server itself.

import { type DescFile, type DescService, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

/** Adds reflection over the files of these services, in both of its published versions. */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    files.set(file.name, file);
    for (const other of file.dependencies) add(other);
  };
  for (const service of services) add(service.file);
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // Of each entry it looks at nothing but the files.
  const root = { api: { format: 'files', type: {}, fileDescriptorProtos } };
  new ReflectionService(
    root as unknown as ConstructorParameters<typeof ReflectionService>[0],
  ).addToServer(server);
}
