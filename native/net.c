// Network namespaces. Making one is the dearest step of a sandbox by far (0.4 ms, now and then 6),
// so a process of its own makes them ahead, and one that was not used serves again.
//
// "Not used" is a fact that the kernel counts: no packet ever passed any of its devices, and a job
// can neither add a device nor change a setting, for the namespace belongs to the host's user
// namespace. Where no packet was ever sent, nothing can be left behind: no TIME_WAIT, no port, no
// neighbour, no route, no counter of a device. A namespace that saw a single packet is dropped.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

// What the filler is asked for, by the first byte of a message.
enum { FILL_PLAIN = 'n', FILL_ATTACHED = 'a', FILL_FLOWS = 'f' };

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

static int send_made(int socket, const struct made *made) {
  int fds[] = {made->net.fd, made->net.devices};
  bool has = made->net.fd >= 0;
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8))) = {0};
  struct iovec body = {.iov_base = (void *)made, .iov_len = sizeof *made};
  struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1,
                           .msg_control = has ? control : NULL,
                           .msg_controllen = has ? sizeof control : 0};
  if (has) {
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

bool net_receive(int filler, struct made *made) {
  int fds[2];
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8)));
  struct iovec body = {.iov_base = made, .iov_len = sizeof *made};
  struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  *made = (struct made){0};
  ssize_t got = recvmsg(filler, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  made->net = (struct netns){-1, -1};
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return false;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_len != CMSG_LEN(sizeof fds)) return true;
  memcpy(fds, CMSG_DATA(header), sizeof fds);
  made->net = (struct netns){.fd = fds[0], .devices = fds[1]};
  return true;
}

static int open_net(struct netns *net) {
  if (unshare(CLONE_NEWNET) != 0 || net_loopback_up() != 0) return -1;
  net->fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  net->devices = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
  return net->fd < 0 || net->devices < 0 ? -1 : 0;
}

static void make_attached(const struct host_net *host, const char *text, size_t length,
                          struct made *made) {
  // The launcher has looked at its length.
  memcpy(made->key, text, strnlen(text, sizeof made->key - 1));
  const char *step = open_net(&made->net) == 0 ? attach_namespace(host, text, length) : "netns";
  if (step == NULL) return;
  made->error = errno;
  snprintf(made->step, sizeof made->step, "%s", step);
  net_close(&made->net);
}

// One message in, one namespace out, until the launcher is gone.
static _Noreturn void fill(int socket) {
  char text[1 + NET_TEXT_ROOM];
  struct host_net host;
  main_rename("joblet-netns");
  if (attach_open_host(&host) != 0) _exit(1);
  for (ssize_t got; (got = read(socket, text, sizeof text)) > 0;) {
    struct made made = {.net = {-1, -1}};
    size_t length = (size_t)got - 1;
    if (text[0] == FILL_FLOWS) {
      attach_forget_flows(&host, text + 1, length);
      continue;
    }
    if (text[0] == FILL_ATTACHED) make_attached(&host, text + 1, length, &made);
    else if (open_net(&made.net) != 0) _exit(1);
    if (send_made(socket, &made) != 0) _exit(1);
    net_close(&made.net);
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
  const char kind = FILL_PLAIN;
  (void)!send(filler, &kind, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool net_request_order(int filler, const struct order *order) {
  char text[1 + NET_TEXT_ROOM];
  if (order->length > NET_TEXT_ROOM) return false;
  text[0] = order->kind == ORDER_FLOWS ? FILL_FLOWS : FILL_ATTACHED;
  memcpy(text + 1, order->text, order->length);
  return send(filler, text, 1 + order->length, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

bool net_is_pristine(const struct netns *net) {
  char text[2048];
  ssize_t length = pread(net->devices, text, sizeof text - 1, 0);
  if (length <= 0 || length == sizeof text - 1) return false;
  text[length] = 0;
  // Two lines of headings, then one line for each device, loopback among them: all zeros.
  char *line = strchr(text, '\n');
  line = line == NULL ? NULL : strchr(line + 1, '\n');
  if (line == NULL) return false;
  bool has_loopback = false;
  for (line++; *line != 0;) {
    char *name = line + strspn(line, " ");
    char *numbers = strchr(name, ':'), *end = strchr(name, '\n');
    if (numbers == NULL || end == NULL || numbers > end) return false;
    if (numbers + 1 + strspn(numbers + 1, " 0") != end) return false;
    has_loopback |= strncmp(name, "lo:", 3) == 0;
    line = end + 1;
  }
  return has_loopback;
}

struct traffic net_traffic(const struct netns *net) {
  struct traffic sum = {0};
  char text[2048];
  ssize_t length = pread(net->devices, text, sizeof text - 1, 0);
  if (length <= 0) return sum;
  text[length] = 0;
  char *rest = text;
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    char *name = line + strspn(line, " "), *numbers = strchr(name, ':');
    if (numbers == NULL || strncmp(name, "lo:", 3) == 0) continue;
    struct traffic one;
    // Between them errors and the like, six numbers.
    const char *format = "%" SCNu64 "%" SCNu64 "%*u%*u%*u%*u%*u%*u%" SCNu64 "%" SCNu64;
    if (sscanf(numbers + 1, format, &one.rx_bytes, &one.rx_packets, &one.tx_bytes,
               &one.tx_packets) != 4) {
      continue;
    }
    sum.rx_bytes += one.rx_bytes;
    sum.rx_packets += one.rx_packets;
    sum.tx_bytes += one.tx_bytes;
    sum.tx_packets += one.tx_packets;
  }
  return sum;
}

void net_close(struct netns *net) {
  if (net->fd >= 0) close(net->fd);
  if (net->devices >= 0) close(net->devices);
  *net = (struct netns){-1, -1};
}
