// What the fuzz targets of this directory have in common. Each gives bytes to one reader of untrusted
// bytes and requires of it what must hold whatever they are. `./dev fuzz` builds them for libFuzzer;
// `make replay` builds them with a main of their own (replay.c), which reads inputs from files.

#ifndef JOBLET_FUZZ_H
#define JOBLET_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Ends the process where `what` does not hold, so that the input is kept.
#define REQUIRE(what) \
  do { \
    if (!(what)) { \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
      abort(); \
    } \
  } while (0)

// A copy of exactly this size, so that a byte read beyond it is found. To be freed.
static inline char *copy_of(const uint8_t *data, size_t size) {
  char *copy = malloc(size);
  REQUIRE(copy != NULL || size == 0);
  if (size > 0) memcpy(copy, data, size);
  return copy;
}

// Takes the input apart from its front.
struct source {
  const uint8_t *data;
  size_t size;
};

// The next byte; 0 when there is none.
static inline uint8_t take_byte(struct source *source) {
  if (source->size == 0) return 0;
  source->size--;
  return *source->data++;
}

// The next `wanted` bytes, or as many as there are.
static inline const uint8_t *take_bytes(struct source *source, size_t wanted, size_t *taken) {
  const uint8_t *bytes = source->data;
  *taken = wanted < source->size ? wanted : source->size;
  source->data += *taken;
  source->size -= *taken;
  return bytes;
}

#endif
