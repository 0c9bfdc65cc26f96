// Tells the daemon of the connections of jobs, as the kernel's connection tracking knows them, and of
// packets that the rules refuse and log to a group.
//
// Standard input, a line each: `ranges ADDRESS/PREFIX...` says whose connections are told, in the
// place of what was said before; `dump` asks for those that stand, and `mark` for `done` alone. Its end
// ends the program.
//
// Standard output, a line each:
//   new ID WAY PROTOCOL JOB OTHER PORT 0 0      one begins
//   end ID WAY PROTOCOL JOB OTHER PORT OUT IN   one is over; bytes that the job sent and received
//   now ID WAY PROTOCOL JOB OTHER PORT OUT IN   one stands, after `dump`
//   no 0 out PROTOCOL JOB OTHER PORT 0 0        a packet was refused
//   done                                        all that stand, or all that came before, has been told
//   lost                                        the kernel had more to tell than was read
// WAY is `out` where the job began it, else `in`; PORT is the other's, or the job's own.

#include "launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  RANGE_LIMIT = 2048,
  LINE_ROOM = 128 << 10, // of standard input; a range takes 64 bytes at most
  READ_ROOM = 64 << 10,
  READS_AT_ONCE = 4096,
  QUEUE_BYTES = 1 << 20, // of what the kernel has to tell
  LOGGED_BYTES = 64,     // of a refused packet: its addresses and ports
};

struct range {
  int family;
  unsigned bits;
  unsigned char bytes[sizeof(struct in6_addr)];
};

// One side of a connection, as whoever sends there has it.
struct side {
  unsigned char from[sizeof(struct in6_addr)], to[sizeof(struct in6_addr)];
  uint16_t from_port, to_port;
  uint64_t bytes;
};

struct flow {
  int family;
  unsigned char protocol;
  uint32_t id;
  struct side begun, answered;
};

static struct range ranges[RANGE_LIMIT];
static unsigned range_count;

static size_t length_of(int family) {
  return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static bool is_ours(int family, const unsigned char *address) {
  for (unsigned i = 0; i < range_count; i++) {
    const struct range *range = &ranges[i];
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    if (range->family != family || memcmp(range->bytes, address, whole) != 0) continue;
    if (rest == 0 || ((range->bytes[whole] ^ address[whole]) >> (8 - rest)) == 0) return true;
  }
  return false;
}

// ---- what is said ------------------------------------------------------------------------------

static void say_way(const char *kind, const struct flow *flow, bool out) {
  char job[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN];
  const struct side *own = out ? &flow->begun : &flow->answered;
  const struct side *others = out ? &flow->answered : &flow->begun;
  inet_ntop(flow->family, own->from, job, sizeof job);
  inet_ntop(flow->family, out ? own->to : others->from, other, sizeof other);
  printf("%s %u %s %u %s %s %u %llu %llu\n", kind, flow->id, out ? "out" : "in", flow->protocol, job,
         other, out ? own->to_port : own->from_port, (unsigned long long)own->bytes,
         (unsigned long long)others->bytes);
}

static void say(const char *kind, const struct flow *flow) {
  if (is_ours(flow->family, flow->begun.from)) say_way(kind, flow, true);
  if (is_ours(flow->family, flow->answered.from)) say_way(kind, flow, false);
}

// ---- connections -------------------------------------------------------------------------------

// Calls `take` for each attribute in bytes[0..length).
static void each_attribute(const void *bytes, size_t length,
                           void (*take)(unsigned type, const void *data, size_t room, void *into),
                           void *into) {
  // The last one may have no padding.
  for (size_t at = 0; at < length;) {
    const struct rtattr *attribute = (const void *)((const char *)bytes + at);
    if (!RTA_OK(attribute, length - at)) break;
    take(attribute->rta_type & NLA_TYPE_MASK, RTA_DATA(attribute), RTA_PAYLOAD(attribute), into);
    at += RTA_ALIGN(attribute->rta_len);
  }
}

static void take_ip(unsigned type, const void *data, size_t room, void *into) {
  struct side *side = into;
  bool from = type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC;
  if (room <= sizeof side->from) memcpy(from ? side->from : side->to, data, room);
}

// The protocol of a tuple is the whole connection's.
struct tuple {
  struct side *side;
  unsigned char *protocol;
};

static void take_proto(unsigned type, const void *data, size_t room, void *into) {
  struct tuple *tuple = into;
  uint16_t port = 0;
  if (room == sizeof port) memcpy(&port, data, sizeof port);
  if (type == CTA_PROTO_NUM && room >= 1) memcpy(tuple->protocol, data, 1);
  if (type == CTA_PROTO_SRC_PORT) tuple->side->from_port = ntohs(port);
  if (type == CTA_PROTO_DST_PORT) tuple->side->to_port = ntohs(port);
}

static void take_tuple(unsigned type, const void *data, size_t room, void *into) {
  struct tuple *tuple = into;
  if (type == CTA_TUPLE_IP) each_attribute(data, room, take_ip, tuple->side);
  if (type == CTA_TUPLE_PROTO) each_attribute(data, room, take_proto, tuple);
}

static void take_counters(unsigned type, const void *data, size_t room, void *into) {
  struct side *side = into;
  uint64_t bytes;
  if (type != CTA_COUNTERS_BYTES || room != sizeof bytes) return;
  memcpy(&bytes, data, sizeof bytes);
  side->bytes = __builtin_bswap64(bytes);
}

static void take_flow(unsigned type, const void *data, size_t room, void *into) {
  struct flow *flow = into;
  struct tuple begun = {&flow->begun, &flow->protocol}, answered = {&flow->answered, &flow->protocol};
  switch (type) {
  case CTA_TUPLE_ORIG: each_attribute(data, room, take_tuple, &begun); break;
  case CTA_TUPLE_REPLY: each_attribute(data, room, take_tuple, &answered); break;
  case CTA_COUNTERS_ORIG: each_attribute(data, room, take_counters, &flow->begun); break;
  case CTA_COUNTERS_REPLY: each_attribute(data, room, take_counters, &flow->answered); break;
  case CTA_ID:
    if (room == sizeof flow->id) memcpy(&flow->id, data, sizeof flow->id);
    break;
  }
}

// ---- refused packets ---------------------------------------------------------------------------

static void take_packet(unsigned type, const void *data, size_t room, void *into) {
  const unsigned char *packet = data;
  struct flow *flow = into;
  if (type != NFULA_PAYLOAD || room < 20) return;
  unsigned version = packet[0] >> 4;
  if (version != 4 && (version != 6 || room < 40)) return;
  flow->family = version == 4 ? AF_INET : AF_INET6;
  flow->protocol = packet[version == 4 ? 9 : 6];
  size_t length = length_of(flow->family), addresses = version == 4 ? 12 : 8;
  memcpy(flow->begun.from, packet + addresses, length);
  memcpy(flow->begun.to, packet + addresses + length, length);
  size_t ports = version == 4 ? 4 * (size_t)(packet[0] & 15) : 40;
  bool has_ports = flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP;
  if (has_ports && room >= ports + 4) {
    flow->begun.to_port = (uint16_t)(packet[ports + 2] << 8 | packet[ports + 3]);
  }
}

// ---- messages of the kernel --------------------------------------------------------------------

// Says what a message is about, as `kind` where it is a connection that stands. False at the last one.
static bool take_message(const struct nlmsghdr *head, const char *standing) {
  if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR) return false;
  if (head->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg))) return true;
  const struct nfgenmsg *about = NLMSG_DATA(head);
  const void *attributes = (const char *)about + NLMSG_ALIGN(sizeof *about);
  size_t room = head->nlmsg_len - NLMSG_LENGTH(sizeof *about);
  struct flow flow = {.family = about->nfgen_family};
  switch (head->nlmsg_type) {
  case NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW:
    each_attribute(attributes, room, take_flow, &flow);
    say(standing, &flow);
    break;
  case NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE:
    each_attribute(attributes, room, take_flow, &flow);
    say("end", &flow);
    break;
  case NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET:
    each_attribute(attributes, room, take_packet, &flow);
    if (flow.family != AF_UNSPEC) say("no", &flow);
    break;
  }
  return true;
}

// Takes text[0..length); false at the last message of an answer.
static bool take_messages(const char *text, size_t length, const char *standing) {
  for (size_t at = 0; at < length;) {
    const struct nlmsghdr *head = (const void *)(text + at);
    if (!NLMSG_OK(head, length - at)) break;
    if (!take_message(head, standing)) return false;
    at += NLMSG_ALIGN(head->nlmsg_len);
  }
  return true;
}

// Reads what has come next. False at the last message of an answer, and where nothing has come.
static bool read_messages(int socket, const char *standing, int flags) {
  static char text[READ_ROOM] __attribute__((aligned(NLMSG_ALIGNTO)));
  ssize_t got = recv(socket, text, sizeof text, flags);
  if (got < 0 && errno == ENOBUFS) printf("lost\n");
  if (got < 0) return errno == ENOBUFS || errno == EINTR;
  return take_messages(text, (size_t)got, standing);
}

// Reads what has come by now; more than a queue holds is left for later.
static void read_all(int socket) {
  for (unsigned i = 0; i < READS_AT_ONCE && read_messages(socket, "new", MSG_DONTWAIT); i++) {
  }
}

static void dump(int family) {
  int kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  struct nfgenmsg about = {.nfgen_family = (unsigned char)family, .version = NFNETLINK_V0};
  struct netlink_message message;
  netlink_begin(&message, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &about,
                sizeof about);
  if (send(kernel, &message, message.head.nlmsg_len, 0) > 0) {
    while (read_messages(kernel, "now", 0)) {
    }
  }
  close(kernel);
}

// ---- sockets -----------------------------------------------------------------------------------

static int open_netfilter(unsigned groups) {
  int kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
  int bytes = QUEUE_BYTES;
  if (kernel < 0 || bind(kernel, (void *)&address, sizeof address) != 0) return -1;
  (void)setsockopt(kernel, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  return kernel;
}

static int open_log(uint16_t group) {
  int kernel = open_netfilter(0);
  if (kernel < 0) return -1;
  struct nfgenmsg about = {.version = NFNETLINK_V0, .res_id = htons(group)};
  struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_BIND};
  struct nfulnl_msg_config_mode mode = {.copy_range = htonl(LOGGED_BYTES),
                                        .copy_mode = NFULNL_COPY_PACKET};
  uint32_t at_once = htonl(1); // packets that are told together; rules let through few
  struct netlink_message message;
  netlink_begin(&message, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, 0, &about, sizeof about);
  netlink_attribute(&message, NFULA_CFG_CMD, &command, sizeof command);
  netlink_attribute(&message, NFULA_CFG_MODE, &mode, sizeof mode);
  netlink_attribute(&message, NFULA_CFG_QTHRESH, &at_once, sizeof at_once);
  return netlink_ask(kernel, &message) == 0 ? kernel : -1;
}

// ---- what is asked -----------------------------------------------------------------------------

static bool read_range(char *word, struct range *range) {
  char *slash = strchr(word, '/');
  uint64_t bits;
  if (slash == NULL) return false;
  *slash = 0;
  range->family = strchr(word, ':') == NULL ? AF_INET : AF_INET6;
  if (!number_of(slash + 1, &bits) || bits > 8 * length_of(range->family)) return false;
  range->bits = (unsigned)bits;
  return inet_pton(range->family, word, range->bytes) == 1;
}

static void obey(char *line) {
  char *rest, *verb = strtok_r(line, " ", &rest);
  if (verb != NULL && strcmp(verb, "ranges") == 0) {
    range_count = 0;
    for (char *word; range_count < RANGE_LIMIT && (word = strtok_r(NULL, " ", &rest)) != NULL;) {
      if (read_range(word, &ranges[range_count])) range_count++;
    }
  } else if (verb != NULL && strcmp(verb, "dump") == 0) {
    dump(AF_INET);
    dump(AF_INET6);
    printf("done\n");
  } else if (verb != NULL && strcmp(verb, "mark") == 0) {
    printf("done\n");
  }
}

// Obeys what has come on standard input; false at its end.
static bool read_lines(void) {
  static char text[LINE_ROOM];
  static size_t length;
  ssize_t got = read(STDIN_FILENO, text + length, sizeof text - length);
  if (got <= 0) return got < 0 && errno == EINTR;
  length += (size_t)got;
  for (char *end; (end = memchr(text, '\n', length)) != NULL;) {
    *end = 0;
    size_t taken = (size_t)(end - text) + 1;
    obey(text);
    memmove(text, text + taken, length -= taken);
  }
  return length < sizeof text;
}

int flows_run(const char *group) {
  uint64_t number;
  if (!number_of(group, &number) || number == 0 || number > UINT16_MAX) return 2;
  prctl(PR_SET_NAME, "joblet-flows");
  int flows = open_netfilter(NF_NETLINK_CONNTRACK_NEW | NF_NETLINK_CONNTRACK_DESTROY);
  int log = open_log((uint16_t)number);
  if (flows < 0 || log < 0) {
    fprintf(stderr, "%s: %s\n", flows < 0 ? "conntrack" : "nflog", strerror(errno));
    return 1;
  }
  struct pollfd ways[] = {{STDIN_FILENO, POLLIN, 0}, {flows, POLLIN, 0}, {log, POLLIN, 0}};
  for (;;) {
    // Whoever reads has all that was said before it is waited for more.
    if (fflush(stdout) != 0) return 1;
    if (poll(ways, LENGTH(ways), -1) < 0 && errno != EINTR) return 1;
    // In this order: who asks for a mark is told all that was before.
    read_all(flows);
    read_all(log);
    if (ways[0].revents != 0 && !read_lines()) return 0;
  }
}
