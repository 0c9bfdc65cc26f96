// Attached network namespaces: a veth pair from a new namespace to the host's, with addresses and
// routes, made by a handful of netlink messages.
//
// Both ends have the same address of their own and speak no ARP and no neighbour discovery: whatever
// leaves one end is taken at the other, and there is nobody whose place a job could take. The
// host routes the job's addresses to its end. Until a job sends something, no packet passes.

#include "launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  ATTACH_STRINGS = 11,
  FLOWS_STRINGS = 3,
  MAC_BYTES = 6,
  BURST_MS = 10,
  BURST_LEAST_BYTES = 4 << 10, // bigger packets of a sender's kernel are cut up
  QUEUE_MS = 50,               // what waits at most before packets are dropped
  QUEUE_LEAST_BYTES = 32 << 10,
};

static const char inside[] = "eth0";

// ---- what is asked for -------------------------------------------------------------------------

struct address {
  int family;
  size_t length;
  unsigned char bytes[sizeof(struct in6_addr)];
  unsigned char gateway[sizeof(struct in6_addr)];
  unsigned char prefix;
};

struct wish {
  const char *interface; // the host's end
  struct address addresses[2];
  unsigned count;
  uint64_t bytes_per_second; // in each direction; 0 is no limit
  const char *sends, *receives; // devices that what it sends and receives goes through; empty is none
};

// The strings of a text, or false when they are not exactly so many.
static bool split(const char *text, size_t length, const char *strings[], unsigned count) {
  if (length == 0 || text[length - 1] != 0) return false;
  unsigned found = 0;
  for (const char *at = text; at < text + length; at += strlen(at) + 1) {
    if (found == count) return false;
    strings[found++] = at;
  }
  return found == count;
}

static bool read_address(struct address *address, int family, const char *const strings[3]) {
  uint64_t prefix;
  address->family = family;
  address->length = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
  if (!number_of(strings[1], &prefix) || prefix > 8 * address->length) return false;
  address->prefix = (unsigned char)prefix;
  return inet_pton(family, strings[0], address->bytes) == 1 &&
         inet_pton(family, strings[2], address->gateway) == 1;
}

// KEY INTERFACE ADDRESS PREFIX GATEWAY ADDRESS6 PREFIX6 GATEWAY6 BYTES-PER-SECOND SENDS RECEIVES; ADDRESS6 empty is none.
static bool read_wish(const char *text, size_t length, struct wish *wish) {
  const char *strings[ATTACH_STRINGS];
  if (!split(text, length, strings, ATTACH_STRINGS)) return false;
  wish->interface = strings[1];
  wish->count = strings[5][0] == 0 ? 1 : 2;
  wish->sends = strings[9];
  wish->receives = strings[10];
  return strings[1][0] != 0 && strlen(strings[1]) < IFNAMSIZ &&
         read_address(&wish->addresses[0], AF_INET, &strings[2]) &&
         (wish->count == 1 || read_address(&wish->addresses[1], AF_INET6, &strings[5])) &&
         number_of(strings[8], &wish->bytes_per_second);
}

// ---- links -------------------------------------------------------------------------------------

static void name_link(struct netlink_message *message, const char *name,
                      const unsigned char mac[MAC_BYTES]) {
  netlink_attribute(message, IFLA_IFNAME, name, strlen(name) + 1);
  netlink_attribute(message, IFLA_ADDRESS, mac, MAC_BYTES);
}

// The pair, made from inside, so that nothing of it was ever to be seen elsewhere.
static int make_pair(int here, int host, const struct wish *wish) {
  unsigned char mac[MAC_BYTES] = {0x02, 0x4a};
  memcpy(mac + 2, wish->addresses[0].bytes, sizeof(struct in_addr));
  struct ifinfomsg none = {0};
  struct netlink_message message;
  netlink_begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, sizeof none);
  name_link(&message, inside, mac);
  struct rtattr *info = netlink_open_nest(&message, IFLA_LINKINFO);
  netlink_attribute(&message, IFLA_INFO_KIND, "veth", 4);
  struct rtattr *data = netlink_open_nest(&message, IFLA_INFO_DATA);
  struct rtattr *peer = netlink_open_nest(&message, VETH_INFO_PEER);
  memcpy(netlink_extend(&message, sizeof none), &none, sizeof none);
  name_link(&message, wish->interface, mac);
  netlink_attribute(&message, IFLA_NET_NS_FD, &host, sizeof host);
  netlink_close_nest(&message, peer);
  netlink_close_nest(&message, data);
  netlink_close_nest(&message, info);
  return netlink_ask(here, &message);
}

// First without a link-local address, then up: the other way round the kernel would make one, and
// announce it.
static int bring_up(int socket, int index) {
  struct ifinfomsg link = {.ifi_index = index};
  struct netlink_message message;
  const unsigned char mode = IN6_ADDR_GEN_MODE_NONE;
  netlink_begin(&message, RTM_SETLINK, 0, &link, sizeof link);
  struct rtattr *families = netlink_open_nest(&message, IFLA_AF_SPEC);
  struct rtattr *family = netlink_open_nest(&message, AF_INET6);
  netlink_attribute(&message, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
  netlink_close_nest(&message, family);
  netlink_close_nest(&message, families);
  // A host without IPv6 knows nothing of it, and needs none.
  if (netlink_ask(socket, &message) != 0 && errno != EAFNOSUPPORT) return -1;
  link.ifi_flags = link.ifi_change = IFF_UP | IFF_NOARP;
  netlink_begin(&message, RTM_SETLINK, 0, &link, sizeof link);
  return netlink_ask(socket, &message);
}

// In bytes a second, what is beyond waits a little and is then dropped.
static int limit(int socket, int index, uint64_t bytes_per_second) {
  struct tcmsg queue = {.tcm_family = AF_UNSPEC, .tcm_ifindex = index, .tcm_parent = TC_H_ROOT};
  uint64_t burst = bytes_per_second * BURST_MS / 1000;
  if (burst < BURST_LEAST_BYTES) burst = BURST_LEAST_BYTES;
  uint64_t waiting = bytes_per_second * QUEUE_MS / 1000;
  if (waiting < QUEUE_LEAST_BYTES) waiting = QUEUE_LEAST_BYTES;
  waiting += burst;
  uint32_t burst_bytes = burst > INT32_MAX ? INT32_MAX : (uint32_t)burst;
  struct tc_tbf_qopt options = {
      .rate = {.rate = bytes_per_second > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes_per_second,
               .linklayer = TC_LINKLAYER_ETHERNET},
      .limit = waiting > INT32_MAX ? INT32_MAX : (uint32_t)waiting,
  };
  struct netlink_message message;
  netlink_begin(&message, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &queue, sizeof queue);
  netlink_attribute(&message, TCA_KIND, "tbf", 4);
  struct rtattr *nest = netlink_open_nest(&message, TCA_OPTIONS);
  netlink_attribute(&message, TCA_TBF_PARMS, &options, sizeof options);
  netlink_attribute(&message, TCA_TBF_BURST, &burst_bytes, sizeof burst_bytes);
  if (bytes_per_second > UINT32_MAX) {
    netlink_attribute(&message, TCA_TBF_RATE64, &bytes_per_second, sizeof bytes_per_second);
  }
  netlink_close_nest(&message, nest);
  return netlink_ask(socket, &message);
}

// Everything that passes an end in one direction goes through another device first, which has a limit for
// many.
static int lead_through(int socket, int index, unsigned way, int device) {
  struct tcmsg filter = {.tcm_family = AF_UNSPEC, .tcm_ifindex = index,
                         .tcm_parent = TC_H_MAKE(TC_H_CLSACT, way),
                         .tcm_info = TC_H_MAKE(1 << 16, htons(ETH_P_ALL))};
  // One key without a bit to compare: whatever it is.
  char all[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)] = {0};
  struct tc_u32_sel head = {.flags = TC_U32_TERMINAL, .nkeys = 1};
  memcpy(all, &head, sizeof head);
  struct tc_mirred redirect = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR,
                               .ifindex = (uint32_t)device};
  struct netlink_message message;
  netlink_begin(&message, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &filter, sizeof filter);
  netlink_attribute(&message, TCA_KIND, "u32", 4);
  struct rtattr *options = netlink_open_nest(&message, TCA_OPTIONS);
  netlink_attribute(&message, TCA_U32_SEL, all, sizeof all);
  struct rtattr *actions = netlink_open_nest(&message, TCA_U32_ACT);
  struct rtattr *first = netlink_open_nest(&message, 1);
  netlink_attribute(&message, TCA_ACT_KIND, "mirred", 7);
  struct rtattr *parameters = netlink_open_nest(&message, TCA_ACT_OPTIONS);
  netlink_attribute(&message, TCA_MIRRED_PARMS, &redirect, sizeof redirect);
  netlink_close_nest(&message, parameters);
  netlink_close_nest(&message, first);
  netlink_close_nest(&message, actions);
  netlink_close_nest(&message, options);
  return netlink_ask(socket, &message);
}

static int share(int socket, int index, int sends, int receives) {
  struct tcmsg ways = {.tcm_family = AF_UNSPEC, .tcm_ifindex = index, .tcm_parent = TC_H_CLSACT,
                       .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0)};
  struct netlink_message message;
  netlink_begin(&message, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &ways, sizeof ways);
  netlink_attribute(&message, TCA_KIND, "clsact", 7);
  // What the job sends comes in here, and what it receives goes out.
  return netlink_ask(socket, &message) != 0 ||
                 lead_through(socket, index, TC_H_MIN_INGRESS, sends) != 0 ||
                 lead_through(socket, index, TC_H_MIN_EGRESS, receives) != 0
             ? -1
             : 0;
}

// ---- addresses and routes ----------------------------------------------------------------------

static int add_address(int socket, int index, const struct address *address) {
  struct ifaddrmsg head = {.ifa_family = (unsigned char)address->family,
                           .ifa_prefixlen = address->prefix,
                           .ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0,
                           .ifa_index = (unsigned)index};
  struct netlink_message message;
  netlink_begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  netlink_attribute(&message, IFA_LOCAL, address->bytes, address->length);
  netlink_attribute(&message, IFA_ADDRESS, address->bytes, address->length);
  return netlink_ask(socket, &message);
}

// To the job's address alone, answering from the gateway's; or to everywhere, from the job's.
static int add_route(int socket, int index, const struct address *address, bool to_job) {
  struct rtmsg head = {.rtm_family = (unsigned char)address->family,
                       .rtm_dst_len = (unsigned char)(to_job ? 8 * address->length : 0),
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_scope = RT_SCOPE_LINK,
                       .rtm_type = RTN_UNICAST};
  struct netlink_message message;
  netlink_begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  if (to_job) netlink_attribute(&message, RTA_DST, address->bytes, address->length);
  netlink_attribute(&message, RTA_PREFSRC, to_job ? address->gateway : address->bytes, address->length);
  netlink_attribute(&message, RTA_OIF, &index, sizeof index);
  return netlink_ask(socket, &message);
}

// ---- the whole ---------------------------------------------------------------------------------

static int index_of(int socket, const char *name) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  return ioctl(socket, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : -1;
}

static const char *attach(int here, const struct host_net *host, const struct wish *wish) {
  if (make_pair(here, host->ns, wish) != 0) return "veth";
  int near = index_of(here, inside), far = index_of(host->routes, wish->interface);
  if (near < 0 || far < 0) return "veth";
  if (wish->sends[0] != 0) {
    int sends = index_of(host->routes, wish->sends), receives = index_of(host->routes, wish->receives);
    if (sends < 0 || receives < 0) return "ifb";
    if (share(host->routes, far, sends, receives) != 0) return "tc";
  }
  if (bring_up(here, near) != 0 || bring_up(host->routes, far) != 0) return "link";
  for (unsigned i = 0; i < wish->count; i++) {
    const struct address *address = &wish->addresses[i];
    if (add_address(here, near, address) != 0) return "address";
    if (add_route(host->routes, far, address, true) != 0) return "route";
    if (add_route(here, near, address, false) != 0) return "route";
  }
  uint64_t most = wish->bytes_per_second;
  if (most > 0 && (limit(here, near, most) != 0 || limit(host->routes, far, most) != 0)) return "tbf";
  return NULL;
}

// A job has no capability, and nothing in here is anybody else's: its services may have the ports that
// they are known by, and it may send echo requests.
static int open_doors(void) {
  if (write_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0") != 0) return -1;
  return write_file(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

const char *attach_namespace(const struct host_net *host, const char *text, size_t length) {
  struct wish wish = {0};
  if (!read_wish(text, length, &wish)) {
    errno = EINVAL;
    return "plan";
  }
  int here = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (here < 0) return "netlink";
  const char *step = open_doors() != 0 ? "sysctl" : attach(here, host, &wish);
  int error = errno;
  close(here);
  errno = error;
  return step;
}

int attach_open_host(struct host_net *host) {
  host->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  host->routes = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  // A host without connection tracking has no connections to forget.
  host->flows = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  return host->ns < 0 || host->routes < 0 ? -1 : 0;
}

// All connections that were begun from an address, or that an address answers. Kernels before 6.8 cannot
// choose them, and say so; then the address rests for longer than a connection is remembered that says
// nothing.
static void forget_flows_of(int socket, int family, const char *text, bool answered) {
  unsigned char bytes[sizeof(struct in6_addr)];
  if (inet_pton(family, text, bytes) != 1) return;
  struct nfgenmsg head = {.nfgen_family = (unsigned char)family, .version = NFNETLINK_V0};
  const uint32_t by_source = 1; // the kernel's own name for it, CTA_FILTER_F_CTA_IP_SRC, stays inside it
  struct netlink_message message;
  netlink_begin(&message, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &head, sizeof head);
  struct rtattr *tuple = netlink_open_nest(&message, answered ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
  struct rtattr *ip = netlink_open_nest(&message, CTA_TUPLE_IP);
  netlink_attribute(&message, family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, bytes,
            family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr));
  netlink_close_nest(&message, ip);
  netlink_close_nest(&message, tuple);
  struct rtattr *filter = netlink_open_nest(&message, CTA_FILTER);
  netlink_attribute(&message, answered ? CTA_FILTER_REPLY_FLAGS : CTA_FILTER_ORIG_FLAGS, &by_source,
            sizeof by_source);
  netlink_close_nest(&message, filter);
  (void)netlink_ask(socket, &message);
}

void attach_forget_flows(const struct host_net *host, const char *text, size_t length) {
  const char *strings[FLOWS_STRINGS];
  if (host->flows < 0 || !split(text, length, strings, FLOWS_STRINGS)) return;
  // END ADDRESS ADDRESS6: `from` them, or `to` them.
  bool answered = strcmp(strings[0], "to") == 0;
  forget_flows_of(host->flows, AF_INET, strings[1], answered);
  forget_flows_of(host->flows, AF_INET6, strings[2], answered);
}
