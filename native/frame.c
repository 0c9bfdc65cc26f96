// Frames on their way out: a length of 4 bytes, little endian, then NUL-terminated strings.

#include "launch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void frame_start(struct frame *frame, const char *verb) {
  frame->length = 0;
  frame_text(frame, verb);
}

void frame_text(struct frame *frame, const char *text) {
  size_t room = FRAME_ROOM - frame->length;
  if (room == 0) return;
  // What does not fit is cut: everything we send has a bound well below the room.
  size_t length = strnlen(text, room - 1);
  memcpy(frame->bytes + frame->length, text, length);
  frame->bytes[frame->length + length] = 0;
  frame->length += (uint32_t)length + 1;
}

void frame_number(struct frame *frame, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  frame_text(frame, text);
}

void frame_pair(struct frame *frame, const char *key, const char *text) {
  char pair[OBJECT_ROOM + 64];
  snprintf(pair, sizeof pair, "%s=%s", key, text);
  frame_text(frame, pair);
}

void frame_pair_number(struct frame *frame, const char *key, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  frame_pair(frame, key, text);
}

int frame_send(int socket, const struct frame *frame) {
  // A frame is far smaller than what the kernel queues as one piece, so it goes whole or not at
  // all, and frames of several senders on one socket never mix.
  ssize_t sent = send(socket, frame, sizeof frame->length + frame->length,
                      MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -1 : 0;
}

int frame_send_patiently(int socket, const struct frame *frame) {
  while (frame_send(socket, frame) != 0) {
    if (errno != EAGAIN) return -1;
    struct pollfd room = {.fd = socket, .events = POLLOUT};
    poll(&room, 1, -1);
    if (room.revents & (POLLERR | POLLHUP)) {
      errno = EPIPE;
      return -1;
    }
  }
  return 0;
}
