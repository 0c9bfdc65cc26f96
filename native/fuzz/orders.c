// What the daemon says to the launcher, in two pieces: however the stream is cut, the same orders come
// out of it, and each lies within its frame.

#include "../launch.h"
#include "fuzz.h"

struct reading {
  char *text;
  size_t length;
  size_t at;
  bool broken;
  unsigned count;
  uint32_t digest; // of all orders
};

static void add(struct reading *reading, const struct order *order) {
  reading->count++;
  reading->digest = reading->digest * 31 + order->kind;
  for (size_t i = 0; i < order->length; i++) {
    reading->digest = reading->digest * 31 + (uint8_t)order->text[i];
  }
}

static void read_up_to(struct reading *reading, size_t length) {
  // Of this size exactly, as the bytes behind it have not come yet.
  char *text = copy_of((uint8_t *)reading->text, length);
  while (!reading->broken) {
    struct order order;
    char problem[PROBLEM_ROOM];
    memset(problem, 'x', sizeof problem);
    ssize_t taken = orders_read(text + reading->at, length - reading->at, &order, problem);
    REQUIRE(taken >= -1 && taken <= (ssize_t)(length - reading->at));
    if (taken == 0) break;
    if (taken < 0) {
      REQUIRE(memchr(problem, 0, sizeof problem) != NULL && problem[0] != 0);
      reading->broken = true;
      break;
    }
    REQUIRE(order.text > text + reading->at && order.length <= FRAME_LIMIT);
    REQUIRE(order.text + order.length == text + reading->at + taken);
    REQUIRE(order.kind <= ORDER_FLOWS);
    if (order.kind != ORDER_LAUNCH) {
      REQUIRE(order.length > 0 && order.text[order.length - 1] == 0);
    }
    add(reading, &order);
    reading->at += (size_t)taken;
  }
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct source source = {data, size};
  size_t cut = take_byte(&source);
  char *text = copy_of(source.data, source.size);
  struct reading whole = {.text = text}, pieces = {.text = text};
  read_up_to(&whole, source.size);
  read_up_to(&pieces, cut < source.size ? cut : source.size);
  read_up_to(&pieces, source.size);
  REQUIRE(whole.at == pieces.at && whole.broken == pieces.broken);
  REQUIRE(whole.count == pieces.count && whole.digest == pieces.digest);
  free(text);
  return 0;
}
