// What the daemon says to the launcher: cuts the stream of bytes into frames, and tells them by their
// verbs. It asks the kernel nothing, so that it can be tested on its own.

#include "launch.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  enum order_kind kind;
  bool has_plan;
} verbs[] = {
    {"launch", ORDER_LAUNCH, true},  {"prepare", ORDER_PREPARE, true}, {"forget", ORDER_FORGET, false},
    {"attach", ORDER_ATTACH, false}, {"detach", ORDER_DETACH, false},  {"flows", ORDER_FLOWS, false},
};

// Whether the frame begins with the verb, and holds what it needs: a plan is looked at later, whatever
// it is; of all else the last string must have its end.
static bool is_of(const char *frame, size_t length, const char *name, bool is_plan) {
  size_t room = strlen(name) + 1;
  if (length < room || memcmp(frame, name, room) != 0) return false;
  return is_plan || (length > room && frame[length - 1] == 0);
}

ssize_t orders_read(char *text, size_t length, struct order *order, char problem[PROBLEM_ROOM]) {
  uint32_t frame_length;
  if (length < sizeof frame_length) return 0;
  memcpy(&frame_length, text, sizeof frame_length);
  if (frame_length == 0 || frame_length > FRAME_LIMIT) {
    snprintf(problem, PROBLEM_ROOM, "a frame of %u bytes", frame_length);
    return -1;
  }
  if (length - sizeof frame_length < frame_length) return 0;
  char *frame = text + sizeof frame_length;
  for (unsigned i = 0; i < LENGTH(verbs); i++) {
    if (!is_of(frame, frame_length, verbs[i].name, verbs[i].has_plan)) continue;
    size_t room = strlen(verbs[i].name) + 1;
    *order = (struct order){verbs[i].kind, frame + room, frame_length - room};
    return (ssize_t)(sizeof frame_length + frame_length);
  }
  snprintf(problem, PROBLEM_ROOM, "a frame that is no order");
  return -1;
}
