// How a keeper that stands by is given its job. It was forked before there was one, so that a launch
// does not wait for a fork: the plan comes as one message, with the descriptors that the launcher has
// ready for the job.

#include "launch.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
  DESCRIPTORS = 3,          // those of an entry that are the launcher's
  PLAN_LIMIT = 64 << 10, // a socket takes this much at once; a bigger plan has its keeper forked
};

// What precedes the plan's text.
struct heading {
  uint32_t generation;
  bool has[DESCRIPTORS];
};

bool standby_hand_over(int socket, const struct entry *entry, const char *text, size_t length) {
  if (length > PLAN_LIMIT) return false;
  const int fds[DESCRIPTORS] = {entry->ids, entry->template, entry->net};
  struct heading heading = {.generation = entry->generation};
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8))) = {0};
  struct iovec body[] = {{&heading, sizeof heading}, {(void *)text, length}};
  struct msghdr message = {.msg_iov = body, .msg_iovlen = LENGTH(body), .msg_control = control};
  struct cmsghdr *header = (struct cmsghdr *)(void *)control;
  unsigned count = 0;
  for (unsigned i = 0; i < DESCRIPTORS; i++) {
    heading.has[i] = fds[i] >= 0;
    if (heading.has[i]) memcpy((int *)(void *)CMSG_DATA(header) + count++, &fds[i], sizeof *fds);
  }
  if (count > 0) {
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof *fds);
    message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

ssize_t standby_take(int socket, struct entry *entry, char *text, size_t room) {
  struct heading heading;
  int fds[DESCRIPTORS];
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8)));
  struct iovec body[] = {{&heading, sizeof heading}, {text, room}};
  struct msghdr message = {.msg_iov = body, .msg_iovlen = LENGTH(body), .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got < (ssize_t)sizeof heading) return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header != NULL) memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
  int *const places[DESCRIPTORS] = {&entry->ids, &entry->template, &entry->net};
  unsigned count = 0;
  for (unsigned i = 0; i < DESCRIPTORS; i++) *places[i] = heading.has[i] ? fds[count++] : -1;
  entry->generation = heading.generation;
  return got - (ssize_t)sizeof heading;
}
