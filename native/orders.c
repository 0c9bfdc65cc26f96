// What the daemon says to the launcher: cuts the stream of bytes into frames, and tells launches
// from what is to be forgotten. It asks the kernel nothing, so that it can be tested on its own.

#include "launch.h"

#include <stdio.h>
#include <string.h>

static const char launch_verb[] = "launch", forget_verb[] = "forget";

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
  if (frame_length >= sizeof launch_verb && memcmp(frame, launch_verb, sizeof launch_verb) == 0) {
    *order = (struct order){ORDER_LAUNCH, frame + sizeof launch_verb,
                            frame_length - sizeof launch_verb};
  } else if (frame_length > sizeof forget_verb &&
             memcmp(frame, forget_verb, sizeof forget_verb) == 0 &&
             frame[frame_length - 1] == 0) {
    *order = (struct order){ORDER_FORGET, frame + sizeof forget_verb,
                            frame_length - sizeof forget_verb};
  } else {
    snprintf(problem, PROBLEM_ROOM, "a frame that is neither launch nor forget");
    return -1;
  }
  return (ssize_t)(sizeof frame_length + frame_length);
}
