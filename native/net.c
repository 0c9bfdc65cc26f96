// Network namespaces. Making one is the dearest step of a sandbox by far (0.4 ms, now and then 6),
// so a process of its own makes them ahead, and one that was not used serves again.
//
// "Not used" is a fact that the kernel counts: no packet ever passed its loopback device, and a job
// can neither add a device nor change a setting, for the namespace belongs to the host's user
// namespace. Where no packet was ever sent, nothing can be left behind: no TIME_WAIT, no port, no
// neighbour, no route, no counter of a device. A namespace that saw a single packet is dropped.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

int net_loopback_up(void) {
  int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return -1;
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int result = ioctl(socket_fd, SIOCSIFFLAGS, &request);
  int error = errno;
  close(socket_fd);
  errno = error;
  return result;
}

static int send_pair(int socket, const struct netns *net) {
  int fds[] = {net->fd, net->devices};
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8))) = {0};
  struct iovec text = {.iov_base = "n", .iov_len = 1};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(header), fds, sizeof fds);
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

bool net_receive(int filler, struct netns *net) {
  int fds[2];
  char byte, control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8)));
  struct iovec text = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  *net = (struct netns){-1, -1};
  ssize_t got = recvmsg(filler, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return false;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_len != CMSG_LEN(sizeof fds)) return true;
  memcpy(fds, CMSG_DATA(header), sizeof fds);
  *net = (struct netns){.fd = fds[0], .devices = fds[1]};
  return true;
}

// One byte in, one namespace out, until the launcher is gone.
static _Noreturn void fill(int socket) {
  char byte;
  main_rename("joblet-netns");
  while (read(socket, &byte, 1) == 1) {
    if (unshare(CLONE_NEWNET) != 0 || net_loopback_up() != 0) _exit(1);
    struct netns net = {
        .fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC),
        .devices = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC),
    };
    if (net.fd < 0 || net.devices < 0 || send_pair(socket, &net) != 0) _exit(1);
    net_close(&net);
  }
  _exit(0);
}

int net_start_filler(pid_t *pid) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  *pid = fork();
  if (*pid < 0) return -1;
  if (*pid == 0) {
    close(DAEMON_FD); // its end must be seen when the launcher goes
    close(ends[0]);
    fill(ends[1]);
  }
  close(ends[1]);
  return ends[0];
}

void net_request(int filler) {
  // Should the filler be gone, its socket's end tells.
  (void)!send(filler, "n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool net_is_pristine(const struct netns *net) {
  char text[1024];
  ssize_t length = pread(net->devices, text, sizeof text - 1, 0);
  if (length <= 0) return false;
  text[length] = 0;
  // Two lines of headings, then one line for each device: exactly one, loopback, all zeros.
  char *line = strchr(text, '\n');
  line = line == NULL ? NULL : strchr(line + 1, '\n');
  if (line == NULL) return false;
  line += 1 + strspn(line + 1, " ");
  return strncmp(line, "lo:", 3) == 0 && strspn(line + 3, " 0") == strcspn(line + 3, "\n") &&
         line[3 + strcspn(line + 3, "\n") + 1] == 0;
}

void net_close(struct netns *net) {
  if (net->fd >= 0) close(net->fd);
  if (net->devices >= 0) close(net->devices);
  *net = (struct netns){-1, -1};
}
